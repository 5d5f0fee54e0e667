"""Objects and arrays. Each attrs class gets one function, written out field by field and compiled.

What is written for a field ``label: str`` is, after all fields were fetched at once::

    if type(v3) is not str and v3 is not None: at = 'label'; v3 = hook3(v3, memo)

A value that already has the type its hook would return skips the call; that and the
absence of a loop is what makes this several times faster than asking a table. ``at``
tells the handler at the end which field was being read when a `Mismatch` came by, and an
object that lacks no field and has as many as are documented has no unknown ones.

Objects that repeat from row to row are made once and shared, since they never change: every one that is kept
is one more for the garbage collector to walk. What was made is found again in ``memo``, which lives as long
as the decoding of one page, so that an ``id`` in one of its keys is that of an object in it.
"""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import itemgetter, or_
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import attrs

from datarobot_mlops_async._decoding._values import ABSENT, Mismatch, describe, open_enums
from datarobot_mlops_async._record import SHARED, Record, extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datarobot_mlops_async._decoding._values import Hook, Memo

    FindHook = Callable[[object], Hook]

# Values of exactly this type are already what the hook of that type would return.
_PASSING: Final[Mapping[object, type]] = {str: str, bool: bool, int: int, int | float: int}

# The one JSON name that is not the attribute's name in camel case.
_JSON_NAMES: Final = {"datarobot_key": "datarobot-key"}


def json_name(attribute: str) -> str:
    """Return the JSON name of an attribute: ``createdAt`` for ``created_at``."""
    first, *rest = attribute.split("_")
    return _JSON_NAMES.get(attribute) or first + "".join(map(str.capitalize, rest))


def encode(value: Any) -> Any:
    """Return plain data in the API page's names. What is ``None`` is left out, unknown fields are kept."""
    if isinstance(value, Record):
        known = {
            json_name(field.name): encode(content)
            for field in attrs.fields(type(value))
            if field.name != "_extra" and (content := getattr(value, field.name)) is not None
        }
        return known | dict(extra(value))
    if isinstance(value, tuple):
        return [encode(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value


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
    source = _Source(cls, strict=strict)
    for field in fields:
        type_, nullable = _without_none(hints[field.name])
        hook = find_hook(type_)
        if strict:
            required = "required" in field.metadata
            # The None of an optional field's annotation is its absence, whatever the page says of null.
            hook = _strictly(
                hook, required=required, nullable=nullable if required else "nullable" in field.metadata
            )
        source.add(field.name, type_, hook)
    return source.compiled()


def array_hook(item_type: object, find_hook: FindHook, *, nulls: bool) -> Hook:
    """Return the function that makes a tuple from a parsed JSON array, with ``nulls`` also of ``null`` items."""
    hook = find_hook(item_type)
    passing = _PASSING.get(item_type)
    only = {passing}
    shared = item_type is str or item_type in SHARED

    def structure(values: Any, memo: Memo) -> tuple[Any, ...]:
        if type(values) is not list:
            raise Mismatch("an array", describe(values))
        if not only.issuperset(map(type, values)):
            index = 0
            try:
                for index, value in enumerate(values):
                    if type(value) is not passing and not (nulls and value is None):
                        values[index] = hook(value, memo)
            except Mismatch as mismatch:
                mismatch.under(index)
                raise
        made = tuple(values)
        if not shared or memo is None:
            return made
        found: tuple[Any, ...] = memo.setdefault(
            made if passing else (tuple, item_type, *map(id, made)), made
        )
        return found

    return structure


def _without_none(type_: object) -> tuple[object, bool]:
    arguments = get_args(type_)
    if NoneType not in arguments:
        return type_, False
    return reduce(or_, (argument for argument in arguments if argument is not NoneType)), True


def _strictly(hook: Hook, *, required: bool, nullable: bool) -> Hook:
    def structure(value: object, memo: Memo) -> object:
        if value is ABSENT and required:
            raise Mismatch("a required field", describe(value))
        if value is None and not nullable:
            raise Mismatch("a value", describe(value))
        return None if value is ABSENT or value is None else hook(value, memo)

    return structure


def _reject_unknown(value: dict[str, Any], known: frozenset[str]) -> None:
    name = next(name for name in value if name not in known)
    raise Mismatch("no field of this name", describe(value[name])).under(name)


class _Source:
    """The function of a class, as it is written."""

    def __init__(self, cls: type, *, strict: bool) -> None:
        self._cls = cls
        self._strict = strict
        self._shared = cls in SHARED
        self._attributes: list[str] = []
        self._reading: list[str] = []
        self._making: list[str] = []
        self._key: list[str] = ["cls"]
        self._scope: dict[str, Any] = {
            "ABSENT": ABSENT,
            "Mismatch": Mismatch,
            "cls": cls,
            "describe": describe,
            "draft": _draft(cls),
            "is_record": issubclass(cls, Record),
            "reject_unknown": _reject_unknown,
        }

    def add(self, attribute: str, type_: object, hook: Hook) -> None:
        n, name = len(self._attributes), json_name(attribute)
        passing, enums = _PASSING.get(type_), open_enums(type_)
        convert = f"v{n} = hook{n}(v{n}, memo)"
        self._attributes.append(attribute)
        self._scope[f"hook{n}"] = hook
        if enums and not self._strict:
            convert = f"v{n} = members{n}.get(v{n}, v{n}) if type(v{n}) is str else hook{n}(v{n}, memo)"
            self._scope[f"members{n}"] = {member.value: member for member in enums[0]}
        if self._shared and (enums or type_ is datetime):
            # Told apart by its text, and read only where an object has to be made.
            passing = str
            self._making.append(f"if type(v{n}) is str: at = {name!r}; {convert}")
        self._key.append(f"v{n}" if passing else f"id(v{n})")
        conditions = [f"type(v{n}) is not {passing.__name__}"] if passing else []
        if not self._strict:
            conditions.append(f"v{n} is not None")
        self._reading.append(f"if {' and '.join(conditions) or True}: at = {name!r}; {convert}")

    def _checks(self) -> Iterator[str]:
        if issubclass(self._cls, Record):
            # The path to an unknown field ends in its own name, not in that of the last field read.
            yield "at = None"
            if self._strict:
                yield "if not value.keys() <= known: reject_unknown(value, known)"
            else:
                yield f"if (lacking or len(value) != {len(self._attributes)}) and not value.keys() <= known:"
                yield "    extra = {name: v for name, v in value.items() if name not in known}"
        if self._shared:
            yield "shared = memo is not None and extra is None"
            yield f"if shared and (it := memo.get(key := ({', '.join(self._key)}))) is not None: return it"

    def compiled(self) -> Hook:
        names, default = [*map(json_name, self._attributes)], ABSENT if self._strict else None
        self._scope["known"] = frozenset(names)
        self._scope["fetch"] = itemgetter(*names)
        self._scope["fetch_some"] = lambda value: [value.get(name, default) for name in names]
        targets = ", ".join(f"v{n}" for n in range(len(names)))
        reading = [*self._reading, *self._checks(), *self._making]
        filling = [f"it.{attribute} = v{n}" for n, attribute in enumerate(self._attributes)]
        text = f"""
def structure(value, memo):
    if type(value) is not dict: raise Mismatch("an object", describe(value))
    lacking = shared = False
    at = extra = None
    try: {targets} = fetch(value)
    except KeyError:
        lacking = True
        {targets}, = fetch_some(value)
    try:
        {
            '''
        '''.join(reading)
        }
    except Mismatch as mismatch:
        if at is not None: mismatch.under(at)
        raise
    it = draft()
    {
            '''
    '''.join(filling)
        }
    if is_record: it._extra = extra
    it.__class__ = cls
    if shared: memo[key] = it
    return it
"""
        # Nothing in it comes from outside: the names are those of our own classes.
        exec(compile(text, f"<decoder of {self._cls.__name__}>", "exec"), self._scope)  # noqa: S102 - as attrs does
        hook: Hook = self._scope["structure"]
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
