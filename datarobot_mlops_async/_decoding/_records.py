"""Objects and arrays. Each attrs class gets one function, written out field by field and compiled.

What is written for a field ``label: str`` is::

    at = 'label'
    v = value.get(at)
    if type(v) is not str:
        if v is None: gaps = True
        else: v = hook1(v, type1)
    it.label = v

A value that already has the type its hook would return skips the call; that and the
absence of a loop is what makes this several times faster than asking a table. ``at``
tells the handler at the end which field was being read when a `Mismatch` came by, and an
object without gaps that has as many fields as are documented has no unknown ones.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import attrs

from datarobot_mlops_async._decoding._mismatch import ABSENT, Mismatch, describe
from datarobot_mlops_async.models import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datarobot_mlops_async._decoding._values import Hook

    FindHook = Callable[[object], Hook]

# Values of exactly this type are already what the hook of that type would return.
_PASSING: Final[Mapping[object, type]] = {str: str, bool: bool, int: int, int | float: int}

# The one JSON name that is not the attribute's name in camel case.
_JSON_NAMES: Final = {"datarobot_key": "datarobot-key"}


def json_name(attribute: str) -> str:
    """Return the JSON name of an attribute: ``createdAt`` for ``created_at``."""
    first, *rest = attribute.split("_")
    return _JSON_NAMES.get(attribute) or first + "".join(map(str.capitalize, rest))


def record_hook(cls: type[attrs.AttrsInstance], find_hook: FindHook, *, strict: bool) -> Hook:
    """Return the function that makes an instance of ``cls`` from a parsed JSON object.

    Args:
        cls: An attrs class with slots, without weak references, converters and validators. One
            that is no `Record` stands for an answer whose schema is not documented: all its
            fields are optional and others are ignored.
        find_hook: Finds the hook of a field's type.
        strict: Whether missing required fields, unpromised nulls and unknown fields are errors.
    """
    strict = strict and issubclass(cls, Record)
    hints = get_type_hints(cls)
    fields = [field for field in attrs.fields(cls) if field.name != "_extra"]
    names: dict[str, Any] = {"known": frozenset(json_name(field.name) for field in fields)}
    lines: list[str] = []
    for n, field in enumerate(fields):
        type_, nullable = _without_none(hints[field.name])
        hook = find_hook(type_)
        if strict:
            required = "required" in field.metadata
            # The None of an optional field's annotation is its absence, whatever the page says of null.
            hook = _strictly(
                hook, required=required, nullable=nullable if required else "nullable" in field.metadata
            )
        names |= {f"type{n}": type_, f"hook{n}": hook}
        lines += _read(n, field.name, _PASSING.get(type_), strict=strict)
    if issubclass(cls, Record):
        lines += _look_for_unknown(len(fields), strict=strict)
    return _compile(cls, lines, names)


def array_hook(item_type: object, find_hook: FindHook, *, nulls: bool) -> Hook:
    """Return the function that makes a tuple from a parsed JSON array.

    Args:
        item_type: The type of its items.
        find_hook: Finds the hook of that type.
        nulls: Whether ``null`` items are let through as ``None``.
    """
    hook = find_hook(item_type)
    passing = _PASSING.get(item_type)

    def structure(values: object, _: object) -> tuple[Any, ...]:
        if type(values) is not list:
            raise Mismatch("an array", describe(values))
        index = 0
        try:
            for index, value in enumerate(values):
                if type(value) is not passing and not (nulls and value is None):
                    values[index] = hook(value, item_type)
        except Mismatch as mismatch:
            mismatch.under(index)
            raise
        return tuple(values)

    return structure


def _without_none(type_: object) -> tuple[object, bool]:
    arguments = get_args(type_)
    if NoneType not in arguments:
        return type_, False
    return reduce(or_, (argument for argument in arguments if argument is not NoneType)), True


def _strictly(hook: Hook, *, required: bool, nullable: bool) -> Hook:
    def structure(value: object, type_: object) -> object:
        if value is ABSENT and required:
            raise Mismatch("a required field", describe(value))
        if value is None and not nullable:
            raise Mismatch("a value", describe(value))
        return None if value is ABSENT or value is None else hook(value, type_)

    return structure


def _reject_unknown(value: dict[str, Any], known: frozenset[str]) -> None:
    name = next(name for name in value if name not in known)
    raise Mismatch("no field of this name", describe(value[name])).under(name)


def _read(n: int, attribute: str, passing: type | None, *, strict: bool) -> Iterator[str]:
    yield f"at = {json_name(attribute)!r}"
    yield "v = value.get(at, ABSENT)" if strict else "v = value.get(at)"
    if passing:
        yield f"if type(v) is not {passing.__name__}:"
    else:
        yield "if True:"
    if strict:
        yield f"    v = hook{n}(v, type{n})"
    else:
        yield "    if v is None: gaps = True"
        yield f"    else: v = hook{n}(v, type{n})"
    yield f"it.{attribute} = v"


def _look_for_unknown(count: int, *, strict: bool) -> Iterator[str]:
    # The path to an unknown field ends in its own name, not in that of the last field read.
    yield "at = None"
    yield "it._extra = None"
    if strict:
        yield "if not value.keys() <= known: reject_unknown(value, known)"
    else:
        yield f"if (gaps or len(value) != {count}) and not value.keys() <= known:"
        yield "    it._extra = {name: v for name, v in value.items() if name not in known}"


def _compile(cls: type, lines: list[str], names: dict[str, Any]) -> Hook:
    body = "\n        ".join(lines)
    source = f"""
def structure(value, _):
    if type(value) is not dict: raise Mismatch("an object", describe(value))
    gaps = False
    at = None
    it = draft()
    try:
        {body}
    except Mismatch as mismatch:
        if at is not None: mismatch.under(at)
        raise
    it.__class__ = cls
    return it
"""
    scope = {
        **names,
        "ABSENT": ABSENT,
        "Mismatch": Mismatch,
        "cls": cls,
        "describe": describe,
        "draft": _draft(cls),
        "reject_unknown": _reject_unknown,
    }
    # Nothing in the source comes from outside: the names are those of our own classes.
    exec(compile(source, f"<decoder of {cls.__name__}>", "exec"), scope)  # noqa: S102 - as attrs and cattrs do
    hook: Hook = scope["structure"]
    return hook


def _draft(cls: type) -> type:
    """Return a class laid out as ``cls`` whose instances can be assigned to.

    A frozen class sets its attributes through ``object.__setattr__``, one call each, which takes
    most of the time of making an instance. Filling in a draft and then declaring it to be a
    ``cls`` takes a quarter of it. Python refuses that for classes of different layout, and takes
    any two with a weak-reference slot for such.
    """
    return type(
        f"{cls.__name__}Draft",
        cls.__bases__,
        {
            "__slots__": cls.__dict__["__slots__"],
            "__init__": object.__init__,
            "__setattr__": object.__setattr__,
            # Assignment and deletion share a slot of the type: were only one of them restored,
            # every assignment would look its method up.
            "__delattr__": object.__delattr__,
        },
    )
