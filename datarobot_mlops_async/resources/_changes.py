"""What happens to a fleet: one change, and the difference between what was told and what is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

import attrs
from attrs import frozen

from datarobot_mlops_async._decoding import Decoder, encode
from datarobot_mlops_async.errors import DecodeError
from datarobot_mlops_async.models import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMPARED: Final = tuple(field.name for field in attrs.fields(Deployment) if field.eq)
_VERSION: Final = 1


@frozen(kw_only=True)
class Change:
    """Something that happened to a deployment since it was last told of.

    Attributes:
        kind: ``added``: it was not in the list before. ``changed``: it looks different. ``removed``: it is not in
            the list any more, because it was deleted or no longer matches the filters.
        deployment: The deployment as it is now. Of a deleted one, as it was seen last.
        before: The deployment as it was told of before; ``None`` if it was not.
        fields: The names of the attributes that changed, in the order of `Deployment`.
    """

    kind: Literal["added", "changed", "removed"]
    deployment: Deployment
    before: Deployment | None = None
    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Change {self.kind} {self.deployment!r}{''.join(f' {name}' for name in self.fields)}>"


def differing(one: Deployment, other: Deployment, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the attributes in which two deployments differ."""
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def dump_state(source: str, listed_at: float, told: Mapping[str, Deployment]) -> str:
    """Return what another process needs to go on: a header, then one deployment a line."""
    header = {"watch": _VERSION, "list": source, "listed_at": listed_at}
    return "".join(f"{json.dumps(each)}\n" for each in (header, *map(encode, told.values())))


def load_state(state: str, source: str) -> tuple[float, dict[str, Deployment]]:
    """Return when the list was last read, and the deployments of a saved state.

    Raises:
        ValueError: It is none, it is a newer version's, or that of another list.
    """
    first, _, rest = state.partition("\n")
    try:
        header = json.loads(first)
        version, found, listed_at = header["watch"], header["list"], float(header["listed_at"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"state is not the saved state of a watch: {error}") from None
    if version != _VERSION:
        raise ValueError(f"state is of version {version}, and this library reads version {_VERSION}")
    if found != source:
        raise ValueError(f"state is that of another list: {found}, not {source}")
    decoder = Decoder()
    try:
        rows = [decoder.decode(row.encode(), Deployment, operation="state") for row in rest.splitlines()]
    except DecodeError as error:
        raise ValueError(f"state is not the saved state of a watch: {error}") from None
    return listed_at, {row.id: row for row in rows}
