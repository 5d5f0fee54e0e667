"""What every response class shares: how its fields are declared and where unknown fields are kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from attrs import field, frozen

T = TypeVar("T")

# Three defaults say what the page promises of a field. All of them are ``None`` at run
# time; ``Any`` lets a required field keep its documented type.
#
#   label: str = REQUIRED               the page calls it required
#   description: str | None = REQUIRED  required, and ``null`` is documented
#   importance: str | None = None       optional; where it is present it is not ``null``
#   plugin: str | None = NULLABLE       optional, and ``null`` is documented
REQUIRED: Final[Any] = field(default=None, metadata={"required": True})
NULLABLE: Final[Any] = field(default=None, metadata={"nullable": True})

_LONGEST_NAME: Final = 25
_NOTHING_UNKNOWN: Final[Mapping[str, Any]] = MappingProxyType({})


# The slot for unknown fields takes the place of the weak-reference slot that attrs gives
# slotted classes by default, so that an instance without unknown fields pays nothing for it.
@frozen(kw_only=True, weakref_slot=False)
class Record:
    """Base of every response class: immutable, compared and hashed by its documented fields.

    Instances have no ``__dict__`` and take no weak references.
    """

    _extra: Mapping[str, Any] | None = field(default=None, eq=False, repr=False, alias="extra")


# What many rows of a list have in common. None has a float: 1.0 equals 1 and looks different.
SHARED: Final[set[object]] = set()


def shared(cls: type[T]) -> type[T]:
    """Mark a response class whose objects repeat from row to row: an equal one is made once for a page."""
    SHARED.add(cls)
    return cls


def one_line(record: Record, name: str | None, *more: object) -> str:
    """Return a ``repr`` that fits a line: a long name is cut, and what is missing left out."""
    if name is not None and len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    words = (type(record).__name__, None if name is None else repr(name), *more)
    return f"<{' '.join(str(each) for each in words if each is not None)}>"


def extra(instance: Record) -> Mapping[str, Any]:
    """Return the fields the server sent that the API page does not document.

    Args:
        instance: Any response object; nested objects keep their own unknown fields.

    Returns:
        The unknown fields under their JSON names with their decoded JSON values, read-only;
        empty when there were none. They take no part in equality, hash and ``repr``, and
        survive pickling, copying and ``attrs.evolve``.
    """
    unknown = instance._extra  # noqa: SLF001 - the one reader of the private field
    return MappingProxyType(unknown) if unknown else _NOTHING_UNKNOWN
