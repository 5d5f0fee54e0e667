"""One thing to download, and the steps that a file and a stream have in common."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
from attrs import define, evolve, field

from datarobot_mlops_async._download._fetcher import Fetcher, Tally
from datarobot_mlops_async._download._names import filename_from_disposition, filename_from_url
from datarobot_mlops_async._download._opening import open_object
from datarobot_mlops_async._download._origin import Origin
from datarobot_mlops_async._download._patience import Patience
from datarobot_mlops_async._download._promise import Promise
from datarobot_mlops_async._download._ranges import Validators
from datarobot_mlops_async._transport._bulk import BulkClient
from datarobot_mlops_async.errors import APIStatusError, IntegrityError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from datarobot_mlops_async._api import Api
    from datarobot_mlops_async._download._opening import Opening
    from datarobot_mlops_async._download._results import ArtifactKind, Expectation
    from datarobot_mlops_async._download._shelf import Shelf
    from datarobot_mlops_async._download._tuning import Tuning

logger = logging.getLogger("datarobot_mlops_async")


@define(kw_only=True)
class Job:
    """What to download, and with how much patience.

    Attributes:
        api: The session's way to the service.
        path: Path and query relative to the API's root.
        kind: What the bytes should be.
        filename: A safe name; ``None`` until the server names one.
        metadata: What the metadata promise.
        refresh: Reads the metadata again; ``None`` where there are none.
        expected_sha256: What the caller expects.
        max_connections: Upper bound.
        tuning: Sizes and times.
    """

    api: Api
    path: str
    kind: ArtifactKind
    filename: str | None
    metadata: Expectation
    refresh: Callable[[], Awaitable[Expectation]] | None
    expected_sha256: str | None
    max_connections: int
    tuning: Tuning
    _tallies: list[Tally] = field(factory=list, init=False)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell whoever watches of the download, however it ends."""
        with self.api.telemetry.download(self.kind) as watch:
            try:
                yield
            finally:
                watch.tell(fetched=sum(each.received for each in self._tallies))
                if self._tallies:
                    watch.tell(
                        size=self._tallies[-1].total,
                        resumed_from=self._tallies[-1].start,
                        connections=max(each.connections for each in self._tallies),
                    )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Origin]:
        """Give the object's origin, over connections that are closed at the end."""
        api = self.api
        api.lifetime.check()
        client = BulkClient(
            api.settings,
            read_timeout=api.options.timeout,
            max_threads=self.max_connections,
            foreign_transport=api.client.foreign_transport,
        )
        try:
            yield Origin(api, self.path, client)
        finally:
            await client.aclose()

    async def promise(self) -> Promise:
        """Return what was promised so far.

        Raises:
            IntegrityError: The caller expects something else than the metadata promise, also when those
                are read again.
        """
        promise = self._promise()
        if promise.contradicts_itself and await self.has_moved():
            promise = self._promise()
        if promise.contradicts_itself:
            error = promise.broken(
                expected=promise.digests["expected_sha256"], actual=promise.digests["metadata"], size=0
            )
            error.object_changed = False
            raise error
        return promise

    def _promise(self) -> Promise:
        return Promise.made(self.kind, self.filename, self.metadata, self.expected_sha256)

    async def has_moved(self) -> bool:
        """Read the metadata again, and tell whether they changed: "latest" may mean another object now."""
        if self.refresh is None:
            return False
        before, self.metadata = self.metadata, await self.refresh()
        return before != self.metadata

    async def open(self, origin: Origin, start: int = 0, validators: Validators | None = None) -> Opening:
        """Get the first answer, with the retry policy's patience.

        Args:
            origin: Where the object is.
            start: Bytes that are here already.
            validators: Of the object those bytes belong to.
        """
        patience = Patience(self.api.options.retry)
        while True:
            try:
                opening = await open_object(
                    origin,
                    start=start,
                    length=2 * self.tuning.shortest_piece,
                    validators=validators or Validators(),
                )
            except (TransportError, APIStatusError) as error:
                await anyio.sleep(patience.delay_after(error, progressed=False))
            else:
                return opening

    def name(self, opening: Opening) -> str:
        """Return the file name, as known or as the first answer suggests; always safe."""
        if self.filename is None:
            self.filename = (
                filename_from_disposition(opening.headers.get("content-disposition", ""))
                or filename_from_url(opening.response.url)
                or "artifact"
            )
        return self.filename

    def judge(self, opening: Opening, promise: Promise) -> Promise:
        """Check what the first answer announces, and return the promise with what its headers add.

        Raises:
            IntegrityError: The announced size is not the promised one, or the body is encoded and nobody
                named a digest that could decide whether it should be.
        """
        promise = evolve(promise, filename=self.filename)
        promise = promise.with_headers(opening.headers, whole=opening.response.status == 200)
        promise.check_total(opening.total)
        if opening.is_encoded and promise.sha256 is None:
            encoding = opening.headers["content-encoding"]
            raise promise.broken(
                expected="the bytes as they are", actual=f"a body encoded with {encoding}", size=0
            )
        return promise

    def fetcher(self, origin: Origin, opening: Opening, shelf: Shelf, promise: Promise) -> Fetcher:
        """Return the lanes for an opened object."""
        fetcher = Fetcher(
            origin,
            opening,
            shelf,
            tuning=self.tuning,
            retry=self.api.options.retry,
            max_connections=self.max_connections,
            digest_decides=promise.sha256 is not None,
        )
        self._tallies.append(fetcher.tally)
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
