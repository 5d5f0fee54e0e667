"""Which hook decodes which type: our own for what the API page promises, cattrs' for any other type."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from datarobot_mlops_async._decoding import _values
from datarobot_mlops_async._decoding._records import array_hook, json_name, record_hook

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def hooks(*, strict: bool) -> Callable[[object], _values.Hook]:
    """Return what finds the hook of a type. It makes one when it first meets the type, for all sessions."""
    values = _value_hooks(strict=strict)

    @cache
    def find(type_: Any) -> _values.Hook:
        if type_ in values:
            return values[type_]
        if get_origin(type_) is tuple and get_args(type_)[1:] == (...,):
            return array_hook(get_args(type_)[0], find, nulls=not strict)
        if enums := _values.open_enums(type_):
            return _values.closed_enum(enums[0]) if strict else _values.open_enum(enums[0])
        if _is_ours(type_):
            return record_hook(type_, find, strict=strict)
        return _foreign(type_, converter)

    # Without its detailed errors ours come through, with the path inside our class.
    converter = Converter(detailed_validation=False)
    # A caller's own classes have the names of JSON in snake_case, as ours have.
    converter.register_structure_hook_factory(attrs.has, lambda type_: _renaming(type_, converter))
    # Our classes inside of others: list[Deployment].
    converter.register_structure_hook_factory(
        _is_ours, lambda type_: lambda value, _: find(type_)(value, None)
    )
    return find


def _is_ours(type_: Any) -> bool:
    # Responses have slots and take no weak references, which hardly any other attrs class is told to.
    return attrs.has(type_) and type_.__dictoffset__ == type_.__weakrefoffset__ == 0


def _renaming(type_: Any, converter: Converter) -> Callable[..., Any]:
    attrs.resolve_types(type_)
    names = {each.name: override(rename=json_name(each.name)) for each in attrs.fields(type_)}
    return make_dict_structure_fn(type_, converter, **names)  # type: ignore[arg-type] # its options have other types


def _foreign(type_: Any, converter: Converter) -> _values.Hook:
    def structure(value: object, _: _values.Memo) -> Any:
        try:
            return converter.structure(value, type_)
        except _values.Mismatch:
            raise
        except Exception as error:
            raise _values.Mismatch(
                f"what makes a {getattr(type_, '__name__', type_)}", _values.describe(value)
            ) from error

    return structure


def _value_hooks(*, strict: bool) -> dict[Any, _values.Hook]:
    return {
        Any: lambda value, _: value,
        str: _values.text,
        bool: _values.boolean,
        int: _values.integer_strictly if strict else _values.integer,
        int | float: _values.integer_strictly if strict else _values.quantity,
        float: _values.number_strictly if strict else _values.number,
        datetime: _values.timestamp_strictly if strict else _values.timestamp,
        datetime | str: _values.timestamp_or_text,
    }
