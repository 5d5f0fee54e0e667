"""The workers that bring the pieces: each one connection at a time, each with its own retries.

A worker asks for a piece, lets a thread receive it, and asks for the next. What a worker cannot do ends the
download: the reorder buffer is abandoned with the reason, and the consumer raises it. Workers themselves
raise nothing, so no exception group ever reaches a caller.
"""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
from attrs import define, evolve, field

from datarobot_mlops_async._download._controller import (
    ConcurrencyController,
    RateMeter,
    piece_length,
    too_slow,
)
from datarobot_mlops_async._download._probe import ChangedError, range_header, read_piece
from datarobot_mlops_async._download._reorder_buffer import AbandonedError, PieceSink
from datarobot_mlops_async._retry import Retries
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import (
    APIStatusError,
    ConnectError,
    ReadError,
    StalledError,
    TimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from anyio.abc import TaskGroup

    from datarobot_mlops_async._download._context import DownloadContext
    from datarobot_mlops_async._download._probe import Probe
    from datarobot_mlops_async._download._remote import MirroredObject, RemoteObject
    from datarobot_mlops_async._download._reorder_buffer import ReorderBuffer
    from datarobot_mlops_async._streaming import StreamingResponse

# A piece that is slow on every fresh connection is left alone: it is the network.
_MAX_DROPS = 3


@define(kw_only=True)
class TransferStats:
    """What a fetcher did, for those who outlive it.

    Attributes:
        start: Offset that it began at.
        total: Size of the object; ``None`` if unknown.
        received: Bytes of answers that are over, repeated ones included.
        connections: The most at the same time.
    """

    start: int
    total: int | None
    received: int = 0
    connections: int = 0


@define(eq=False)
class Transfer:
    """One answer while it is received.

    Attributes:
        response: The answer.
        sink: Where its body goes.
        droppable: Whether a fresh connection may be tried for it.
        before: What the sink had received when it began.
        dropped: Whether it was broken off because it was slow.
        stalled: Whether it was broken off because all but nothing came.
    """

    response: StreamingResponse
    sink: PieceSink
    droppable: bool
    started: float = field(factory=time.monotonic)
    before: int = field(init=False)
    meter: RateMeter = field(init=False)
    dropped: bool = False
    stalled: bool = False

    def __attrs_post_init__(self) -> None:
        self.before = self.sink.received
        self.meter = RateMeter(self.started, self.before)

    @property
    def received(self) -> int:
        """Bytes of this answer so far."""
        return self.sink.received - self.before

    @property
    def rate(self) -> float:
        """Bytes a second so far."""
        return self.received / max(1e-6, time.monotonic() - self.started)

    def drop(self, *, stalled: bool) -> None:
        """Break the connection off."""
        self.dropped, self.stalled = not stalled, stalled
        self.response.interrupt()


@contextmanager
def counted(retries: Retries) -> Iterator[None]:
    """Say of an error that ended all attempts how many there were; silence or a trickle on each is a stall."""
    try:
        yield
    except (TransportError, APIStatusError) as error:
        if isinstance(error, TimeoutError) and not isinstance(error, ConnectError):
            raise StalledError(f"{error.message} (on each of {retries.failures} connections)") from error
        error.attempts = retries.failures
        raise


@define(eq=False)
class Fetcher:
    """Fetches an object into a reorder buffer, over as many connections as help.

    Args:
        write: Writes blocks to the file; ``None`` where there is none.
        digest_decides: Whether a digest of the whole is known, which would uncover a mixture of two objects.
    """

    _context: DownloadContext
    _remote: RemoteObject | MirroredObject
    _probe: Probe
    _buffers: ReorderBuffer
    write: Callable[[memoryview, int], None] | None
    digest_decides: bool
    _controller: ConcurrencyController = field(init=False)
    _next: int = field(init=False)
    _transfers: set[Transfer] = field(factory=set, init=False)
    _rate: float = field(default=0.0, init=False)
    _latency: float = field(default=0.0, init=False)
    connections: int = field(default=0, init=False)
    """Connections in use, one for each worker."""
    stats: TransferStats = field(init=False)

    def __attrs_post_init__(self) -> None:
        most = self._context.max_connections if self._probe.ranged else 1
        self._controller = ConcurrencyController(most, now=time.monotonic(), processors=os.cpu_count() or 1)
        self._next = self._probe.end or 0
        self.stats = TransferStats(start=self._probe.start, total=self._probe.total)

    @property
    def received(self) -> int:
        """Bytes that came over the network, repeated ones included."""
        return self.stats.received + sum(each.received for each in self._transfers)

    @asynccontextmanager
    async def running(self, on_tick: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Fetch while the body consumes the blocks; nothing is left behind afterwards.

        Args:
            on_tick: Called in the event loop a few times a second. What it raises ends the download.
        """
        failure: Exception | None = None
        if self._probe.total is not None:
            self._buffers.finish(self._probe.total)
        try:
            async with anyio.create_task_group() as group:
                self._start_worker(
                    group, self._sink(self._probe.start, self._probe.end), self._probe.response
                )
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

    def _start_worker(
        self, group: TaskGroup, sink: PieceSink, response: StreamingResponse | None = None
    ) -> None:
        self._count(1)
        group.start_soon(self._work, sink, response)

    def _count(self, change: int) -> None:
        self._buffers.workers = self.connections = self.connections + change
        self.stats.connections = max(self.stats.connections, self.connections)

    async def _work(self, first: PieceSink, response: StreamingResponse | None) -> None:
        sink: PieceSink | None = first
        try:
            while sink is not None:
                await self._fetch(sink, response)
                response = None
                sink = self._claim() if self.connections <= self._controller.workers else None
        except AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001 - the consumer raises it
            self._buffers.abandon(error)
        finally:
            self._count(-1)

    def _claim(self) -> PieceSink | None:
        """Return the next piece to fetch; ``None`` when all are taken."""
        left = (self._probe.total or 0) - self._next
        if not self._probe.ranged or left <= 0:
            return None
        length = piece_length(
            self._rate,
            latency=self._latency,
            left=left,
            workers=max(self.connections, self._controller.workers),
            span=self._context.tuning.block * self._context.tuning.blocks,
            shortest=self._context.tuning.shortest_piece,
            longest=self._context.tuning.longest_piece,
        )
        self._next += length
        return self._sink(self._next - length, self._next)

    def _sink(self, start: int, end: int | None) -> PieceSink:
        return PieceSink(self._buffers, start, end, write=self.write, max_rate=self._context.max_rate)

    async def _fetch(self, sink: PieceSink, response: StreamingResponse | None) -> None:
        """Fetch one piece, whatever number of attempts it takes."""
        retries, drops = Retries(f"GET {self._remote.url}", self._context.api.options.retry), 0

        async def attempt() -> None:
            nonlocal response, drops
            while sink.position != sink.end:
                answer, response = response or await self._ask(sink), None
                before = sink.position
                transfer = Transfer(answer, sink, drops < _MAX_DROPS)
                self._transfers.add(transfer)
                try:
                    await self._receive(transfer)
                except TransportError:
                    if transfer.stalled:
                        # A trickle is no progress, or it would go on for ever.
                        floor = self._context.tuning.low_speed.floor
                        raise TimeoutError(
                            f"{self._remote.url}: less than {floor:g} bytes a second"
                        ) from None
                    if sink.position > before:
                        retries.renew()
                    if not transfer.dropped:
                        raise
                    drops += 1
                finally:
                    self.stats.received += transfer.received
                    self._transfers.remove(transfer)
                    await answer.aclose()

        with counted(retries):
            await retries.run(attempt)

    async def _receive(self, transfer: Transfer) -> None:
        sink = transfer.sink
        await transfer.response.drain(sink)
        if sink.end is None:
            await run_interruptible(sink.flush, interrupt=self._buffers.abandon)
            sink.end = sink.position
            self._buffers.finish(sink.position)
        elif (missing := sink.end - sink.position) > 0:
            raise ReadError(f"GET {self._remote.url}: the body ended {missing} bytes early")
        self._rate = 0.5 * ((self._rate or transfer.rate) + transfer.rate)

    async def _ask(self, sink: PieceSink) -> StreamingResponse:
        """Ask for bytes again or for the first time, once there is room for them."""
        if not sink.prepare(wait=False):
            await run_interruptible(sink.prepare, interrupt=self._buffers.abandon)
        probe, start, end = self._probe, sink.position, sink.end
        headers = {}
        if probe.ranged or (probe.resumable and start):
            headers["Range"] = range_header(start, end)
            if condition := probe.validators.if_range():
                headers["If-Range"] = condition
        asked = time.monotonic()
        response = await self._remote.get(headers)
        # The least there was: the rest is this machine's own.
        self._latency = min(self._latency or 1e9, time.monotonic() - asked)
        try:
            sink.skip = 0
            if not read_piece(response, start, end or 0, probe.validators):
                if probe.ranged or not (start == 0 or self.digest_decides or probe.validators.identify):
                    raise ChangedError
                sink.skip = start
        except BaseException:
            await response.aclose()
            raise
        return response

    async def _conduct(self, group: TaskGroup, on_tick: Callable[[], Awaitable[None]]) -> None:
        """Look after the workers: more of them while the hash waits, fresh connections for slow ones."""
        then, waited, busy, judged = time.monotonic(), self._buffers.waited(), time.process_time(), 0.0
        try:
            while True:
                await anyio.sleep(self._context.tuning.tick)
                now, waited_now, busy_now = time.monotonic(), self._buffers.waited(), time.process_time()
                starved = 1.0 if self._buffers.catching_up else (waited_now - waited) / (now - then)
                share = (busy_now - busy) / (now - then)
                then, waited, busy = now, waited_now, busy_now
                await on_tick()
                wanted = self._controller.decide(
                    now, received=self.received, starved=starved, busy=share, latency=self._probe.latency
                )
                self._grow(group, wanted)
                if now - judged > self._context.tuning.low_speed.window / 10:
                    judged = now
                    self._judge(now, starved)
        except Exception as error:  # noqa: BLE001 - the caller's callback; the consumer raises it
            self._buffers.abandon(error)

    def _grow(self, group: TaskGroup, wanted: int) -> None:
        while self.connections < wanted and (sink := self._claim()) is not None:
            self._start_worker(group, sink)

    def _judge(self, now: float, starved: float) -> None:
        limit = self._context.tuning.low_speed
        if self._context.max_rate is not None:
            share = self._context.max_rate.rate / max(1, len(self._transfers))
            limit = evolve(limit, floor=min(limit.floor, limit.fraction * share))
        for transfer in self._transfers:
            if starved < 0.5 or transfer.sink.waiting:
                # Whoever waits for the hash, or for a slow reader of the stream, is not slow.
                transfer.meter = RateMeter(now, transfer.sink.received)
            else:
                transfer.meter.sample(now, transfer.sink.received, max(limit.window, limit.floor_window))
        meters = {transfer: transfer.meter for transfer in self._transfers}
        slow, stalled = too_slow(meters, limit, self._rate or None)
        for transfer in slow | stalled:
            if transfer in stalled or transfer.droppable:
                transfer.drop(stalled=transfer in stalled)
