"""A download to whoever reads: in order, in bounded memory, verified at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from datarobot_mlops_async._download._consumer import Hasher
from datarobot_mlops_async._download._opening import ChangedError
from datarobot_mlops_async._download._results import DownloadResult
from datarobot_mlops_async._download._shelf import Shelf
from datarobot_mlops_async._transport._bulk_thread import run_interruptible
from datarobot_mlops_async.errors import IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from datarobot_mlops_async._download._job import Job
    from datarobot_mlops_async._download._opening import Opening
    from datarobot_mlops_async._download._origin import Origin
    from datarobot_mlops_async._download._progress import Reporter
    from datarobot_mlops_async._download._promise import Promise


class ChunkStream:
    """The bytes of an artifact, in order. An asynchronous iterator, not a generator: breaking out is safe.

    Attributes:
        total: Size in bytes; ``None`` if the server does not say.
    """

    def __init__(self, job: Job, shelf: Shelf, hasher: Hasher, total: int | None) -> None:
        self._job = job
        self._shelf = shelf
        self._hasher = hasher
        self._over = False
        self.total = total
        self.verified_by: tuple[str, ...] = ()

    def __aiter__(self) -> ChunkStream:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            chunk = await run_interruptible(self._next, interrupt=self._shelf.abandon)
            if chunk is None:
                self._over = True
                self.verified_by = self._hasher.verify()
                raise StopAsyncIteration
        except ChangedError:
            raise ObjectChangedError(
                f"{self._job.filename or 'the artifact'} changed on the server while it was fetched",
                filename=self._job.filename,
            ) from None
        except IntegrityError as error:
            await self._job.explain(error)
            raise
        return chunk

    def _next(self) -> bytes | None:
        block = self._shelf.take()
        if block is None or block.buffer is None:
            return None
        view = memoryview(block.buffer)[: block.length]
        self._hasher.update(view)
        chunk = bytes(view)
        self._shelf.done(block)
        return chunk

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._hasher.size

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in lower-case hexadecimal."""
        return self._hasher.hexdigest()


class StreamDownload:
    """Opens streams of one job.

    Args:
        job: What to download.
        reporter: Hears of progress.
    """

    def __init__(self, job: Job, reporter: Reporter) -> None:
        self._job = job
        self._reporter = reporter
        self.received = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ChunkStream]:
        """Give the stream; the connections are closed at the end."""
        tuning = self._job.tuning
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(self._job.connected())
            opening, promise = await self._open(origin)
            shelf = Shelf(
                start=0, present=0, block=tuning.block, blocks=0, window=tuning.memory_window, spill=None
            )
            fetcher = self._job.fetcher(origin, opening, shelf, promise)
            self._reporter.begin(resumed_from=0, total=opening.total)

            def report() -> None:
                self._reporter.update(
                    fetched=shelf.arrived,
                    verified=shelf.taken,
                    total=opening.total,
                    connections=fetcher.connections,
                )

            await stack.enter_async_context(fetcher.running(report))
            try:
                yield ChunkStream(self._job, shelf, Hasher(promise), opening.total)
            finally:
                self.received = fetcher.received

    async def _open(self, origin: Origin) -> tuple[Opening, Promise]:
        promise = await self._job.promise()
        for last in (False, True):
            opening = await self._job.open(origin)
            try:
                self._job.name(opening)
                return opening, self._job.judge(opening, promise)
            except IntegrityError as error:
                await opening.response.aclose()
                if not await self._job.explain(error) or last:
                    raise
                # "Latest" moved between the metadata call and this one.
                promise = await self._job.promise()
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
