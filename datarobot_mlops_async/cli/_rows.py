"""What is printed of a thing from the service: a cell for people, a field for programs, JSON for machines."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import fields, frozen, has
from rich.text import Text

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._terminal import UNSAFE, clean, plain
from datarobot_mlops_async.models import Record, extra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STYLES = {
    **dict.fromkeys(("active", "passing", "succeeded", "completed", "approved", "true"), "good"),
    **dict.fromkeys(
        ("warning", "pending", "launching", "stopping", "replacingmodel", "queued", "in_progress", "high"),
        "fair",
    ),
    **dict.fromkeys(("failing", "errored", "failed", "error", "aborted", "expired", "critical"), "bad"),
    **dict.fromkeys(
        ("inactive", "archived", "unknown", "unavailable", "notstarted", "not_tested", "false", "low"),
        "quiet",
    ),
}


@frozen
class Column:
    """One column of a table for people.

    Attributes:
        heading: What stands above it.
        value: A dotted attribute path such as ``model.type``, or a function of the row's thing.
        wide: Whether it takes the room that the others leave, and is cut to it.
        from_width: The narrowest terminal that still shows it, in characters.
        right: Whether it is aligned to the right, as numbers are.
    """

    heading: str
    value: str | Callable[[Any], object]
    wide: bool = False
    from_width: int = 0
    right: bool = False

    def cell(self, thing: object) -> Text:
        """Return what a person reads."""
        return cell(value_at(thing, self.value) if isinstance(self.value, str) else self.value(thing))


@frozen
class View:
    """How one kind of thing is printed.

    Attributes:
        noun: What one of them is called.
        columns: For people.
        paths: Attribute paths of the fields for programs; the first one identifies the thing.
    """

    noun: str
    columns: tuple[Column, ...]
    paths: tuple[str, ...]

    def choose(self, paths: Sequence[str]) -> View:
        """Return the view with just these fields, for people and programs alike."""
        columns = tuple(Column(path, path, wide=path in {"label", "description"}) for path in paths)
        return View(self.noun, columns, tuple(paths)) if paths else self


def value_at(thing: Any, path: str) -> object:
    """Follow a dotted path of attributes; ``None`` where something on the way is missing.

    Raises:
        ValueError: The thing has no such attribute.
    """
    for name in path.split("."):
        if thing is None:
            return None
        known = [each.name for each in fields(type(thing))] if has(type(thing)) else []
        if name not in known or name.startswith("_"):
            shown = ", ".join(each for each in known if not each.startswith("_"))
            raise ValueError(
                f"--columns: there is no {clean(path)!r}; at {clean(name)!r} there are {shown or 'none'}"
            )
        thing = getattr(thing, name)
    return thing


def cell(value: object) -> Text:
    """Return a value as a person reads it."""
    if isinstance(value, Text):
        return value
    if value is None or value == ():
        return Text("-", style="quiet")
    if isinstance(value, datetime):
        return Text(wording.ago(value))
    text = field_text(value)
    return plain(text, style_of(text))


def field_text(value: object) -> str:
    """Return a value as one field of a tab-separated line."""
    if isinstance(value, tuple) and not any(isinstance(each, Record) for each in value):
        return ",".join(field_text(each) for each in value)
    if isinstance(value, (Record, tuple)):
        return to_json(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    data = _plain_data(value)
    return "" if data is None else clean(data)


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON that is safe to show: what a terminal would obey is escaped.

    Names are the attributes' names; what this library does not know comes under the server's own.
    """
    text = json.dumps(_plain_data(value), ensure_ascii=False, indent=indent)
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _plain_data(value: Any) -> Any:
    if isinstance(value, Record):
        known = {
            each.name: _plain_data(getattr(value, each.name))
            for each in fields(type(value))
            if not each.name.startswith("_")
        }
        return {**extra(value), **known}
    if has(type(value)):
        return {each.name: _plain_data(getattr(value, each.name)) for each in fields(type(value))}
    if isinstance(value, (tuple, list)):
        return [_plain_data(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def style_of(word: str) -> str:
    """Return the style of a status word; empty for one without."""
    return _STYLES.get(word.lower(), "")
