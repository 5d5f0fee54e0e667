"""Single JSON values: text, booleans, numbers, timestamps and open enumerations.

A hook here takes a value that is not ``null`` and returns the Python value or raises
`Mismatch`. Hooks that tolerate something have a strict sibling that does not.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from datarobot_mlops_async._decoding._mismatch import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    Hook = Callable[[Any, Any], Any]


def text(value: object, _: object) -> str:
    """Take a string and nothing else."""
    return value if type(value) is str else _reject("a string", value)


def boolean(value: object, _: object) -> bool:
    """Take a JSON boolean; ``"true"`` and ``1`` are none."""
    return value if type(value) is bool else _reject("a boolean", value)


def array(value: object, _: object) -> list[Any]:
    """Take an array as it is, for a caller that looks at the items itself."""
    return value if type(value) is list else _reject("an array", value)


def integer(value: object, _: object) -> int:
    """Take an integer, or a float that is one (``3.0``)."""
    if type(value) is float and value.is_integer():
        return int(value)
    return integer_strictly(value, _)


def integer_strictly(value: object, _: object) -> int:
    """Take an integer; a boolean is none."""
    return value if type(value) is int else _reject("an integer", value)


def count(value: object, _: object) -> int | float:
    """Take what the page calls an integer and servers send with fractions: half a CPU."""
    if type(value) is float and math.isfinite(value):
        return value
    return integer_strictly(value, _)


def number(value: object, _: object) -> float:
    """Take a number as a float. Python servers write ``NaN`` for one they do not have."""
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            _reject("a number", value)
    return value if type(value) is float else _reject("a number", value)


def timestamp(value: object, _: object) -> datetime:
    """Take an ISO 8601 timestamp; one without an offset is in UTC, as everything the API sends."""
    moment = _parse(value)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def timestamp_strictly(value: object, _: object) -> datetime:
    """Take an ISO 8601 timestamp with an offset."""
    moment = _parse(value)
    return moment if moment.tzinfo is not None else _reject("an ISO 8601 timestamp with an offset", value)


def timestamp_or_text(value: object, _: object) -> datetime | str:
    """Take a timestamp where the page promises one in words and any string by its type."""
    try:
        return timestamp(value, _)
    except Mismatch:
        return text(value, _)


def open_enum(enum: type[StrEnum]) -> Hook:
    """Return a hook that turns known values into members and leaves unknown strings alone."""
    members = {member.value: member for member in enum}

    def structure(value: object, _: object) -> str:
        return members.get(value, value) if type(value) is str else _reject("a string", value)

    return structure


def closed_enum(enum: type[StrEnum]) -> Hook:
    """Return a hook that takes known values only."""
    members = {member.value: member for member in enum}
    expected = "one of " + ", ".join(members)

    def structure(value: object, _: object) -> str:
        member = members.get(value) if type(value) is str else None
        return _reject(expected, value) if member is None else member

    return structure


def _parse(value: object) -> datetime:
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type] # a TypeError is a mismatch, too
    except (TypeError, ValueError):
        pass
    # RFC 3339 allows a lower-case "t" and "z"; fromisoformat() does not.
    if type(value) is str and value != value.upper():
        return _parse(value.upper())
    _reject("an ISO 8601 timestamp", value)


def _reject(expected: str, value: object) -> NoReturn:
    raise Mismatch(expected, value)
