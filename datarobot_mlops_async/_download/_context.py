"""One thing to download, with which sizes and times, and the steps that a file and a stream have in common."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from datarobot_mlops_async._download._controller import LowSpeedLimit
from datarobot_mlops_async._download._disk import filename_from_disposition, filename_from_url
from datarobot_mlops_async._download._fetcher import Fetcher, TransferStats, counted
from datarobot_mlops_async._download._probe import Validators, is_encoded, open_object
from datarobot_mlops_async._download._remote import MirroredObject, RemoteObject
from datarobot_mlops_async._download._reorder_buffer import ReorderBuffer
from datarobot_mlops_async._retry import Retries
from datarobot_mlops_async._streaming import StreamingClient
from datarobot_mlops_async._telemetry import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from datarobot_mlops_async._api import Api
    from datarobot_mlops_async._download._controller import RateLimit
    from datarobot_mlops_async._download._expectation import ArtifactKind, Expectation
    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async.errors import IntegrityError

_MIB = 1024 * 1024


@frozen(kw_only=True)
class Tuning:
    """Sizes in bytes, times in seconds.

    Attributes:
        block: What is received, hashed and written at a time: large enough that handing it from thread to
            thread costs nothing to speak of.
        blocks: How many stay in memory until they are hashed.
        shortest_piece: Lower bound of a piece.
        longest_piece: Upper bound of a piece, and of what is hashed between two records.
        ahead: How far one connection alone runs ahead of a hash that has work: what the processor's cache holds.
        window: How far ahead of the hash pieces are fetched to a file, at most one longest piece for each
            connection: what a crash can lose. And how much of a file may stay in the system's memory behind it.
        tick: Between two looks at rates and progress.
        checkpoint: Between two records, at most.
        restarts: How often a download starts over because the object changed.
        low_speed: When a connection is too slow.
        lock_poll: Between two attempts to lock a partial file that another process holds.
    """

    block: int = _MIB
    blocks: int = 32
    shortest_piece: int = 4 * _MIB
    longest_piece: int = 64 * _MIB
    ahead: int = 16 * _MIB
    window: int = 512 * _MIB
    tick: float = 0.05
    checkpoint: float = 0.5
    restarts: int = 2
    low_speed: LowSpeedLimit = field(factory=LowSpeedLimit)
    lock_poll: float = 0.25


@define(kw_only=True)
class DownloadContext:
    """What to download, and what that may cost.

    Attributes:
        api: The session's way to the service.
        path: Path and query relative to the API's root.
        kind: What the bytes should be.
        filename: A safe name; ``None`` until the server names one.
        metadata: What the metadata say.
        refresh: Reads the metadata again; ``None`` where there are none.
        expected_sha256: What the caller expects.
        max_connections: Upper bound.
        max_rate: Bytes a second over all of them.
        mirrors: Other addresses of the same object.
        tuning: Sizes and times.
    """

    api: Api
    path: str = field(repr=False)
    kind: ArtifactKind
    filename: str | None
    metadata: Expectation
    refresh: Callable[[], Awaitable[Expectation]] | None
    expected_sha256: str | None
    max_connections: int
    max_rate: RateLimit | None
    mirrors: Sequence[str] = field(repr=False)
    tuning: Tuning
    _stats: list[TransferStats] = field(factory=list, init=False)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell whoever watches of the download, however it ends."""
        with self.api.telemetry.download(self.kind) as tell:
            try:
                yield
            finally:
                tell(fetched=sum(each.received for each in self._stats))
                if self._stats:
                    tell(
                        size=self._stats[-1].total,
                        resumed_from=self._stats[-1].start,
                        connections=max(each.connections for each in self._stats),
                    )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[RemoteObject | MirroredObject]:
        """Give the remote object, over connections that are closed at the end."""
        api = self.api
        api.lifetime.check()
        client = StreamingClient(
            api.settings,
            read_timeout=api.options.timeout,
            max_threads=self.max_connections,
            foreign_transport=api.client.foreign_transport,
        )
        remote = RemoteObject(api, self.path, client)
        mirrors = [RemoteObject(api, url, client) for url in self.mirrors]
        if mirrors and not self._digest_known:
            logger.warning(
                "download: mirrors are not asked, as no SHA-256 is known that would judge their bytes"
            )
            mirrors.clear()
        try:
            yield MirroredObject(remote, mirrors, self.metadata.size) if mirrors else remote
        finally:
            await client.aclose()

    async def expectation(self) -> Expectation:
        """Return what is expected so far.

        Raises:
            IntegrityError: The caller expects something else than the metadata name, also when those
                are read again.
        """
        expectation = self._expectation()
        if expectation.contradicts_itself and await self.has_moved():
            expectation = self._expectation()
        if expectation.contradicts_itself:
            error = expectation.broken(
                expected=expectation.digests["expected_sha256"],
                actual=expectation.digests["metadata"],
                size=0,
            )
            error.object_changed = False
            raise error
        return expectation

    def _expectation(self) -> Expectation:
        expectation = evolve(
            self.metadata, kind=self.kind, filename=self.filename, expected_sha256=self.expected_sha256
        )
        return expectation.normalized()

    @property
    def _digest_known(self) -> bool:
        return bool(self.metadata.sha256 or self.expected_sha256)

    async def has_moved(self) -> bool:
        """Read the metadata again, and tell whether they changed: "latest" may mean another object now."""
        if self.refresh is None:
            return False
        before, self.metadata = self.metadata, await self.refresh()
        return before != self.metadata

    async def open(
        self, remote: RemoteObject | MirroredObject, start: int = 0, validators: Validators | None = None
    ) -> Probe:
        """Get the first answer, as the retry policy says; with the validators of the bytes that are here already."""
        retries = Retries(f"GET {remote.url}", self.api.options.retry)

        async def attempt() -> Probe:
            return await open_object(
                remote,
                start=start,
                length=2 * self.tuning.shortest_piece,
                validators=validators or Validators(),
                digest_known=self._digest_known,
            )

        with counted(retries):
            return await retries.run(attempt)

    def name(self, probe: Probe) -> str:
        """Return the file name, as known or as the first answer suggests; always safe."""
        if self.filename is None:
            self.filename = (
                filename_from_disposition(probe.response.headers.get("content-disposition", ""))
                or filename_from_url(probe.response.url)
                or "artifact"
            )
        return self.filename

    def judge(self, probe: Probe, expectation: Expectation) -> Expectation:
        """Check what the first answer announces, and return the expectation with what its headers add.

        Raises:
            IntegrityError: The announced size is not the expected one, or the body is encoded and nobody
                named a digest that could decide whether it should be.
        """
        expectation = evolve(expectation, filename=self.filename)
        headers = probe.response.headers
        expectation = expectation.with_headers(headers, whole=probe.response.status == 200)
        expectation.check_total(probe.total)
        if is_encoded(headers) and expectation.digest is None:
            actual = f"a body encoded with {headers['content-encoding']}"
            raise expectation.broken(expected="the bytes as they are", actual=actual, size=0)
        return expectation

    def reorder_buffer(self, *, start: int, to_file: bool = False) -> ReorderBuffer:
        """Return an empty buffer; unless there is a file, one whose blocks are all in memory."""
        tuning = self.tuning
        span = tuning.block * tuning.blocks
        window = min(tuning.window, self.max_connections * tuning.longest_piece) if to_file else span
        return ReorderBuffer(start=start, block=tuning.block, span=span, window=window, ahead=tuning.ahead)

    def fetcher(
        self,
        remote: RemoteObject | MirroredObject,
        probe: Probe,
        buffers: ReorderBuffer,
        expectation: Expectation,
        *,
        write: Callable[[memoryview, int], None] | None = None,
    ) -> Fetcher:
        """Return the workers for an opened object."""
        decides = expectation.digest is not None
        fetcher = Fetcher(self, remote, probe, buffers, write=write, digest_decides=decides)
        self._stats.append(fetcher.stats)
        return fetcher

    async def explain(self, error: IntegrityError) -> bool:
        """Find out whether the metadata changed meanwhile, and note it on the error."""
        error.filename = self.filename
        if self.refresh is None:
            return False
        error.object_changed = moved = await self.has_moved()
        if moved:
            error.message += "; the metadata changed while it was fetched"
            error.args = (error.message,)
        return moved
