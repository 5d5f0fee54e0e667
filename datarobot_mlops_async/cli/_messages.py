"""What people read: numbers in words, and text from outside that a terminal shows and does not obey."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from datarobot_mlops_async._progress.words import duration, rate, size

__all__ = ["GO_ON", "UNSAFE", "ago", "clean", "count", "duration", "escaped", "rate", "size"]

GO_ON = "what is here was kept: the same command goes on from there"
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
