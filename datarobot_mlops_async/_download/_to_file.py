"""A download to a file: found, resumed, fetched, verified, moved into place."""

from __future__ import annotations

import hashlib
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from attrs import evolve

from datarobot_mlops_async._download._consumer import FileConsumer, Hasher, PrefixError
from datarobot_mlops_async._download._context import logger
from datarobot_mlops_async._download._partial import exists_error, open_partial
from datarobot_mlops_async._download._probe import ChangedError
from datarobot_mlops_async._download._reorder_buffer import ReorderBuffer
from datarobot_mlops_async._download._results import DownloadResult
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import DestinationExistsError, IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from datarobot_mlops_async._download._context import DownloadContext
    from datarobot_mlops_async._download._expectation import Expectation
    from datarobot_mlops_async._download._partial import Partial
    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async._download._progress import Reporter
    from datarobot_mlops_async._download._remote import RemoteObject
    from datarobot_mlops_async._download._resume_state import ResumeState

_READ = 1024 * 1024


class FileDownload:
    """One download to one path.

    Args:
        context: What to download.
        remote: Where it is.
        destination: The file to be.
        resume: Whether to go on with what an earlier download left.
        overwrite: Whether another file at the destination may be replaced.
        reporter: Hears of progress.
    """

    def __init__(
        self,
        context: DownloadContext,
        remote: RemoteObject,
        destination: Path,
        *,
        resume: bool,
        overwrite: bool,
        reporter: Reporter,
    ) -> None:
        self._context = context
        self._remote = remote
        self._destination = destination
        self._resume = resume
        self._overwrite = overwrite
        self._reporter = reporter
        self._resumed_from = 0
        self._received = 0

    async def run(self, expectation: Expectation, probe: Probe | None) -> DownloadResult:
        """Download.

        Args:
            expectation: What the object should be.
            probe: The first answer, when it was needed for the file's name.
        """
        async with self._partial(expectation) as partial:
            present = await self._look_at_destination(expectation)
            if present is not None:
                return self._present(expectation, present)
            if probe is not None and partial.state.verified:
                await probe.response.aclose()
                probe = None
            return await self._until_stable(partial, expectation, probe)

    @asynccontextmanager
    async def _partial(self, expectation: Expectation) -> AsyncIterator[Partial]:
        """Open the partial file; wait while another process of this host fills it."""
        waiting = False
        while True:
            partial = await to_thread.run_sync(
                lambda: open_partial(
                    self._destination, is_usable=lambda state: self._is_usable(state, expectation)
                )
            )
            if partial is not None:
                break
            if not waiting:
                logger.info("download: waiting for another process that downloads to %s", self._destination)
                waiting = True
            await anyio.sleep(self._context.tuning.lock_poll)
        try:
            yield partial
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial.close)

    def _is_usable(self, state: ResumeState, expectation: Expectation) -> bool:
        size = state.validators.size
        if not self._resume or (
            expectation.size is not None and size is not None and size != expectation.size
        ):
            return False
        if state.sha256 is not None and expectation.digest is not None:
            return state.sha256 == expectation.digest
        return state.validators.identify or state.is_complete

    async def _look_at_destination(self, expectation: Expectation) -> int | None:
        """Return the size of a destination that has the right bytes already.

        Raises:
            DestinationExistsError: It has others, and may not be replaced.
        """
        try:
            size = (await anyio.Path(self._destination).stat()).st_size
        except FileNotFoundError:
            return None
        if expectation.digest is not None and expectation.size in {None, size}:
            stop = threading.Event()
            digest = await run_interruptible(lambda: _digest_of(self._destination, stop), interrupt=stop.set)
            if digest == expectation.digest:
                return size
        if not self._overwrite:
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
                await to_thread.run_sync(partial.cut_to, error.good)
            except ChangedError:
                await to_thread.run_sync(partial.restart)
                restarts += 1
                if restarts > self._context.tuning.restarts:
                    raise self._changed() from None
                await self._context.has_moved()
                expectation = await self._context.expectation()
            except IntegrityError as error:
                await to_thread.run_sync(partial.restart)
                error.destination = self._destination
                if not await self._context.explain(error) or restarts:
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
        state = partial.state
        if probe is None and not state.is_complete:
            probe = await self._context.open(self._remote, state.verified, state.validators)
        if probe is not None:
            try:
                expectation = self._context.judge(probe, expectation)
                state = await self._prepare(partial, expectation, probe)
            except BaseException:
                await probe.response.aclose()
                raise
        self._resumed_from = state.verified
        self._reporter.begin(resumed_from=state.verified, total=state.validators.size)
        hasher = Hasher(expectation)
        await self._fetch(partial, expectation, probe, state, hasher)
        verified_by = hasher.verify()
        return await self._commit(partial, expectation, hasher, verified_by)

    async def _prepare(self, partial: Partial, expectation: Expectation, probe: Probe) -> ResumeState:
        if probe.start == 0 and partial.state.verified:
            await to_thread.run_sync(partial.restart)
        size = probe.total if probe.total is not None else expectation.size
        if size is not None:
            await to_thread.run_sync(partial.require_space, size)
        return evolve(partial.state, sha256=expectation.digest, validators=probe.validators)

    async def _fetch(
        self,
        partial: Partial,
        expectation: Expectation,
        probe: Probe | None,
        state: ResumeState,
        hasher: Hasher,
    ) -> None:
        tuning = self._context.tuning
        buffers = ReorderBuffer(
            start=0,
            present=state.verified,
            block=tuning.block,
            blocks=tuning.blocks,
            window=tuning.window,
            spill=partial.write_at,
        )
        consumer = FileConsumer(buffers, partial, hasher, state=state, interval=tuning.checkpoint)
        if probe is None:
            buffers.finish(state.verified)
            await run_interruptible(consumer.run, interrupt=buffers.abandon)
            return
        fetcher = self._context.fetcher(self._remote, probe, buffers, expectation)

        def report() -> None:
            self._reporter.update(
                fetched=buffers.arrived,
                verified=buffers.taken,
                total=state.validators.size,
                connections=fetcher.connections,
            )

        try:
            async with fetcher.running(report):
                await run_interruptible(consumer.run, interrupt=buffers.abandon)
        finally:
            partial.state = consumer.state
            self._received += fetcher.received

    async def _commit(
        self, partial: Partial, expectation: Expectation, hasher: Hasher, verified_by: tuple[str, ...]
    ) -> DownloadResult:
        # Not interruptible: a moment later the file is either in place or still a complete partial.
        try:
            await to_thread.run_sync(lambda: partial.commit(hasher.size, overwrite=self._overwrite))
        except DestinationExistsError:
            # Somebody was faster, perhaps with the same object.
            found = evolve(expectation, sha256=hasher.hexdigest())
            size = await self._look_at_destination(found)
            await to_thread.run_sync(partial.discard)
            if (
                size is None
            ):  # pragma: no cover - it was removed again in between; the next call finds a free path
                raise
            return self._present(found, size)
        self._reporter.finish(hasher.size)
        return DownloadResult(
            path=self._destination,
            size=hasher.size,
            sha256=hasher.hexdigest(),
            resumed_from=self._resumed_from,
            elapsed=self._reporter.elapsed,
            bytes_fetched=self._received,
            verified_by=verified_by,
        )

    def _present(self, expectation: Expectation, size: int) -> DownloadResult:
        self._reporter.finish(size)
        return DownloadResult(
            path=self._destination,
            size=size,
            sha256=expectation.digest or "",
            resumed_from=0,
            elapsed=self._reporter.elapsed,
            bytes_fetched=self._received,
            already_present=True,
            verified_by=tuple(expectation.digests),
        )


def _digest_of(path: Path, stop: threading.Event) -> str | None:
    """Return a file's SHA-256; ``None`` when stopped."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(_READ))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if stop.is_set():
                return None
            sha256.update(buffer[:count])
    return sha256.hexdigest()
