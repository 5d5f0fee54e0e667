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
    """Return the converter. Its hooks are made when a type is first met and shared by all sessions."""
    made = Converter(detailed_validation=False)
    for type_, hook in _hooks(strict=strict).items():
        made.register_structure_hook_func(_is(type_), hook)
    made.register_structure_hook_factory(_is_array, lambda t: _array(made, t, strict=strict))
    made.register_structure_hook_factory(_is_enum, _closed if strict else _open)
    made.register_structure_hook_factory(
        attrs.has, lambda cls: record_hook(cls, made.get_structure_hook, strict=strict)
    )
    return made


def _hooks(*, strict: bool) -> dict[Any, _values.Hook]:
    integer = _values.integer_strictly if strict else _values.integer
    return {
        str: _values.text,
        bool: _values.boolean,
        int: integer,
        int | float: integer if strict else _values.count,
        float: _values.number,
        list: _values.array,
        datetime: _values.timestamp_strictly if strict else _values.timestamp,
        datetime | str: _values.timestamp_or_text,
    }


def _is(wanted: Any) -> Any:
    return lambda type_: type_ == wanted


def _is_array(type_: Any) -> bool:
    return get_origin(type_) is tuple


def _array(made: Converter, type_: Any, *, strict: bool) -> _values.Hook:
    return array_hook(get_args(type_)[0], made.get_structure_hook, nulls=not strict)


def _enum(type_: Any) -> type[StrEnum] | None:
    members = (
        member for member in get_args(type_) if isinstance(member, type) and issubclass(member, StrEnum)
    )
    return next(members, None)


def _is_enum(type_: Any) -> bool:
    return _enum(type_) is not None


def _open(type_: Any) -> _values.Hook:
    return _values.open_enum(_enum(type_))


def _closed(type_: Any) -> _values.Hook:
    return _values.closed_enum(_enum(type_))
