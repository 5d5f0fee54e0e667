"""The engine's sizes and times in one place."""

from __future__ import annotations

from attrs import field, frozen

from datarobot_mlops_async._download._controller import LowSpeedLimit

_MIB = 1024 * 1024


@frozen(kw_only=True)
class Tuning:
    """Sizes in bytes, times in seconds.

    Attributes:
        block: What is received, hashed and written at a time: large enough that handing it from thread to
            thread costs nothing to speak of.
        blocks: How many stay in memory until they are hashed.
        shortest_piece: Lower bound of a piece.
        longest_piece: Upper bound of a piece, and of what is hashed between two records.
        ahead: How far a connection runs ahead of the hash while that has work: what the processor's cache holds.
        window: How far ahead of the hash pieces are fetched to a file, at most one longest piece for each
            connection: what a crash can lose.
        tick: Between two looks at rates and progress.
        checkpoint: Between two records, at most.
        restarts: How often a download starts over because the object changed.
        low_speed: When a connection is too slow.
        lock_poll: Between two attempts to lock a partial file that another process holds.
    """

    block: int = _MIB
    blocks: int = 32
    shortest_piece: int = 4 * _MIB
    longest_piece: int = 64 * _MIB
    ahead: int = 8 * _MIB
    window: int = 512 * _MIB
    tick: float = 0.05
    checkpoint: float = 0.5
    restarts: int = 2
    low_speed: LowSpeedLimit = field(factory=LowSpeedLimit)
    lock_poll: float = 0.25
