"""Blocks between the threads that receive and the one that hashes, which wants them in order.

Blocks up to a span behind the hash are kept in memory. What comes further ahead is in the file only (it was written
by the thread that received it) and read back when its turn comes: then a late piece costs no memory. But nobody
runs that far ahead while the hash has work; waiting costs nothing then.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._download._controller import RateLimit


class AbandonedError(Exception):
    """The download is over, for whatever reason, and nobody wants blocks any more."""


@define
class Block:
    """Bytes on their way to the hash.

    Attributes:
        start: Their offset.
        buffer: They themselves, at its beginning; ``None`` when they are in the file only.
        length: How many they are.
        kept: Whether they stay in memory until they are hashed.
    """

    start: int
    buffer: memoryview | None
    kept: bool
    length: int = 0


class ReorderBuffer:
    """Puts blocks in order, in bounded memory.

    Args:
        start: Offset of the first byte that will be received.
        block: Size of a block, bytes; all but the object's last one are that long.
        span: How far ahead of the hash blocks are kept in memory, bytes.
        window: How far ahead of the hash blocks may be at all; more than ``span`` only where there is a file.
        ahead: How far one worker alone may be ahead of a busy hash, which then finds in the processor's cache what
            was just received.
    """

    def __init__(self, *, start: int, block: int, span: int, window: int, ahead: int) -> None:
        self.block = block
        self.taken = start
        """Offset up to which bytes are hashed."""
        self.arrived = start
        """Bytes here, in file or memory, each counted once."""
        self.catching_up = False
        """Whether the hash is still busy with what an earlier download left."""
        self.workers = 1
        """How many receive."""
        self._span = span
        self._window = window
        self._ahead = ahead
        self._changed = threading.Condition()
        self._free: list[memoryview] = []
        self._ready: dict[int, Block] = {}
        self._end: int | None = None
        self._abandoned = False
        self._reason: BaseException | None = None
        self._waiting_since: float | None = None
        self._waited = 0.0

    def claim(self, start: int, *, wait: bool = True) -> Block | None:
        """Return an empty block for the bytes at an offset; wait, or return ``None``, while the hash is far away."""
        with self._changed:
            if not wait and not self._has_room(start):
                return None
            self._wait_while(lambda: not self._has_room(start))
            buffer = self._free.pop() if self._free else memoryview(bytearray(self.block))
            return Block(start, buffer, kept=start < self.taken + self._span)

    def put(self, block: Block) -> None:
        """Hand over a block that is full and, where there is a file, written."""
        with self._changed:
            self._raise_if_abandoned()
            if not block.kept and block.buffer is not None:
                self._free.append(block.buffer)
                block.buffer = None
            self._ready[block.start] = block
            self.arrived += block.length
            self._changed.notify_all()

    def take(self, *, stop: Callable[[], bool] = lambda: False) -> Block | None:
        """Block until the next bytes in order are here; ``None`` at the end, or when told to stop.

        Raises:
            AbandonedError: The download is over; its reason is raised in place of this where there is one.
        """
        with self._changed:
            if self.taken not in self._ready:
                self._wait_for_next(stop)
            return None if stop() else self._ready.pop(self.taken, None)

    def _wait_for_next(self, stop: Callable[[], bool]) -> None:
        self._waiting_since = time.monotonic()
        # Whoever waits for the hash may run ahead of it now.
        self._changed.notify_all()
        try:
            self._wait_while(lambda: self.taken not in self._ready and self.taken != self._end and not stop())
        except AbandonedError:
            # Receivers just stop; the consumer's caller learns why.
            raise self._reason or AbandonedError() from None
        finally:
            self._waited += time.monotonic() - self._waiting_since
            self._waiting_since = None

    def release(self, block: Block) -> None:
        """Say that a taken block is hashed."""
        with self._changed:
            self.taken = block.start + block.length
            if block.buffer is not None:
                self._free.append(block.buffer)
            self._changed.notify_all()

    def finish(self, end: int) -> None:
        """Say where the object ends."""
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def wake(self) -> None:
        """Make everybody who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def abandon(self, reason: BaseException | None = None) -> None:
        """Make every waiting and later call raise; the consumer gets ``reason``. The first reason stays."""
        with self._changed:
            if not self._abandoned:
                self._abandoned, self._reason = True, reason
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what `take` would raise if the download is over."""
        with self._changed:
            if self._abandoned:
                raise self._reason or AbandonedError

    def sleep(self, seconds: float) -> None:
        """Block for a time, unless the download is over before."""
        until = time.monotonic() + seconds
        with self._changed:
            while (left := until - time.monotonic()) > 0:
                self._raise_if_abandoned()
                self._changed.wait(left)

    def waited(self) -> float:
        """Return the seconds that the consumer has waited for bytes, in all."""
        with self._changed:
            current = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
            return self._waited + current

    def _has_room(self, start: int) -> bool:
        near = start < self.taken + (min(self._ahead, self._span) if self.workers == 1 else self._span)
        hash_idles = self._waiting_since is not None or self.catching_up
        return near or (hash_idles and start < self.taken + self._window)

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        self._raise_if_abandoned()
        while condition():
            self._changed.wait()
            self._raise_if_abandoned()

    def _raise_if_abandoned(self) -> None:
        if self._abandoned:
            raise AbandonedError


@define(eq=False)
class PieceSink:
    """Receives one piece: fills blocks, writes each where it belongs, hands it over to the hash.

    Args:
        end: The byte behind its last; ``None`` when only the end of the body tells.
        write: Writes bytes to their offset in the file; ``None`` where there is none.
        max_rate: What all receivers share; ``None`` for no limit.
    """

    _buffers: ReorderBuffer
    _next: int = field(alias="start")
    end: int | None
    write: Callable[[memoryview, int], None] | None = field(kw_only=True)
    max_rate: RateLimit | None = field(default=None, kw_only=True)
    _block: Block | None = field(default=None, init=False)
    skip: int = field(default=0, init=False)
    """Bytes of the body to leave out first: they are here from an earlier attempt."""
    received: int = field(default=0, init=False)
    """Bytes received, for rates."""
    waiting: bool = field(default=False, init=False)
    """Whether the piece waits for the hash, which no connection is to blame for."""

    @property
    def position(self) -> int:
        """Offset of the next byte that is wanted."""
        return self._next + (self._block.length if self._block else 0)

    def prepare(self, *, wait: bool = True) -> bool:
        """See to room for the next byte; tell whether there is."""
        if self._block is None:
            self.waiting = wait
            self._block = self._buffers.claim(self._next, wait=wait)
            self.waiting = False
        return self._block is not None

    def get_buffer(self) -> memoryview:
        """Return where the next bytes go; empty at the piece's end."""
        if self.position == self.end:
            return memoryview(b"")
        self.prepare()
        block = self._block
        if block is None or block.buffer is None:  # pragma: no cover - for the type checker
            raise AssertionError
        room = block.buffer[block.length : self._limit()]
        if self.max_rate is not None:
            room = room[: self.max_rate.portion]
        return room[: self.skip] if self.skip else room

    def buffer_updated(self, count: int) -> None:
        """Accept bytes; a full block is written and handed over."""
        self.received += count
        if self.skip:
            self.skip -= count
        elif self._block is not None:
            self._block.length += count
            if self._block.length == self._limit():
                self.flush()
        if self.max_rate is not None:
            self.waiting = True
            self._buffers.sleep(self.max_rate.spend(count, time.monotonic()))
            self.waiting = False

    def abandon(self) -> None:
        """Wake a thread that waits for the hash: the task that waits for it was cancelled."""
        self._buffers.abandon()

    def flush(self) -> None:
        """Write and hand over what there is of a block."""
        block, self._block = self._block, None
        if block is None or not block.length or block.buffer is None:
            return
        if self.write is not None:
            self.write(block.buffer[: block.length], block.start)
        self._next = block.start + block.length
        self._buffers.put(block)

    def _limit(self) -> int:
        block = self._buffers.block
        return block if self.end is None else min(block, self.end - self._next)
