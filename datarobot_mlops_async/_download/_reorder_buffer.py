"""Where blocks wait for the hash, which wants them in order.

Threads that receive put blocks in; one consumer takes them out in order. A block at the frontier, the end of
what is there without a gap, is handed over in memory and hashed while it is in the processor's cache. With a
file underneath, a block that came early is written where it belongs at once and read back when its turn
comes, so that a late piece costs no memory; without one (``spill`` is ``None``) early blocks stay in
memory, and receivers wait at the end of the window.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable


class AbandonedError(Exception):
    """The download is over, for whatever reason, and nobody wants blocks any more."""


@frozen
class Block:
    """Bytes whose turn has come.

    Attributes:
        start: Their offset.
        length: How many they are.
        buffer: They themselves, at its beginning; ``None`` when they are in the file.
    """

    start: int
    length: int
    buffer: bytearray | None


class ReorderBuffer:
    """Blocks between the receivers and the hash.

    Args:
        start: Offset of the first byte that will be taken.
        present: Offset up to which the file already holds the bytes.
        block: Size of a buffer, bytes.
        blocks: How many buffers lie between receivers and consumer when there is a file.
        window: How far ahead of the consumer pieces may lie, bytes.
        spill: Writes bytes to their offset in the file; ``None`` to keep everything in memory.
    """

    def __init__(
        self,
        *,
        start: int,
        present: int,
        block: int,
        blocks: int,
        window: int,
        spill: Callable[[memoryview, int], None] | None,
    ) -> None:
        self._changed = threading.Condition()
        self._taken = start
        self._present = present
        self._frontier = present
        self._block = block
        self._window = window
        self._spill = spill
        self._free = [bytearray(block) for _ in range(blocks)] if spill else []
        self._held: dict[int, tuple[bytearray, int]] = {}
        self._early: dict[int, int] = {}
        self._end: int | None = None
        self._abandoned = False
        self._reason: BaseException | None = None
        self._waiting_since: float | None = None
        self._waited = 0.0
        self.arrived = present
        """Bytes here, in file or memory, each counted once."""

    def new_buffer(self) -> bytearray:
        """Return a buffer for a receiver's first block."""
        with self._changed:
            return self._free.pop() if self._spill is None and self._free else bytearray(self._block)

    def wait_for_room(self, start: int) -> None:
        """Block until a piece that starts here lies within the window."""
        with self._changed:
            self._wait_while(lambda: start >= max(self._taken, self._present) + self._window)

    def has_room(self, start: int) -> bool:
        """Tell whether `wait_for_room` would return at once."""
        with self._changed:
            return start < max(self._taken, self._present) + self._window

    def put(self, run: int, start: int, buffer: bytearray, length: int) -> bytearray:
        """Take over a received block and return the buffer for the next one.

        Args:
            run: Offset at which this receiver began; from there to ``start`` it has put everything.
            start: The block's offset.
            buffer: The block is at its beginning.
            length: Bytes in it.
        """
        with self._changed:
            if self._spill is None:
                return self._hold_in_memory(run, start, buffer, length)
            if start == self._frontier:
                # Everything before this block is here, so the consumer has work and will free a buffer.
                self._wait_while(lambda: not self._free)
                replacement = self._free.pop()
                self._held[start] = (buffer, length)
                self._advance(run, start, length)
                return replacement
            self._raise_if_abandoned()
        self._spill(memoryview(buffer)[:length], start)
        with self._changed:
            self._advance(run, start, length)
        return buffer

    def take(self) -> Block | None:
        """Block until the next bytes in order are here; ``None`` at the end."""
        with self._changed:
            self._waiting_since = time.monotonic()
            self._await_block()
            self._waited += time.monotonic() - self._waiting_since
            self._waiting_since = None
            if self._taken == self._end:
                return None
            if self._taken in self._held:
                buffer, length = self._held.pop(self._taken)
                return Block(self._taken, length, buffer)
            until = min(self._held, default=self._frontier)
            return Block(self._taken, min(until - self._taken, self._block), None)

    def done(self, block: Block) -> None:
        """Say that a taken block is hashed and, with a file underneath, in it."""
        with self._changed:
            self._taken = block.start + block.length
            if block.buffer is not None:
                self._free.append(block.buffer)
            self._changed.notify_all()

    def finish(self, end: int) -> None:
        """Say where the object ends."""
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def abandon(self, reason: BaseException | None = None) -> None:
        """Make every waiting and later call raise; the consumer gets ``reason``. The first reason stays."""
        with self._changed:
            if not self._abandoned:
                self._abandoned, self._reason = True, reason
            self._changed.notify_all()

    @property
    def taken(self) -> int:
        """Offset up to which bytes are hashed."""
        return self._taken

    @property
    def is_catching_up(self) -> bool:
        """Whether the consumer still hashes what an earlier download left."""
        return self._taken < self._present

    def waited(self) -> float:
        """Return the seconds that the consumer has waited for bytes, in all."""
        with self._changed:
            current = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
            return self._waited + current

    def _hold_in_memory(self, run: int, start: int, buffer: bytearray, length: int) -> bytearray:
        self._wait_while(lambda: start >= self._taken + self._window)
        self._held[start] = (buffer, length)
        self._advance(run, start, length)
        return self._free.pop() if self._free else bytearray(self._block)

    def _advance(self, run: int, start: int, length: int) -> None:
        self.arrived += length
        if start == self._frontier:
            self._frontier = start + length
        else:
            self._early[run] = start + length
        # A run that the frontier has entered is continued by its own receiver.
        while self._frontier in self._early:
            self._frontier = self._early.pop(self._frontier)
        self._changed.notify_all()

    def _await_block(self) -> None:
        try:
            self._wait_while(lambda: self._frontier <= self._taken != self._end)
        except AbandonedError:
            # Receivers just stop; the consumer's caller learns why.
            raise self._reason or AbandonedError() from None

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        self._raise_if_abandoned()
        while condition():
            self._changed.wait()
            self._raise_if_abandoned()

    def _raise_if_abandoned(self) -> None:
        if self._abandoned:
            raise AbandonedError


class PieceSink:
    """Fills the blocks of one piece and puts them on the buffers.

    Args:
        buffers: Where the blocks go.
        start: The piece's first byte.
        end: The byte behind its last; ``None`` when only the end of the body tells.
        skip: Bytes of the body to leave out first: they are here from an earlier attempt.
    """

    def __init__(self, buffers: ReorderBuffer, start: int, end: int | None, *, skip: int = 0) -> None:
        self._buffers = buffers
        self._run = start
        self._end = end
        self._skip = skip
        self._buffer = buffers.new_buffer()
        self._filled = 0
        self.position = start
        """Offset up to which blocks are on the buffers."""
        self.received = 0
        """Bytes received, for rates."""

    def get_buffer(self) -> memoryview:
        """Return where the next bytes go; empty at the piece's end."""
        view = memoryview(self._buffer)
        if self._skip:
            return view[: self._skip]
        until = len(self._buffer)
        if self._end is not None:
            until = min(until, self._end - self.position)
        return view[self._filled : until]

    def buffer_updated(self, count: int) -> None:
        """Accept bytes; a full block goes on the buffers."""
        self.received += count
        if self._skip:
            self._skip -= count
            return
        self._filled += count
        if self._filled == len(self._buffer) or self.position + self._filled == self._end:
            self.flush()

    def abandon(self) -> None:
        """Wake a thread that waits at the buffers: the task that waits for it was cancelled."""
        self._buffers.abandon()

    def flush(self) -> None:
        """Put what there is of a block on the buffers: it is good, whatever happens to the connection."""
        if self._filled:
            self._buffer = self._buffers.put(self._run, self.position, self._buffer, self._filled)
            self.position += self._filled
            self._filled = 0
