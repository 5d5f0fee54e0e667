"""A download to a file: found, resumed, fetched, verified, moved into place."""

from __future__ import annotations

import functools
import threading
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import anyio
from attrs import define, evolve, field

from datarobot_mlops_async._download._consumer import FileConsumer, Hasher, PrefixError
from datarobot_mlops_async._download._disk import system_errors
from datarobot_mlops_async._download._partial import Partial, exists_error
from datarobot_mlops_async._download._probe import ChangedError
from datarobot_mlops_async._download._remote import MirroredObject
from datarobot_mlops_async._download._results import DownloadResult
from datarobot_mlops_async._download._resume_state import source_of
from datarobot_mlops_async._download._verification import digest_file
from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import without_query
from datarobot_mlops_async.errors import DestinationExistsError, IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator
    from pathlib import Path

    from datarobot_mlops_async._download._context import DownloadContext
    from datarobot_mlops_async._download._expectation import Expectation
    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async._download._remote import RemoteObject
    from datarobot_mlops_async._download._results import Reporter
    from datarobot_mlops_async._download._resume_state import ResumeState

T = TypeVar("T")


@define(eq=False)
class FileDownload:
    """One download to one path."""

    _context: DownloadContext
    _remote: RemoteObject | MirroredObject
    _destination: Path
    resume: bool
    overwrite: bool
    reporter: Reporter
    _resumed_from: int = field(default=0, init=False)
    _received: int = field(default=0, init=False)
    # The file at the destination that is known to be another one: it is hashed once.
    _other: tuple[int, ...] = field(default=(), init=False)

    async def run(self, expectation: Expectation, probe: Probe | None) -> DownloadResult:
        """Download; the first answer is here already when it was needed for the file's name."""
        # Looked at before anything is created, perhaps where nothing may be, and again when others are done.
        present = await self._look_at_destination(expectation)
        if present is not None:
            return self._present(expectation, present)
        async with self._partial(expectation) as partial:
            present = await self._look_at_destination(expectation)
            if present is not None:
                return self._present(expectation, present)
            if expectation.size is not None:
                await run_interruptible(functools.partial(partial.require_space, expectation.size))
            if probe is not None and partial.state.verified:
                await probe.response.aclose()
                probe = None
            return await self._until_stable(partial, expectation, probe)

    @asynccontextmanager
    async def _partial(self, expectation: Expectation) -> AsyncIterator[Partial]:
        """Open the partial file; wait while another process of this host fills it."""
        partial = Partial(self._destination)
        try:
            polls = 0
            while not await run_interruptible(
                lambda: partial.open(is_usable=lambda state: self._is_usable(state, expectation))
            ):
                self._say_that_it_waits(polls)
                await anyio.sleep(self._context.tuning.lock_poll)
                polls += 1
            yield partial
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await run_interruptible(partial.tidy)
            finally:
                partial.close()

    def _say_that_it_waits(self, polls: int) -> None:
        self.reporter.wait()
        # At the first, 40th, 80th, 160th: what is waited for may be stopped, and never go on.
        if polls == 0:
            logger.info("download: waiting for another process that downloads to %s", self._destination)
        elif polls % 40 == 0 and (polls // 40).bit_count() == 1:
            logger.warning(
                "download: another process still downloads to %s, after %.0f s: if it hangs, end it",
                self._destination,
                polls * self._context.tuning.lock_poll,
            )

    @property
    def _source(self) -> str:
        # What signs an address of another host changes, and the object does not.
        path = self._context.path
        url = self._context.api.url_of_bytes(path)
        return source_of(without_query(url) if url == path else url)

    def _is_usable(self, state: ResumeState, expectation: Expectation) -> bool:
        """Tell whether a state is of the object that is wanted: by its digest, or by its name and validators."""
        size = state.validators.size
        if not self.resume or (
            expectation.size is not None and size is not None and size != expectation.size
        ):
            return False
        if state.sha256 is not None and expectation.digest is not None:
            return state.sha256 == expectation.digest
        can_be_checked = state.validators.identify or (state.is_complete and expectation.digest is not None)
        return state.source == self._source and can_be_checked

    async def _look_at_destination(self, expectation: Expectation) -> int | None:
        """Return the size of a destination that has the right bytes already.

        Raises:
            DestinationExistsError: It has others, and may not be replaced.
        """

        def look() -> os.stat_result | None:
            with system_errors(self._destination), suppress(FileNotFoundError):
                return self._destination.stat()
            return None

        found = await run_interruptible(look)
        if found is None:
            return None
        size, version = found.st_size, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if expectation.digest is not None and expectation.size in {None, size} and version != self._other:
            _, digest = await digest_file(self._destination, reading=False)
            if digest == expectation.digest:
                return size
            self._other = version
        if not self.overwrite:
            raise exists_error(self._destination)
        return None

    async def _until_stable(
        self, partial: Partial, expectation: Expectation, probe: Probe | None
    ) -> DownloadResult:
        """Fetch and verify; again from the start when the object changed meanwhile."""
        restarts = 0
        while True:
            try:
                return await self._once(partial, expectation, probe)
            except PrefixError as error:
                logger.warning(
                    "download: what was left of %s is damaged behind byte %d", self._destination, error.good
                )
                await run_interruptible(functools.partial(partial.cut_to, error.good))
            except ChangedError:
                await run_interruptible(partial.restart)
                restarts += 1
                if restarts > self._context.tuning.restarts:
                    raise self._changed() from None
                await self._context.has_moved()
                expectation = await self._context.expectation()
            except IntegrityError as error:
                # What was left complete, with no digest named, may be an older object than the one wanted.
                is_older = partial.state.verified > 0 and partial.state.sha256 != expectation.digest
                await run_interruptible(partial.restart)
                error.destination = self._destination
                if isinstance(self._remote, MirroredObject) and self._remote.drop_mirrors():
                    logger.warning(
                        "download: a mirror of %s has other bytes: fetched anew", self._destination
                    )
                    continue
                if restarts or not (await self._context.explain(error) or is_older):
                    raise
                restarts += 1
                expectation = await self._context.expectation()
            probe = None

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._context.filename or 'the artifact'} kept changing on the server while it was fetched",
            filename=self._context.filename,
            destination=self._destination,
        )

    async def _once(self, partial: Partial, expectation: Expectation, probe: Probe | None) -> DownloadResult:
        if probe is None:
            probe = await self._open_rest(partial.state, expectation)
        state = partial.state
        if probe is not None:
            try:
                expectation = self._context.judge(probe, expectation)
                state = await self._prepare(partial, expectation, probe)
            except BaseException:
                await probe.response.aclose()
                raise
        self._resumed_from = state.verified
        self.reporter.begin(resumed_from=state.verified, total=state.validators.size)
        hasher = Hasher(expectation)
        await self._fetch(partial, expectation, probe, state, hasher)
        verified_by = hasher.verify()
        return await self._commit(partial, expectation, hasher, verified_by)

    async def _open_rest(self, state: ResumeState, expectation: Expectation) -> Probe | None:
        """Open what is not here yet; ``None`` when everything is, and known to be what is wanted."""
        if not state.is_complete:
            return await self._context.open(self._remote, state.verified, state.validators)
        if expectation.digest is not None:
            return None
        # Nothing but the server can tell whether this still is the object: its last byte is asked for.
        probe = await self._context.open(self._remote, max(0, state.verified - 1), state.validators)
        if not probe.start:
            return probe
        await probe.response.aclose()
        return None

    async def _prepare(self, partial: Partial, expectation: Expectation, probe: Probe) -> ResumeState:
        if probe.start == 0 and partial.state.verified:
            await run_interruptible(partial.restart)
        size = probe.total if probe.total is not None else expectation.size
        if size is not None:
            await run_interruptible(functools.partial(partial.require_space, size))
        return evolve(
            partial.state, source=self._source, sha256=expectation.digest, validators=probe.validators
        )

    async def _fetch(
        self,
        partial: Partial,
        expectation: Expectation,
        probe: Probe | None,
        state: ResumeState,
        hasher: Hasher,
    ) -> None:
        tuning = self._context.tuning
        buffers = self._context.reorder_buffer(start=state.verified, to_file=True)
        consumer = FileConsumer(buffers, partial, hasher, state=state)
        if probe is None:
            buffers.finish(state.verified)
            await run_interruptible(consumer.run, interrupt=buffers.abandon)
            return
        fetcher = self._context.fetcher(self._remote, probe, buffers, expectation, write=partial.write_at)
        record = functools.partial(consumer.record, cached=tuning.window)

        async def look() -> None:
            self.reporter.update(
                fetched=buffers.arrived,
                verified=hasher.size,
                total=state.validators.size,
                connections=fetcher.connections,
            )
            is_much = hasher.size - consumer.recorded >= tuning.longest_piece
            if is_much or time.monotonic() - consumer.recorded_at >= tuning.checkpoint:
                await run_interruptible(record)

        try:
            async with fetcher.running(look):
                await run_interruptible(consumer.run, interrupt=buffers.abandon)
        finally:
            with anyio.CancelScope(shield=True):
                await run_interruptible(record)
            partial.state = consumer.state
            self._received += fetcher.received
            logger.debug(
                "download: %d bytes fetched over %d connections, %d of them read back for the hash",
                fetcher.received,
                fetcher.stats.connections,
                consumer.read_back,
            )

    async def _commit(
        self, partial: Partial, expectation: Expectation, hasher: Hasher, verified_by: tuple[str, ...]
    ) -> DownloadResult:
        withdrawn = threading.Event()
        try:
            await run_interruptible(
                lambda: partial.commit(hasher.size, overwrite=self.overwrite, withdrawn=withdrawn.is_set),
                interrupt=withdrawn.set,
            )
        except DestinationExistsError:
            # Somebody was faster, perhaps with the same object.
            found = evolve(expectation, sha256=hasher.hexdigest())
            size = await self._look_at_destination(found)
            await run_interruptible(partial.discard)
            if size is None:  # pragma: no cover - it was removed again; the next call finds a free path
                raise
            return self._present(found, size)
        return self._result(expectation, hasher.size, hasher.hexdigest(), verified_by)

    def _present(self, expectation: Expectation, size: int) -> DownloadResult:
        sources = tuple(expectation.digests)
        return self._result(expectation, size, expectation.digest or "", sources, already_present=True)

    def _result(
        self,
        expectation: Expectation,
        size: int,
        sha256: str,
        verified_by: tuple[str, ...],
        *,
        already_present: bool = False,
    ) -> DownloadResult:
        self.reporter.finish(size)
        return DownloadResult(
            path=self._destination,
            size=size,
            sha256=sha256,
            resumed_from=0 if already_present else self._resumed_from,
            elapsed=self.reporter.elapsed,
            bytes_fetched=self._received,
            already_present=already_present,
            verified_by=verified_by,
            docker_image_id=expectation.docker_image_id,
            version=expectation.version,
        )
