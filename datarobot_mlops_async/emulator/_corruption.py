"""What a fault does to a body on its way out."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

from ._connection import Buffer
from ._faults import FIRST

if TYPE_CHECKING:
    from ._faults import Fault

# How often a slowed body is sent on, in seconds.
_PACE = 0.05
_TRICKLE_RATE = 10.0

Write = Callable[[Buffer], Awaitable[None]]
Ending = Literal["reset", "stall", "truncate"]


class Corruption:
    """Cuts, falsifies, compresses and slows one body.

    Args:
        fault: The rule; `None`: the body is only slowed.
        write: Takes what is left of the body.
        offset: Where the body begins in the whole object, in bytes.
        rate: Bytes a second at most; the rule's own rate goes before.
    """

    def __init__(
        self, fault: Fault | None, write: Write, *, offset: int = 0, rate: float | None = None
    ) -> None:
        self._write = write
        self._position = offset
        self._sent = 0
        self._corrupt = None if fault is None else fault.corrupt
        if self._corrupt == FIRST:
            self._corrupt = offset
        self._rate = rate if fault is None or fault.rate is None else fault.rate
        self._trickle = None if fault is None else fault.trickle
        self._compressor = zlib.compressobj(level=1, wbits=31) if fault is not None and fault.gzip else None
        self.ending: Ending | None = None
        self._limit: int | None = None
        for ending, limit in () if fault is None else _endings(fault):
            if self._limit is None or limit < self._limit:
                self.ending, self._limit = ending, limit

    def is_over(self) -> bool:
        """Tell whether the connection is to end here, in the way that `ending` says."""
        return self._limit is not None and self._sent >= self._limit

    async def send(self, chunk: Buffer) -> None:
        """Write what is left of a chunk."""
        chunk = self._falsified(chunk)
        await self._pass_on(chunk if self._compressor is None else self._compressor.compress(chunk))

    async def finish(self) -> None:
        """Write what compression still holds back; then the body is over, however long it was."""
        if self._compressor is not None:
            await self._pass_on(self._compressor.flush())
        if self.ending is not None:
            self._limit = self._sent

    async def _pass_on(self, chunk: Buffer) -> None:
        if self._limit is not None:
            chunk = chunk[: self._limit - self._sent]
        while chunk:
            rate, step = self._speed(len(chunk))
            piece, chunk = chunk[:step], chunk[step:]
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
            await self._write(piece)
            self._sent += len(piece)

    def _speed(self, length: int) -> tuple[float | None, int]:
        """Return bytes a second from here on, and how many bytes go out at a time."""
        if self._trickle is not None and self._sent >= self._trickle:
            return self._rate or _TRICKLE_RATE, 1
        if self._trickle is not None:
            return None, self._trickle - self._sent
        return self._rate, length if self._rate is None else max(1, int(self._rate * _PACE))

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
