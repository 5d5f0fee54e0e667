"""A download to whoever reads: in order, in bounded memory, verified at the end.

That is an asynchronous iterator, or what bytes can be written to and no file can be moved to: pipes, devices, and
whatever has a ``write`` method.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import CapacityLimiter, to_thread
from attrs import frozen

from datarobot_mlops_async._download._consumer import Hasher
from datarobot_mlops_async._download._disk import flags, system_errors
from datarobot_mlops_async._download._probe import ChangedError
from datarobot_mlops_async._download._results import DownloadResult
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from datarobot_mlops_async._download._context import DownloadContext
    from datarobot_mlops_async._download._expectation import Expectation
    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async._download._remote import MirroredObject, RemoteObject
    from datarobot_mlops_async._download._reorder_buffer import ReorderBuffer
    from datarobot_mlops_async._download._results import Reporter

    Write = Callable[[bytes], Awaitable[None]]

_READER_POLL = 0.05
_OUTPUT_STREAMS = (1, 2)


class ChunkStream:
    """The bytes of an artifact, in order. An asynchronous iterator, not a generator: breaking out is safe.

    Attributes:
        total: Size in bytes; ``None`` if the server does not say.
    """

    def __init__(
        self, context: DownloadContext, buffers: ReorderBuffer, hasher: Hasher, total: int | None
    ) -> None:
        self._context = context
        self._buffers = buffers
        self._hasher = hasher
        self._chunk: bytes | None = None
        self._over = self._verified = False
        self.total = total
        self.verified_by: tuple[str, ...] = ()

    def __aiter__(self) -> ChunkStream:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk. Cancelling this loses nothing: the next call goes on."""
        if self._chunk is None and not self._verified:
            await self._advance()
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _advance(self) -> None:
        stop = threading.Event()

        def interrupt() -> None:
            stop.set()
            self._buffers.wake()

        try:
            if not self._over:
                await run_interruptible(lambda: self._take(stop), interrupt=interrupt)
            if self._over:
                # Not in the thread: of one that ends in the moment of a cancellation nobody hears.
                self.verified_by = self._hasher.verify()
                self._verified = True
        except ChangedError:
            raise ObjectChangedError(
                f"{self._context.filename or 'the artifact'} changed on the server while it was fetched",
                filename=self._context.filename,
            ) from None
        except IntegrityError as error:
            await self._context.explain(error)
            raise

    def _take(self, stop: threading.Event) -> None:
        block = self._buffers.take(stop=stop.is_set)
        if block is not None:
            if block.buffer is None:  # pragma: no cover - without a file all blocks are kept in memory
                raise AssertionError
            view = block.buffer[: block.length]
            try:
                self._hasher.update(view)
            except IntegrityError as error:
                self._buffers.abandon(error)
                raise
            self._chunk = bytes(view)
            self._buffers.release(block)
        self._over = block is None and not stop.is_set()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._hasher.size

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in lower-case hexadecimal."""
        return self._hasher.hexdigest()


class StreamDownload:
    """Opens streams of one context."""

    def __init__(self, context: DownloadContext, reporter: Reporter) -> None:
        self._context = context
        self._reporter = reporter
        self.received = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ChunkStream]:
        """Give the stream; the connections are closed at the end."""
        async with AsyncExitStack() as stack:
            remote = await stack.enter_async_context(self._context.connected())
            probe, expectation = await self._open(remote)
            buffers = self._context.reorder_buffer(start=0)
            fetcher = self._context.fetcher(remote, probe, buffers, expectation)
            self._reporter.begin(resumed_from=0, total=probe.total)

            async def report() -> None:
                self._reporter.update(
                    fetched=buffers.arrived,
                    verified=buffers.taken,
                    total=probe.total,
                    connections=fetcher.connections,
                )

            await stack.enter_async_context(fetcher.running(report))
            try:
                yield ChunkStream(self._context, buffers, Hasher(expectation), probe.total)
            finally:
                self.received = fetcher.received

    async def _open(self, remote: RemoteObject | MirroredObject) -> tuple[Probe, Expectation]:
        expectation = await self._context.expectation()
        for last in (False, True):
            probe = await self._context.open(remote)
            try:
                self._context.name(probe)
                return probe, self._context.judge(probe, expectation)
            except IntegrityError as error:
                await probe.response.aclose()
                if not await self._context.explain(error) or last:
                    raise
                # "Latest" moved between the metadata call and this one.
                expectation = await self._context.expectation()
        raise AssertionError(
            "unreachable: the second round returns or raises"
        )  # pragma: no cover - see the line

    async def write_to(self, write: Callable[[bytes], Awaitable[None]]) -> DownloadResult:
        """Stream everything into a function that writes."""
        async with self.opened() as stream:
            async for chunk in stream:
                await write(chunk)
        self._reporter.finish(stream.size)
        return DownloadResult(
            path=None,
            size=stream.size,
            sha256=stream.sha256,
            resumed_from=0,
            elapsed=self._reporter.elapsed,
            bytes_fetched=self.received,
            verified_by=stream.verified_by,
        )


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
    limiter = CapacityLimiter(1)

    async def write(data: bytes) -> None:
        # A reader that went to sleep must not keep a cancelled download from ending.
        await to_thread.run_sync(_write_all, file.write, data, abandon_on_cancel=True, limiter=limiter)

    return write


def _write_all(write: Callable[[bytes], object], data: bytes) -> None:
    left = memoryview(data)
    while left:
        # Unbuffered files may take less than they are given.
        count = write(bytes(left) if len(left) < len(data) else data)
        left = left[count if isinstance(count, int) else len(left) :]
