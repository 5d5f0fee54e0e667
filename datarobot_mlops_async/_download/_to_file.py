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
from datarobot_mlops_async._download._job import logger
from datarobot_mlops_async._download._opening import ChangedError
from datarobot_mlops_async._download._partial import exists_error, open_partial
from datarobot_mlops_async._download._results import DownloadResult
from datarobot_mlops_async._download._shelf import Shelf
from datarobot_mlops_async._transport._bulk_thread import run_interruptible
from datarobot_mlops_async.errors import DestinationExistsError, IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from datarobot_mlops_async._download._job import Job
    from datarobot_mlops_async._download._opening import Opening
    from datarobot_mlops_async._download._origin import Origin
    from datarobot_mlops_async._download._partial import Partial
    from datarobot_mlops_async._download._progress import Reporter
    from datarobot_mlops_async._download._promise import Promise
    from datarobot_mlops_async._download._resume_state import ResumeState

_READ = 1024 * 1024


class FileDownload:
    """One download to one path.

    Args:
        job: What to download.
        origin: Where it is.
        destination: The file to be.
        resume: Whether to go on with what an earlier download left.
        overwrite: Whether another file at the destination may be replaced.
        reporter: Hears of progress.
    """

    def __init__(
        self,
        job: Job,
        origin: Origin,
        destination: Path,
        *,
        resume: bool,
        overwrite: bool,
        reporter: Reporter,
    ) -> None:
        self._job = job
        self._origin = origin
        self._destination = destination
        self._resume = resume
        self._overwrite = overwrite
        self._reporter = reporter
        self._resumed_from = 0
        self._received = 0

    async def run(self, promise: Promise, opening: Opening | None) -> DownloadResult:
        """Download.

        Args:
            promise: What the object should be.
            opening: The first answer, when it was needed for the file's name.
        """
        async with self._partial(promise) as partial:
            present = await self._look_at_destination(promise)
            if present is not None:
                return self._present(promise, present)
            if opening is not None and partial.state.verified:
                await opening.response.aclose()
                opening = None
            return await self._until_stable(partial, promise, opening)

    @asynccontextmanager
    async def _partial(self, promise: Promise) -> AsyncIterator[Partial]:
        """Open the partial file; wait while another process of this host fills it."""
        waiting = False
        while True:
            partial = await to_thread.run_sync(
                lambda: open_partial(
                    self._destination, is_usable=lambda state: self._is_usable(state, promise)
                )
            )
            if partial is not None:
                break
            if not waiting:
                logger.info("download: waiting for another process that downloads to %s", self._destination)
                waiting = True
            await anyio.sleep(self._job.tuning.lock_poll)
        try:
            yield partial
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial.close)

    def _is_usable(self, state: ResumeState, promise: Promise) -> bool:
        size = state.validators.size
        if not self._resume or (promise.size is not None and size is not None and size != promise.size):
            return False
        if state.sha256 is not None and promise.sha256 is not None:
            return state.sha256 == promise.sha256
        return state.validators.identify or state.is_complete

    async def _look_at_destination(self, promise: Promise) -> int | None:
        """Return the size of a destination that has the right bytes already.

        Raises:
            DestinationExistsError: It has others, and may not be replaced.
        """
        try:
            size = (await anyio.Path(self._destination).stat()).st_size
        except FileNotFoundError:
            return None
        if promise.sha256 is not None and promise.size in {None, size}:
            stop = threading.Event()
            digest = await run_interruptible(lambda: _digest_of(self._destination, stop), interrupt=stop.set)
            if digest == promise.sha256:
                return size
        if not self._overwrite:
            raise exists_error(self._destination)
        return None

    async def _until_stable(
        self, partial: Partial, promise: Promise, opening: Opening | None
    ) -> DownloadResult:
        """Fetch and verify; again from the start when the object changed meanwhile."""
        restarts = 0
        while True:
            try:
                return await self._once(partial, promise, opening)
            except PrefixError as error:
                logger.warning(
                    "download: what was left of %s is damaged behind byte %d", self._destination, error.good
                )
                await to_thread.run_sync(partial.cut_to, error.good)
            except ChangedError:
                await to_thread.run_sync(partial.restart)
                restarts += 1
                if restarts > self._job.tuning.restarts:
                    raise self._changed() from None
                await self._job.has_moved()
                promise = await self._job.promise()
            except IntegrityError as error:
                await to_thread.run_sync(partial.restart)
                error.destination = self._destination
                if not await self._job.explain(error) or restarts:
                    raise
                restarts += 1
                promise = await self._job.promise()
            opening = None

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._job.filename or 'the artifact'} kept changing on the server while it was fetched",
            filename=self._job.filename,
            destination=self._destination,
        )

    async def _once(self, partial: Partial, promise: Promise, opening: Opening | None) -> DownloadResult:
        state = partial.state
        if opening is None and not state.is_complete:
            opening = await self._job.open(self._origin, state.verified, state.validators)
        if opening is not None:
            try:
                promise = self._job.judge(opening, promise)
                state = await self._prepare(partial, promise, opening)
            except BaseException:
                await opening.response.aclose()
                raise
        self._resumed_from = state.verified
        self._reporter.begin(resumed_from=state.verified, total=state.validators.size)
        hasher = Hasher(promise)
        await self._fetch(partial, promise, opening, state, hasher)
        verified_by = hasher.verify()
        return await self._commit(partial, promise, hasher, verified_by)

    async def _prepare(self, partial: Partial, promise: Promise, opening: Opening) -> ResumeState:
        if opening.start == 0 and partial.state.verified:
            await to_thread.run_sync(partial.restart)
        size = opening.total if opening.total is not None else promise.size
        if size is not None:
            await to_thread.run_sync(partial.require_space, size)
        return evolve(partial.state, sha256=promise.sha256, validators=opening.validators)

    async def _fetch(
        self, partial: Partial, promise: Promise, opening: Opening | None, state: ResumeState, hasher: Hasher
    ) -> None:
        tuning = self._job.tuning
        shelf = Shelf(
            start=0,
            present=state.verified,
            block=tuning.block,
            blocks=tuning.blocks,
            window=tuning.window,
            spill=partial.write_at,
        )
        consumer = FileConsumer(shelf, partial, hasher, state=state, interval=tuning.checkpoint)
        if opening is None:
            shelf.finish(state.verified)
            await run_interruptible(consumer.run, interrupt=shelf.abandon)
            return
        fetcher = self._job.fetcher(self._origin, opening, shelf, promise)

        def report() -> None:
            self._reporter.update(
                fetched=shelf.arrived,
                verified=shelf.taken,
                total=state.validators.size,
                connections=fetcher.connections,
            )

        try:
            async with fetcher.running(report):
                await run_interruptible(consumer.run, interrupt=shelf.abandon)
        finally:
            partial.state = consumer.state
            self._received += fetcher.received

    async def _commit(
        self, partial: Partial, promise: Promise, hasher: Hasher, verified_by: tuple[str, ...]
    ) -> DownloadResult:
        # Not interruptible: a moment later the file is either in place or still a complete partial.
        try:
            await to_thread.run_sync(lambda: partial.commit(hasher.size, overwrite=self._overwrite))
        except DestinationExistsError:
            # Somebody was faster, perhaps with the same object.
            found = evolve(promise, digests={**promise.digests, "metadata": hasher.hexdigest()})
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

    def _present(self, promise: Promise, size: int) -> DownloadResult:
        self._reporter.finish(size)
        return DownloadResult(
            path=self._destination,
            size=size,
            sha256=promise.sha256 or "",
            resumed_from=0,
            elapsed=self._reporter.elapsed,
            bytes_fetched=self._received,
            already_present=True,
            verified_by=tuple(promise.digests),
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
