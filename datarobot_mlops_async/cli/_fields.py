"""What is printed of a thing from the service: a field for programs, JSON for machines, a style for its word."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import Any

from attrs import fields, has

from datarobot_mlops_async.cli._messages import clean, escaped
from datarobot_mlops_async.models import Record, extra

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
    return escaped(json.dumps(_plain_data(value), ensure_ascii=False, indent=indent))


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
