"""The one cattrs converter, tolerant or strict: which hook structures which type."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin

import attrs
from cattrs import Converter

from datarobot_mlops_async._decoding import _values
from datarobot_mlops_async._decoding._records import array_hook, record_hook


@cache
def converter(*, strict: bool) -> Converter:
    """Return the converter. It makes a type's hook when it first meets the type, for all sessions."""
    made = Converter(detailed_validation=False)
    for type_, hook in _value_hooks(strict=strict).items():
        made.register_structure_hook(type_, hook)

    @made.register_structure_hook_factory(_is_array)
    def _(type_: object) -> _values.Hook:
        return array_hook(get_args(type_)[0], made.get_structure_hook, nulls=not strict)

    @made.register_structure_hook_factory(lambda type_: bool(_enums(type_)))
    def _(type_: object) -> _values.Hook:
        (enum,) = _enums(type_)
        return _values.closed_enum(enum) if strict else _values.open_enum(enum)

    @made.register_structure_hook_factory(attrs.has)
    def _(type_: type[attrs.AttrsInstance]) -> _values.Hook:
        return record_hook(type_, made.get_structure_hook, strict=strict)

    return made


def _value_hooks(*, strict: bool) -> dict[Any, _values.Hook]:
    return {
        str: _values.text,
        bool: _values.boolean,
        int: _values.integer_strictly if strict else _values.integer,
        int | float: _values.integer_strictly if strict else _values.quantity,
        float: _values.number_strictly if strict else _values.number,
        datetime: _values.timestamp_strictly if strict else _values.timestamp,
        datetime | str: _values.timestamp_or_text,
    }


def _is_array(type_: object) -> bool:
    return get_origin(type_) is tuple


def _enums(type_: object) -> list[type[StrEnum]]:
    """Return the enumeration in an annotation such as ``HealthStatus | str``, if there is one."""
    return [member for member in get_args(type_) if isinstance(member, type) and issubclass(member, StrEnum)]
