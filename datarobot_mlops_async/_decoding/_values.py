"""Single JSON values: text, booleans, numbers, timestamps and open enumerations; and what is said of others.

A hook takes a value that is not ``null`` and what was made of the same page before, and returns the
Python value or raises `Mismatch`. A hook that tolerates something has a strict sibling that does not.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NoReturn, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

    Memo = dict[object, Any] | None
    Hook = Callable[[Any, Memo], Any]


ABSENT: Final = type("Absent", (), {"__slots__": ()})()

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")
_LONGEST_QUOTE = 40
_WORDS: Final = {NoneType: "null", list: "an array", dict: "an object", type(ABSENT): "nothing"}


class Mismatch(Exception):  # noqa: N818 - never leaves the room: the decoder turns it into a DecodeError
    """A value that is not the promised one: noticed deep inside, completed with its path on the way out."""

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


def text(value: object, _: Memo) -> str:
    """Take a string and nothing else."""
    return value if type(value) is str else _reject("a string", value)


def boolean(value: object, _: Memo) -> bool:
    """Take a JSON boolean; ``"true"`` and ``1`` are none."""
    return value if type(value) is bool else _reject("a boolean", value)


def integer(value: object, _: Memo) -> int:
    """Take an integer, or a float that is one (``3.0``)."""
    if type(value) is float and value.is_integer():
        return int(value)
    return integer_strictly(value, _)


def integer_strictly(value: object, _: Memo) -> int:
    """Take an integer; a boolean is none."""
    return value if type(value) is int else _reject("an integer", value)


def quantity(value: object, _: Memo) -> int | float:
    """Take what the page calls an integer and servers send with fractions: half a CPU."""
    if type(value) is float and math.isfinite(value):
        return value
    return integer_strictly(value, _)


def number(value: object, _: Memo) -> float:
    """Take a number as a float. Python servers write ``NaN`` for one they do not have."""
    if type(value) is float:
        return value
    if type(value) is int:
        with suppress(OverflowError):
            return float(value)
    return _reject("a number", value)


def number_strictly(value: object, _: Memo) -> float:
    """Take a finite number as a float."""
    taken = number(value, _)
    return taken if math.isfinite(taken) else _reject("a finite number", value)


def timestamp(value: object, memo: Memo) -> datetime:
    """Take an ISO 8601 timestamp. One without an offset is taken as UTC."""
    if type(value) is str and memo is not None and (found := memo.get(value)) is not None:
        return found  # type: ignore[no-any-return] # a text's value is its timestamp
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type] # refused below
    except (ValueError, TypeError):
        moment = _moment(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if memo is not None:
        memo[value] = moment
    return moment


def timestamp_strictly(value: object, _: Memo) -> datetime:
    """Take an ISO 8601 timestamp with an offset."""
    moment = _moment(value)
    return moment if moment.tzinfo is not None else _reject("an ISO 8601 timestamp with an offset", value)


def timestamp_or_text(value: object, _: Memo) -> datetime | str:
    """Take a string that the page calls a timestamp in words only: any string will do."""
    try:
        return timestamp(value, None)
    except Mismatch:
        return text(value, None)


def open_enum(enum: type[StrEnum]) -> Hook:
    """Return a hook that turns known values into members and leaves unknown strings alone."""
    members: dict[str, str] = {member.value: member for member in enum}

    def structure(value: object, _: Memo) -> str:
        return members.get(value, value) if type(value) is str else _reject("a string", value)

    return structure


def closed_enum(enum: type[StrEnum]) -> Hook:
    """Return a hook that takes known values only."""
    members: dict[object, str] = {member.value: member for member in enum}
    expected = "one of " + ", ".join(enum)

    def structure(value: object, _: Memo) -> str:
        return members[value] if type(value) is str and value in members else _reject(expected, value)

    return structure


def open_enums(type_: object) -> list[type[StrEnum]]:
    """Return the enumeration in an annotation such as ``HealthStatus | str``, if there is one."""
    return [member for member in get_args(type_) if isinstance(member, type) and issubclass(member, StrEnum)]


def _moment(value: object) -> datetime:
    if type(value) is str:
        # RFC 3339 allows a lower-case "z", which fromisoformat() does not know.
        with suppress(ValueError):
            return datetime.fromisoformat(value.replace("z", "Z"))
    return _reject("an ISO 8601 timestamp", value)


def _reject(expected: str, value: object) -> NoReturn:
    raise Mismatch(expected, describe(value))
