"""Where a body is not what was promised: collected on the way out, worded once at the end."""

from __future__ import annotations

import re
from typing import Any, Final

ABSENT: Final[Any] = type("Absent", (), {"__slots__": ()})()

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")
_LONGEST_QUOTE = 40


class Mismatch(Exception):  # noqa: N818 - never leaves the room: the decoder turns it into a DecodeError
    """A value that is not the promised one. Each level it passes adds its step to the path."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self._steps: list[str | int] = []

    def under(self, step: str | int) -> Mismatch:
        """Add the field name or array index that led here."""
        self._steps.append(step)
        return self

    @property
    def path(self) -> str:
        """The place in the body, for example ``$.data[3].model.deployedAt``."""
        return "$" + "".join(map(_render, reversed(self._steps)))

    @property
    def actual(self) -> str:
        """What was there, in words."""
        return describe(self.value)


def _render(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_NAME.fullmatch(step) else f"[{_quote(step)}]"


def describe(value: object) -> str:
    """Word a JSON value for an error message: its type, and what it is where that is short."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {str(value)[:_LONGEST_QUOTE]}"
        case str():
            return f"the string {_quote(value)}"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "nothing"


def _quote(text: str) -> str:
    # ascii() because a body may hold lone surrogates, which no log file can be written with.
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")
