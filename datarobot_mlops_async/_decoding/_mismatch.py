"""Where a body is not what was promised: noticed deep inside, completed with its path on the way out."""

from __future__ import annotations

import re
from types import NoneType
from typing import Final

ABSENT: Final = type("Absent", (), {"__slots__": ()})()

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")
_LONGEST_QUOTE = 40
_WORDS: Final = {NoneType: "null", list: "an array", dict: "an object", type(ABSENT): "nothing"}


class Mismatch(Exception):  # noqa: N818 - never leaves the room: the decoder turns it into a DecodeError
    """A value that is not the promised one."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual)
        self.expected = expected
        self.actual = actual
        self._steps: list[str | int] = []

    def under(self, step: str | int) -> Mismatch:
        """Add the field name or array index that led here. The innermost step comes first."""
        self._steps.append(step)
        return self

    @property
    def path(self) -> str:
        """The place in the body, for example ``$.data[3].model.deployedAt``."""
        return "$" + "".join(map(_render, reversed(self._steps)))


def describe(value: object) -> str:
    """Word a JSON value for an error message: its type, and its content where that is short."""
    if type(value) is str:
        return f"the string {_quote(value)}"
    if type(value) is bool:
        return f"the boolean {str(value).lower()}"
    return _WORDS.get(type(value)) or f"the number {str(value)[:_LONGEST_QUOTE]}"


def _render(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_NAME.fullmatch(step) else f"[{_quote(step)}]"


def _quote(text: str) -> str:
    # ascii() because a body may hold lone surrogates, which no log file can be written with.
    quoted = ascii(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")
    # An escape takes up to ten letters.
    return quoted if len(quoted) <= 2 * _LONGEST_QUOTE else ascii(text[: _LONGEST_QUOTE // 6] + "...")
