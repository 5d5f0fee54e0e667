"""Single JSON values: text, booleans, numbers, timestamps and open enumerations.

A hook takes a value that is not ``null`` and what was made of the same page before, and returns the
Python value or raises `Mismatch`. A hook that tolerates something has a strict sibling that does not.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from datarobot_mlops_async._decoding._mismatch import Mismatch, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    Memo = dict[object, Any] | None
    Hook = Callable[[Any, Memo], Any]


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
