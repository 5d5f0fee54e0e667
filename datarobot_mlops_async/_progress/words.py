"""How far a download is, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async.artifacts import Progress

_BINARY = ("bytes", "KiB", "MiB", "GiB", "TiB")
_SECONDS_BETWEEN_LINES = 10.0


def size(count: float) -> str:
    """Word a number of bytes: ``14.2 GiB``."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_BINARY) - 1:
        value /= 1024
        unit += 1
    return f"{value:.0f} {_BINARY[unit]}" if unit == 0 else f"{_three_digits(value)} {_BINARY[unit]}"


def rate(bytes_a_second: float) -> str:
    """Word a speed, in the decimal units that networks and disks are sold by: ``0.84 GB/s``."""
    if bytes_a_second >= 1e8:
        return f"{bytes_a_second / 1e9:.2f} GB/s"
    if bytes_a_second < 1e6:
        return f"{_three_digits(bytes_a_second / 1e3)} kB/s"
    return f"{_three_digits(bytes_a_second / 1e6)} MB/s"


def duration(seconds: float) -> str:
    """Word a time: ``0.42 s``, ``12.3 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def amount(verified: float, total: float | None) -> str:
    """Word the bytes that are verified, of all."""
    return size(verified) if total is None else f"{size(verified)} of {size(total)}"


def speed(progress: Progress) -> str:
    """Word the speed of the last seconds, or of all of a download that is over; empty while nobody can know."""
    if progress.verified == progress.total and progress.elapsed > 0:
        return rate((progress.verified - progress.resumed_from) / progress.elapsed)
    return rate(progress.rate) if progress.rate else ""


def time_left(progress: Progress) -> str:
    """Word the time that is left, or was taken, or what is waited for; empty while nobody can know."""
    if progress.is_waiting:
        return "waiting for another process that downloads to the same place"
    if progress.verified == progress.total:
        return f"in {duration(progress.elapsed)}"
    if progress.total is None or not progress.rate:
        return ""
    return f"{duration((progress.total - progress.verified) / progress.rate)} left"


def describe(progress: Progress) -> str:
    """Word how far a download is, in one line."""
    share = f"{progress.verified / progress.total:4.0%}  " if progress.total else ""
    left = time_left(progress) or "time left unknown"
    return f"{share}{amount(progress.verified, progress.total)}, {speed(progress) or rate(0)}, {left}"


class LogLines:
    """Tells a log how far a download is: every 10 seconds, and when it begins to wait for another process.

    Args:
        write: Called with each line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._next = _SECONDS_BETWEEN_LINES
        self._waits = False

    def show(self, progress: Progress) -> None:
        """Write a line if it is time for one."""
        if progress.is_waiting and not self._waits:
            self._write(time_left(progress))
        elif progress.elapsed >= self._next:
            self._next = progress.elapsed + _SECONDS_BETWEEN_LINES
            self._write(describe(progress))
        self._waits = progress.is_waiting
