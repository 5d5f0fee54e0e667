"""The workers that bring the pieces: each one connection at a time, each with its own retries.

A worker asks for a piece, lets a thread receive it onto the buffers, and asks for the next. What a worker cannot do
ends the download: the buffer is abandoned with the reason, and the consumer raises it. Workers themselves
raise nothing, so no exception group ever reaches a caller.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter
from attrs import define, frozen

from datarobot_mlops_async._download._controller import (
    ConcurrencyController,
    RateMeter,
    piece_length,
    too_slow,
)
from datarobot_mlops_async._download._probe import ChangedError, read_piece
from datarobot_mlops_async._download._ranges import range_header
from datarobot_mlops_async._download._reorder_buffer import AbandonedError, PieceSink
from datarobot_mlops_async._download._retry_state import RetryState
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import (
    APIStatusError,
    ReadError,
    TimeoutError,  # noqa: A004 - ours
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import TaskGroup

    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async._download._remote import RemoteObject
    from datarobot_mlops_async._download._reorder_buffer import ReorderBuffer
    from datarobot_mlops_async._download._tuning import Tuning
    from datarobot_mlops_async._retry import RetryPolicy
    from datarobot_mlops_async._streaming import StreamingResponse

# A piece that is slow on every fresh connection is left alone: it is the network.
_MAX_DROPS = 3


@frozen
class Piece:
    """A byte range, fetched by one worker: from ``start`` up to ``end``, or to the end of the body."""

    start: int
    end: int | None


@define(kw_only=True)
class TransferStats:
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

    def __init__(self, response: StreamingResponse, sink: PieceSink, drops: int) -> None:
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
    """Fetches an opened object onto a reorder buffer, over as many connections as help.

    Args:
        remote: Where the pieces come from.
        probe: The first answer.
        buffers: Where they go.
        tuning: Sizes and times.
        retry: The patience with one piece.
        max_connections: Upper bound of workers.
        digest_decides: Whether a digest of the whole is known, which would uncover a mixture of two objects.
    """

    def __init__(
        self,
        remote: RemoteObject,
        probe: Probe,
        buffers: ReorderBuffer,
        *,
        tuning: Tuning,
        retry: RetryPolicy,
        max_connections: int,
        digest_decides: bool,
    ) -> None:
        self._remote = remote
        self._probe = probe
        self._buffers = buffers
        self._tuning = tuning
        self._retry = retry
        self._ramp = ConcurrencyController(max_connections if probe.ranged else 1, now=time.monotonic())
        self._digest_decides = digest_decides
        self._next = probe.end or 0
        self._transfers: dict[int, Transfer] = {}
        self._workers: set[int] = set()
        self._workers_begun = 0
        self._rate = 0.0
        self.stats = TransferStats(start=probe.start, total=probe.total)
        self._limiter = CapacityLimiter(max_connections + 1)

    @property
    def connections(self) -> int:
        """Connections in use."""
        return len(self._workers)

    @property
    def received(self) -> int:
        """Bytes that came over the network, repeated ones included."""
        return self.stats.received + sum(each.sink.received for each in self._transfers.values())

    @asynccontextmanager
    async def running(self, on_tick: Callable[[], None]) -> AsyncIterator[None]:
        """Fetch while the body consumes the buffers; nothing is left behind afterwards.

        Args:
            on_tick: Called in the event loop a few times a second. What it raises ends the download.
        """
        failure: Exception | None = None
        if self._probe.total is not None:
            self._buffers.finish(self._probe.total)
        try:
            async with anyio.create_task_group() as group:
                self._start_worker(group, self._probe)
                group.start_soon(self._conduct, group, on_tick)
                try:
                    yield
                except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
                    failure = error
                finally:
                    self._buffers.abandon()
                    group.cancel_scope.cancel()
        finally:
            await self._probe.response.aclose()
        if failure is not None:
            raise failure

    def _start_worker(self, group: TaskGroup, first: Probe | None = None) -> None:
        self._workers_begun += 1
        self._workers.add(self._workers_begun)
        self.stats.connections = max(self.stats.connections, len(self._workers))
        group.start_soon(self._worker, self._workers_begun, first)

    async def _worker(self, key: int, first: Probe | None) -> None:
        try:
            if first is not None:
                await self._fetch(key, Piece(first.start, first.end), first.response)
            while len(self._workers) <= self._ramp.workers and (piece := self._claim()) is not None:
                await self._wait_for_room(piece.start)
                await self._fetch(key, piece)
        except AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001 - the consumer raises it
            self._buffers.abandon(error)
        finally:
            self._workers.discard(key)

    def _claim(self) -> Piece | None:
        left = (self._probe.total or 0) - self._next
        if not self._probe.ranged or left <= 0:
            return None
        tuning = self._tuning
        length = piece_length(
            self._rate,
            left=left,
            workers=len(self._workers),
            shortest=tuning.shortest_piece,
            longest=tuning.longest_piece,
        )
        piece = Piece(self._next, self._next + length)
        self._next += length
        return piece

    async def _wait_for_room(self, start: int) -> None:
        if not self._buffers.has_room(start):
            await run_interruptible(
                lambda: self._buffers.wait_for_room(start),
                interrupt=self._buffers.abandon,
                limiter=self._limiter,
            )

    async def _fetch(self, key: int, piece: Piece, response: StreamingResponse | None = None) -> None:
        """Fetch one piece, whatever number of attempts it takes."""
        position, drops, skip = piece.start, 0, 0
        patience = RetryState(self._retry)
        while position != piece.end:
            transfer = None
            try:
                if response is None:
                    response, skip = await self._ask(position, piece.end)
                sink = PieceSink(self._buffers, position, piece.end, skip=skip)
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
        patience: RetryState,
        error: TransportError | APIStatusError,
        transfer: Transfer | None,
        *,
        progressed: bool,
    ) -> float:
        if transfer is not None and transfer.stalled:
            # A trickle is no progress, or it would go on for ever.
            trickle = TimeoutError(
                f"{self._remote.url}: less than {self._tuning.pace.floor:g} bytes a second"
            )
            return patience.delay_after(trickle, progressed=False)
        return patience.delay_after(error, progressed=progressed)

    async def _receive(self, key: int, transfer: Transfer, piece: Piece) -> None:
        sink = transfer.sink
        self._transfers[key] = transfer
        try:
            await transfer.response.drain(sink)
        except TransportError:
            await run_interruptible(sink.flush, interrupt=self._buffers.abandon, limiter=self._limiter)
            raise
        finally:
            del self._transfers[key]
            self.stats.received += sink.received
        if piece.end is None:
            await run_interruptible(sink.flush, interrupt=self._buffers.abandon, limiter=self._limiter)
            self._buffers.finish(sink.position)
        elif sink.position < piece.end:
            raise ReadError(f"GET {self._remote.url}: the body ended {piece.end - sink.position} bytes early")
        self._note_rate(sink.received / max(1e-6, time.monotonic() - transfer.started))

    def _note_rate(self, rate: float) -> None:
        self._rate = rate if not self._rate else 0.5 * (self._rate + rate)

    async def _ask(self, start: int, end: int | None) -> tuple[StreamingResponse, int]:
        """Ask for bytes again or for the first time; the second item is how many to skip in the answer."""
        probe = self._probe
        headers = {}
        if probe.ranged or (probe.resumable and start):
            headers["Range"] = range_header(start, end)
            if condition := probe.validators.if_range():
                headers["If-Range"] = condition
        response = await self._remote.get(headers)
        try:
            if read_piece(response, start, end or 0, probe.validators):
                return response, 0
            if probe.ranged or not (start == 0 or self._digest_decides or probe.validators.identify):
                raise ChangedError
        except BaseException:
            await response.aclose()
            raise
        return response, start

    async def _conduct(self, group: TaskGroup, on_tick: Callable[[], None]) -> None:
        """Look after the workers: more of them while the hash waits, fresh connections for slow ones."""
        then, waited, judged = time.monotonic(), self._buffers.waited(), 0.0
        try:
            while True:
                await anyio.sleep(self._tuning.tick)
                now, waited_now = time.monotonic(), self._buffers.waited()
                starved = 1.0 if self._buffers.is_catching_up else (waited_now - waited) / (now - then)
                then, waited = now, waited_now
                on_tick()
                self._grow(group, self._ramp.decide(now, received=self.received, starved=starved))
                if now - judged > self._tuning.pace.window / 10:
                    judged = now
                    self._judge(now, starved)
        except Exception as error:  # noqa: BLE001 - the caller's callback; the consumer raises it
            self._buffers.abandon(error)

    def _grow(self, group: TaskGroup, wanted: int) -> None:
        if self._next < (self._probe.total or 0):
            for _ in range(len(self._workers), wanted):
                self._start_worker(group)

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
