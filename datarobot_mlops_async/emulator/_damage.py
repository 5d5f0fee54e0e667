"""What a fault does to a body on its way out, the same for both servers."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ._faults import Fault

# How often a slowed body is sent on, in seconds, and how long a reset waits for what was sent before
# it: a reset overtakes bytes that still lie in the sender's queue.
_PACE = 0.05
_GRACE = 0.02

Buffer = bytes | memoryview
Write = Callable[[Buffer], Awaitable[None]]
Ending = Literal["reset", "stall", "truncate"]


class Damage:
    """Cuts, falsifies, compresses and slows one body.

    Args:
        fault: The rule; `None`: the body is only slowed.
        offset: Where the body begins in the whole object, in bytes.
        rate: Bytes a second at most; the rule's own rate goes before.
    """

    def __init__(self, fault: Fault | None, *, offset: int = 0, rate: float | None = None) -> None:
        self._position = offset
        self._corrupt = None if fault is None else fault.corrupt
        self._rate = rate if fault is None or fault.rate is None else fault.rate
        self._compressor = zlib.compressobj(level=1, wbits=31) if fault is not None and fault.gzip else None
        self.ending: Ending | None = None
        self._left: int | None = None
        for ending, limit in () if fault is None else _endings(fault):
            if self._left is None or limit < self._left:
                self.ending, self._left = ending, limit

    def is_over(self) -> bool:
        """Tell whether the connection is to end here, in the way that `ending` says."""
        return self._left == 0

    async def send(self, chunk: Buffer, write: Write) -> None:
        """Write what is left of a chunk, at the rule's rate."""
        chunk = self._falsified(chunk)
        if self._compressor is not None:
            chunk = self._compressor.compress(chunk)
        await self._write(chunk, write)

    async def finish(self, write: Write) -> None:
        """Write what compression still holds back; then the body is over, however long it was."""
        if self._compressor is not None:
            await self._write(self._compressor.flush(), write)
        if self.ending is not None:
            self._left = 0

    async def _write(self, chunk: Buffer, write: Write) -> None:
        if self._left is not None:
            chunk = chunk[: self._left]
            self._left -= len(chunk)
        if self._rate is None:
            await write(chunk)
            return
        step = max(1, int(self._rate * _PACE))
        for start in range(0, len(chunk), step):
            piece = chunk[start : start + step]
            await asyncio.sleep(len(piece) / self._rate)
            await write(piece)

    def _falsified(self, chunk: Buffer) -> Buffer:
        start, self._position = self._position, self._position + len(chunk)
        if self._corrupt is None or not start <= self._corrupt < self._position:
            return chunk
        changed = bytearray(chunk)
        changed[self._corrupt - start] ^= 0xFF
        return bytes(changed)


def _endings(fault: Fault) -> list[tuple[Ending, int]]:
    limits: tuple[tuple[Ending, int | None], ...] = (
        ("reset", fault.reset),
        ("stall", fault.stall),
        ("truncate", fault.truncate),
    )
    return [(ending, limit) for ending, limit in limits if limit is not None]


async def prepare_reset(connection: socket.socket) -> None:
    """Let the coming close of a connection be a reset that arrives after the bytes sent so far."""
    await asyncio.sleep(_GRACE)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
