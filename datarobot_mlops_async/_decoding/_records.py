"""Objects and arrays. Each attrs class gets one function, written out field by field and compiled.

What is written for a field ``label: str`` is::

    at = 'label'
    v1 = take(at, None)
    if v1 is not None and type(v1) is not str: v1 = hook1(v1, type1)

A value that already has the type its hook would return skips the call; that and the
absence of a loop is what makes this several times faster than asking a table. ``at``
tells the handler below which field was being read when a `Mismatch` came by. What is
left in the parsed object after its documented fields were taken is what is unknown.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs

from datarobot_mlops_async._decoding._mismatch import ABSENT, Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._decoding._values import Hook

    FindHook = Callable[[Any], Hook]

# Values of exactly this type are already what the hook of that type would return.
PASSES: dict[Any, type] = {str: str, bool: bool, int: int, float: float, int | float: int}

# The one name that is not the attribute's name in camel case.
_JSON_NAMES = {"datarobot_key": "datarobot-key"}


def json_name(attribute: str) -> str:
    """Return the JSON name of an attribute: ``created_at`` is ``createdAt``."""
    first, *rest = attribute.split("_")
    return _JSON_NAMES.get(attribute) or first + "".join(map(str.capitalize, rest))


def record_hook(cls: type[attrs.AttrsInstance], find_hook: FindHook, *, strict: bool) -> Hook:
    """Return the function that makes an instance of ``cls`` from a parsed JSON object.

    Args:
        cls: An attrs class whose fields all have defaults.
        find_hook: Finds the hook of a field's type.
        strict: Whether missing required fields, unpromised nulls and unknown fields are errors.
    """
    hints = get_type_hints(cls)
    names: dict[str, Any] = {"cls": cls, "Mismatch": Mismatch, "ABSENT": ABSENT}
    lines, arguments = [], []
    for n, field in enumerate(f for f in attrs.fields(cls) if f.name != "_extra"):
        type_, nullable = without_none(hints[field.name])
        hook = find_hook(type_)
        if strict:
            hook = _strictly(hook, required="required" in field.metadata, nullable=_nullable(field, nullable))
        names |= {f"type{n}": type_, f"hook{n}": hook}
        passes = PASSES.get(type_)
        lines += [
            f"at = {json_name(field.name)!r}",
            f"v{n} = take(at, {'ABSENT' if strict else 'None'})",
            f"if {_guard(n, passes, strict=strict)}: v{n} = hook{n}(v{n}, type{n})",
        ]
        arguments.append(f"{field.alias}=v{n}")
    if strict:
        names["reject_unknown"] = _reject_unknown
    elif hasattr(cls, "_extra"):
        arguments.append("extra=value or None")
    return _compile(cls, lines, arguments, names)


def array_hook(item_type: Any, find_hook: FindHook, *, nulls: bool) -> Hook:
    """Return the function that makes a tuple from a parsed JSON array.

    Args:
        item_type: The type of its items.
        find_hook: Finds the hook of that type.
        nulls: Whether ``null`` items are let through as ``None``.
    """
    hook = find_hook(item_type)
    passes = PASSES.get(item_type)

    def structure(values: object, _: object) -> tuple[Any, ...]:
        if type(values) is not list:
            raise Mismatch("an array", values)
        index = 0
        try:
            for index, value in enumerate(values):
                if type(value) is not passes and not (nulls and value is None):
                    values[index] = hook(value, item_type)
        except Mismatch as mismatch:
            raise mismatch.under(index)
        return tuple(values)

    return structure


def without_none(type_: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into ``X`` and whether ``None`` was there."""
    arguments = get_args(type_)
    if NoneType not in arguments:
        return type_, False
    return reduce(or_, (argument for argument in arguments if argument is not NoneType)), True


def _nullable(field: attrs.Attribute[Any], annotated: bool) -> bool:
    # The annotation of an optional field has None for its absence, whatever the page says of null.
    return annotated if "required" in field.metadata else "nullable" in field.metadata


def _guard(n: int, passes: type | None, *, strict: bool) -> str:
    conditions = [] if strict else [f"v{n} is not None"]
    if passes:
        conditions.append(f"type(v{n}) is not {passes.__name__}")
    return " and ".join(conditions) or "True"


def _strictly(hook: Hook, *, required: bool, nullable: bool) -> Hook:
    def structure(value: object, type_: object) -> Any:
        if value is ABSENT:
            if required:
                raise Mismatch("a required field", value)
            return None
        if value is None:
            if not nullable:
                raise Mismatch("a value", value)
            return None
        return hook(value, type_)

    return structure


def _reject_unknown(unknown: dict[str, Any]) -> None:
    name, value = next(iter(unknown.items()))
    raise Mismatch("no field of this name", value).under(name)


def _compile(cls: type, lines: list[str], arguments: list[str], names: dict[str, Any]) -> Hook:
    body = "\n        ".join(lines)
    source = f"""
def structure(value, _):
    if type(value) is not dict: raise Mismatch("an object", value)
    take = value.pop
    try:
        {body}
    except Mismatch as mismatch:
        raise mismatch.under(at)
    {"if value: reject_unknown(value)" if "reject_unknown" in names else ""}
    return cls({", ".join(arguments)})
"""
    # Nothing in the source comes from outside: the names are those of our own classes.
    exec(compile(source, f"<decoder of {cls.__name__}>", "exec"), names)  # noqa: S102 - as attrs and cattrs do
    hook: Hook = names["structure"]
    return hook
