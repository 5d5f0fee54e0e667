"""Destinations that are not files to be: pipes, devices, and whatever has a ``write`` method."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread
from attrs import frozen

from datarobot_mlops_async._download._disk import flags, system_errors
from datarobot_mlops_async._threads import run_interruptible

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Write = Callable[[bytes], Awaitable[None]]

_READER_POLL = 0.05
_OUTPUT_STREAMS = (1, 2)


class Writable(Protocol):
    """A binary file object, such as ``sys.stdout.buffer``."""

    def write(self, data: bytes, /) -> object:
        """Write bytes; may block."""
        ...


@frozen(kw_only=True)
class SpecialFile:
    """Something that bytes can be written to but no file can be moved to.

    Attributes:
        path: Where it is.
        mode: Its type, as `stat` says.
        stream: The descriptor of the process's own output stream that it is; ``None`` when it is none.
    """

    path: Path
    mode: int
    stream: int | None

    @classmethod
    def at(cls, path: Path) -> SpecialFile | None:
        """Look at a path; ``None`` when nothing is there, or a directory or file. May block."""
        try:
            found = path.stat()
        except OSError:
            return None
        stream = None
        if stat.S_ISREG(found.st_mode):
            # /dev/stdout may lead to a regular file, which the shell holds open: replacing it would help nobody.
            stream = _output_stream(found)
            if stream is None:
                return None
        return None if stat.S_ISDIR(found.st_mode) else cls(path=path, mode=found.st_mode, stream=stream)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Write]:
        """Give a function that writes; waits for a pipe's reader without blocking the event loop."""
        with system_errors(self.path):
            # Opened anew, a file would be written from its beginning.
            descriptor = await self._open() if self.stream is None else os.dup(self.stream)

        async def write(data: bytes) -> None:
            with system_errors(self.path, required=len(data)):
                if stat.S_ISFIFO(self.mode) or stat.S_ISCHR(self.mode):
                    await _write_when_possible(descriptor, data)
                else:
                    await run_interruptible(lambda: _write_all(partial(os.write, descriptor), data))

        try:
            yield write
        finally:
            os.close(descriptor)

    async def _open(self) -> int:
        while True:
            try:
                return os.open(self.path, os.O_WRONLY | flags("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
            except OSError as error:
                if error.errno != errno.ENXIO or not stat.S_ISFIFO(self.mode):
                    raise
            await anyio.sleep(_READER_POLL)


def _output_stream(found: os.stat_result) -> int | None:
    """Return which of the process's own streams a file is; ``None`` when it is another one."""
    for descriptor in _OUTPUT_STREAMS:
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
    return None


async def _write_when_possible(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            await anyio.wait_writable(descriptor)


def object_writer(file: Writable) -> Write:
    """Return a function that writes to a file object, in a thread."""

    async def write(data: bytes) -> None:
        # A reader that went to sleep must not keep a cancelled download from ending.
        await to_thread.run_sync(_write_all, file.write, data, abandon_on_cancel=True)

    return write


def _write_all(write: Callable[[bytes], object], data: bytes) -> None:
    left = memoryview(data)
    while left:
        # Unbuffered files may take less than they are given.
        count = write(bytes(left) if len(left) < len(data) else data)
        left = left[count if isinstance(count, int) else len(left) :]
