"""Destinations that are not files to be: pipes, devices, and whatever has a ``write`` method."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Write = Callable[[bytes], Awaitable[None]]

_READER_POLL = 0.05


class Writable(Protocol):
    """A binary file object, such as ``sys.stdout.buffer``."""

    def write(self, data: bytes, /) -> object:
        """Write bytes; may block."""
        ...


def is_special(path: Path) -> bool:
    """Tell whether a path is something that bytes can be written to but no file can be moved to."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return False
    # /dev/stdout may lead to a regular file, which the shell holds open: replacing it would help nobody.
    return not stat.S_ISREG(mode) or path.is_relative_to("/dev") or path.is_relative_to("/proc")


@asynccontextmanager
async def special_writer(path: Path) -> AsyncIterator[Write]:
    """Open a pipe or device; waits for a reader without blocking the event loop or a thread."""
    descriptor = await _open(path)

    async def write(data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                await anyio.wait_writable(descriptor)

    try:
        yield write
    finally:
        os.close(descriptor)


async def _open(path: Path) -> int:
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        await anyio.sleep(_READER_POLL)


def object_writer(file: Writable) -> Write:
    """Return a function that writes to a file object, in a thread."""

    async def write(data: bytes) -> None:
        # A reader that went to sleep must not keep a cancelled download from ending.
        await to_thread.run_sync(_write_all, file, data, abandon_on_cancel=True)

    return write


def _write_all(file: Writable, data: bytes) -> None:
    left = memoryview(data)
    while left:
        # Unbuffered files may take less than they are given.
        count = file.write(bytes(left) if len(left) < len(data) else data)
        left = left[count if isinstance(count, int) else len(left) :]
