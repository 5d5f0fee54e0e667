"""The lanes that bring the pieces: each one connection at a time, each with its own retries.

A lane asks for a piece, lets a thread receive it onto the shelf, and asks for the next. What a lane cannot do
ends the download: the shelf is abandoned with the reason, and the consumer raises it. Lanes themselves
raise nothing, so no exception group ever reaches a caller.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter
from attrs import define, frozen

from datarobot_mlops_async._download._opening import ChangedError, read_piece
from datarobot_mlops_async._download._pace import Ramp, RateMeter, piece_length, too_slow
from datarobot_mlops_async._download._patience import Patience
from datarobot_mlops_async._download._ranges import range_header
from datarobot_mlops_async._download._shelf import AbandonedError, PieceSink
from datarobot_mlops_async._transport._bulk_thread import run_interruptible
from datarobot_mlops_async.errors import (
    APIStatusError,
    ReadError,
    TimeoutError,  # noqa: A004 - ours
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import TaskGroup

    from datarobot_mlops_async._download._opening import Opening
    from datarobot_mlops_async._download._origin import Origin
    from datarobot_mlops_async._download._shelf import Shelf
    from datarobot_mlops_async._download._tuning import Tuning
    from datarobot_mlops_async._retry import RetryPolicy
    from datarobot_mlops_async._transport._bulk import BulkResponse

# A piece that is slow on every fresh connection is left alone: it is the network.
_MAX_DROPS = 3


@frozen
class Piece:
    """A byte range, fetched by one lane: from ``start`` up to ``end``, or to the end of the body."""

    start: int
    end: int | None


@define(kw_only=True)
class Tally:
    """What a fetcher did, for those who outlive it.

    Attributes:
        start: Offset that it began at.
        total: Size of the object; ``None`` if unknown.
        received: Bytes of pieces that are over, repeated ones included.
        connections: The most at the same time.
    """

    start: int
    total: int | None
    received: int = 0
    connections: int = 0


class Transfer:
    """One answer while it is received."""

    def __init__(self, response: BulkResponse, sink: PieceSink, drops: int) -> None:
        self.response = response
        self.sink = sink
        self.started = time.monotonic()
        self.meter = RateMeter(self.started)
        self.droppable = drops < _MAX_DROPS
        self.dropped = False
        self.stalled = False

    def drop(self, *, stalled: bool) -> None:
        """Break the connection off."""
        self.dropped, self.stalled = not stalled, stalled
        self.response.interrupt()


class Fetcher:
    """Fetches an opened object onto a shelf, over as many connections as help.

    Args:
        origin: Where the pieces come from.
        opening: The first answer.
        shelf: Where they go.
        tuning: Sizes and times.
        retry: Patience with one piece.
        max_connections: Upper bound of lanes.
        digest_decides: Whether a digest of the whole is known, which would uncover a mixture of two objects.
    """

    def __init__(
        self,
        origin: Origin,
        opening: Opening,
        shelf: Shelf,
        *,
        tuning: Tuning,
        retry: RetryPolicy,
        max_connections: int,
        digest_decides: bool,
    ) -> None:
        self._origin = origin
        self._opening = opening
        self._shelf = shelf
        self._tuning = tuning
        self._retry = retry
        self._ramp = Ramp(max_connections if opening.ranged else 1, now=time.monotonic())
        self._digest_decides = digest_decides
        self._next = opening.end or 0
        self._transfers: dict[int, Transfer] = {}
        self._lanes: set[int] = set()
        self._lanes_begun = 0
        self._rate = 0.0
        self.tally = Tally(start=opening.start, total=opening.total)
        self._limiter = CapacityLimiter(max_connections + 1)

    @property
    def connections(self) -> int:
        """Connections in use."""
        return len(self._lanes)

    @property
    def received(self) -> int:
        """Bytes that came over the network, repeated ones included."""
        return self.tally.received + sum(each.sink.received for each in self._transfers.values())

    @asynccontextmanager
    async def running(self, on_tick: Callable[[], None]) -> AsyncIterator[None]:
        """Fetch while the body consumes the shelf; nothing is left behind afterwards.

        Args:
            on_tick: Called in the event loop a few times a second. What it raises ends the download.
        """
        failure: Exception | None = None
        if self._opening.total is not None:
            self._shelf.finish(self._opening.total)
        try:
            async with anyio.create_task_group() as group:
                self._start_lane(group, self._opening)
                group.start_soon(self._conduct, group, on_tick)
                try:
                    yield
                except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
                    failure = error
                finally:
                    self._shelf.abandon()
                    group.cancel_scope.cancel()
        finally:
            await self._opening.response.aclose()
        if failure is not None:
            raise failure

    def _start_lane(self, group: TaskGroup, first: Opening | None = None) -> None:
        self._lanes_begun += 1
        self._lanes.add(self._lanes_begun)
        self.tally.connections = max(self.tally.connections, len(self._lanes))
        group.start_soon(self._lane, self._lanes_begun, first)

    async def _lane(self, key: int, first: Opening | None) -> None:
        try:
            if first is not None:
                await self._fetch(key, Piece(first.start, first.end), first.response)
            while len(self._lanes) <= self._ramp.lanes and (piece := self._claim()) is not None:
                await self._wait_for_room(piece.start)
                await self._fetch(key, piece)
        except AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001 - the consumer raises it
            self._shelf.abandon(error)
        finally:
            self._lanes.discard(key)

    def _claim(self) -> Piece | None:
        left = (self._opening.total or 0) - self._next
        if not self._opening.ranged or left <= 0:
            return None
        tuning = self._tuning
        length = piece_length(
            self._rate,
            left=left,
            lanes=len(self._lanes),
            shortest=tuning.shortest_piece,
            longest=tuning.longest_piece,
        )
        piece = Piece(self._next, self._next + length)
        self._next += length
        return piece

    async def _wait_for_room(self, start: int) -> None:
        if not self._shelf.has_room(start):
            await run_interruptible(
                lambda: self._shelf.wait_for_room(start),
                interrupt=self._shelf.abandon,
                limiter=self._limiter,
            )

    async def _fetch(self, key: int, piece: Piece, response: BulkResponse | None = None) -> None:
        """Fetch one piece, whatever number of attempts it takes."""
        position, drops, skip = piece.start, 0, 0
        patience = Patience(self._retry)
        while position != piece.end:
            transfer = None
            try:
                if response is None:
                    response, skip = await self._ask(position, piece.end)
                sink = PieceSink(self._shelf, position, piece.end, skip=skip)
                transfer = Transfer(response, sink, drops)
                await self._receive(key, transfer, piece)
            except (TransportError, APIStatusError) as error:
                before, position = position, transfer.sink.position if transfer else position
                if transfer and transfer.dropped:
                    drops += 1
                else:
                    await anyio.sleep(self._delay(patience, error, transfer, progressed=position > before))
            else:
                return
            finally:
                if response is not None:
                    await response.aclose()
                    response = None

    def _delay(
        self,
        patience: Patience,
        error: TransportError | APIStatusError,
        transfer: Transfer | None,
        *,
        progressed: bool,
    ) -> float:
        if transfer is not None and transfer.stalled:
            # A trickle is no progress, or it would go on for ever.
            trickle = TimeoutError(
                f"{self._origin.url}: less than {self._tuning.pace.floor:g} bytes a second"
            )
            return patience.delay_after(trickle, progressed=False)
        return patience.delay_after(error, progressed=progressed)

    async def _receive(self, key: int, transfer: Transfer, piece: Piece) -> None:
        sink = transfer.sink
        self._transfers[key] = transfer
        try:
            await transfer.response.drain(sink)
        except TransportError:
            await run_interruptible(sink.flush, interrupt=self._shelf.abandon, limiter=self._limiter)
            raise
        finally:
            del self._transfers[key]
            self.tally.received += sink.received
        if piece.end is None:
            await run_interruptible(sink.flush, interrupt=self._shelf.abandon, limiter=self._limiter)
            self._shelf.finish(sink.position)
        elif sink.position < piece.end:
            raise ReadError(f"GET {self._origin.url}: the body ended {piece.end - sink.position} bytes early")
        self._note_rate(sink.received / max(1e-6, time.monotonic() - transfer.started))

    def _note_rate(self, rate: float) -> None:
        self._rate = rate if not self._rate else 0.5 * (self._rate + rate)

    async def _ask(self, start: int, end: int | None) -> tuple[BulkResponse, int]:
        """Ask for bytes again or for the first time; the second item is how many to skip in the answer."""
        opening = self._opening
        headers = {}
        if opening.ranged or (opening.resumable and start):
            headers["Range"] = range_header(start, end)
            if condition := opening.validators.if_range():
                headers["If-Range"] = condition
        response = await self._origin.get(headers)
        try:
            if read_piece(response, start, end or 0, opening.validators):
                return response, 0
            if opening.ranged or not (start == 0 or self._digest_decides or opening.validators.identify):
                raise ChangedError
        except BaseException:
            await response.aclose()
            raise
        return response, start

    async def _conduct(self, group: TaskGroup, on_tick: Callable[[], None]) -> None:
        """Look after the lanes: more of them while the hash waits, fresh connections for slow ones."""
        then, waited, judged = time.monotonic(), self._shelf.waited(), 0.0
        try:
            while True:
                await anyio.sleep(self._tuning.tick)
                now, waited_now = time.monotonic(), self._shelf.waited()
                starved = 1.0 if self._shelf.is_catching_up else (waited_now - waited) / (now - then)
                then, waited = now, waited_now
                on_tick()
                self._grow(group, self._ramp.decide(now, received=self.received, starved=starved))
                if now - judged > self._tuning.pace.window / 10:
                    judged = now
                    self._judge(now, starved)
        except Exception as error:  # noqa: BLE001 - the caller's callback; the consumer raises it
            self._shelf.abandon(error)

    def _grow(self, group: TaskGroup, wanted: int) -> None:
        if self._next < (self._opening.total or 0):
            for _ in range(len(self._lanes), wanted):
                self._start_lane(group)

    def _judge(self, now: float, starved: float) -> None:
        pace = self._tuning.pace
        if starved < 0.5:
            # Whoever waits for the hash, or for a slow reader of the stream, is not slow.
            for transfer in self._transfers.values():
                transfer.meter = RateMeter(now, transfer.sink.received)
            return
        for transfer in self._transfers.values():
            transfer.meter.sample(now, transfer.sink.received, max(pace.window, pace.floor_window))
        meters = {key: transfer.meter for key, transfer in self._transfers.items()}
        slow, stalled = too_slow(meters, pace, self._rate or None)
        for key in slow | stalled:
            transfer = self._transfers[key]
            if key in stalled or transfer.droppable:
                transfer.drop(stalled=key in stalled)
