"""What people read: numbers in words, and text from outside that a terminal shows and does not obey."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

_BINARY = ("bytes", "KiB", "MiB", "GiB", "TiB")
# Escape sequences as a whole, so that none leaves its tail behind as text.
_SEQUENCE = re.compile(
    # Strings (OSC, DCS, SOS, PM, APC) up to their end, CSI sequences, all other escapes.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Characters that a terminal obeys, or that reorder or hide text on it; but for tab and line feed."""


def escaped(json_text: str) -> str:
    """Return JSON that means the same and holds nothing that a terminal obeys."""
    return UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], json_text)


def clean(text: object, *, keep_blanks: bool = False) -> str:
    """Return text from outside as one line that a terminal shows and does not obey.

    Args:
        text: The text.
        keep_blanks: Whether runs of blanks and tabs mean something, as in a log.
    """
    harmless = UNSAFE.sub(" ", _SEQUENCE.sub("", str(text)))
    return harmless.replace("\n", " ").rstrip() if keep_blanks else " ".join(harmless.split())


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
