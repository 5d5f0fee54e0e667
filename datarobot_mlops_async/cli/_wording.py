"""Numbers as people read them: sizes in binary units, rates in decimal ones, times in words."""

from __future__ import annotations

from datetime import UTC, datetime

_BINARY = ("bytes", "KiB", "MiB", "GiB", "TiB")


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


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Word how long ago a moment was: ``3 h ago``."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for length, unit in ((365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= length:
            return (
                f"{seconds // length:.0f} {unit} ago"
                if seconds > 0
                else f"in {-seconds // length:.0f} {unit}"
            )
    return "just now"


def count(number: int, noun: str) -> str:
    """Word a number of things: ``1 deployment``, ``2,000 deployments``."""
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
