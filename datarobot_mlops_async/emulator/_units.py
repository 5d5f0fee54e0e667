"""Sizes and durations as people write them: `14GiB`, `64 KiB`, `50ms`, `1.5s`, `2m`."""

from __future__ import annotations

import math
import re

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", re.ASCII)
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "kib": 2**10,
    "m": 10**6, "mb": 10**6, "mib": 2**20,
    "g": 10**9, "gb": 10**9, "gib": 2**30,
    "t": 10**12, "tb": 10**12, "tib": 2**40,
}  # fmt: skip


def parse_seconds(value: str | float) -> float:
    """Return a duration in seconds; a plain number is seconds already.

    Raises:
        ValueError: It is not a duration, or negative.
    """
    if not isinstance(value, str):
        return _not_negative(float(value))
    return _quantity(value, _SECONDS, "a duration such as 50ms, 1.5s or 2m")


def parse_size(value: str | float) -> int:
    """Return a number of bytes; a plain number is bytes already. `kB` is 1000, `KiB` is 1024.

    Raises:
        ValueError: It is not a size, or negative.
    """
    if not isinstance(value, str):
        return int(_not_negative(float(value)))
    return int(_quantity(value, _BYTES, "a size such as 65536, 64KiB or 14GiB"))


def _quantity(text: str, units: dict[str, int] | dict[str, float], expected: str) -> float:
    matched = _QUANTITY.fullmatch(text.strip())
    if matched is None or matched[2].lower() not in units:
        raise ValueError(f"{text!r} is not {expected}")
    return float(matched[1]) * units[matched[2].lower()]


def _not_negative(number: float) -> float:
    if not 0 <= number < math.inf:
        raise ValueError(f"{number!r} is negative or without end")
    return number
