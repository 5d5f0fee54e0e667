"""Printing lists and single things, for people, for programs and for machines."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import fields, frozen, has
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async.cli._command import remember
from datarobot_mlops_async.cli._messages import ago, clean, count, escaped, size
from datarobot_mlops_async.cli._terminal import plain
from datarobot_mlops_async.models import Record, extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.cli._views import Column, View
    from datarobot_mlops_async.pagination import Paginator

T = TypeVar("T")
_GAP = 2
_NARROWEST = 8
_ID_WIDTH = 24
_STYLES = {
    word: style
    for style, words in {
        "green": "active passing succeeded completed approved true",
        "yellow": "warning pending launching stopping replacingmodel queued in_progress high",
        "red": "failing errored failed error aborted expired critical",
        "dim": "inactive archived unknown unavailable notstarted not_tested false low",
    }.items()
    for word in words.split()
}


@frozen
class Printer:
    """How a list is printed, and where: as a table that fits, as one JSON document or as lines of JSON."""

    terminal: Terminal
    view: View
    fit: bool
    limit: int | None = None
    as_json: bool = False
    as_lines: bool = False

    async def list(self, paginator: Paginator[T]) -> None:
        """Print a list, as its pages arrive where the output format allows it."""
        if self._is_streamed:
            async with paginator.prefetch() as things:
                async for thing in things:
                    self._write(thing)
        elif self.as_json or self.limit is None:
            # Collected first: half a document is worse than none.
            self.several(await paginator.collect())
        else:
            pages = [page async for page in paginator.pages()]
            rows = [thing for page in pages for thing in page.items]
            self._table(rows, pages[-1].total_count if pages else None)

    def several(self, things: Sequence[object]) -> None:
        shown = things[: self.limit]
        if self.as_json:
            self.terminal.write(to_json(shown, indent=2))
        elif self._is_streamed:
            for thing in shown:
                self._write(thing)
        else:
            self._table(shown, len(things))

    @property
    def _is_streamed(self) -> bool:
        return not self.as_json and (self.as_lines or not self.terminal.for_people)

    def _table(self, things: Sequence[object], total: int | None) -> None:
        remember(self.view.noun, things)
        if things:
            width = self.terminal.out.width
            self.terminal.print(table_of(self.view.columns, things, width, fit=self.fit))
        shown = len(things)
        of, number = (f"{shown:,} of ", total) if total and total > shown else ("", shown)
        self.terminal.say(of + count(number, self.view.noun))

    def _write(self, thing: object) -> None:
        if self.as_lines:
            self.terminal.write(to_json(thing))
        else:
            self.terminal.write("\t".join(field_text(value_at(thing, path)) for path in self.view.fields))


def table_of(columns: Sequence[Column], things: Sequence[object], width: int, *, fit: bool = True) -> Group:
    """Return a table for a terminal of so many characters, and below it what its signs mean.

    Columns without room are left out from the right, unless told not to. Wide ones stay, and are cut to the room
    that the others leave; the first column is never cut.
    """
    cells = {column: [cell_of(column, thing) for thing in things] for column in columns}
    needed = {
        column: max(len(column.heading), *(each.cell_len for each in cells[column])) for column in columns
    }
    shown = _with_room(columns, needed, width) if fit else list(columns)
    wide = [column for column in shown if column.wide]
    left = width - sum(needed[column] for column in shown if not column.wide) - _GAP * (len(shown) - 1)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in shown:
        is_cut = column.wide or column is not shown[0]
        table.add_column(
            column.heading,
            no_wrap=is_cut,
            overflow="ellipsis" if is_cut else "fold",
            justify="right" if column.right else "left",
            max_width=max(min(needed[column], left // len(wide)), _NARROWEST) if column.wide else None,
        )
    for row in zip(*(cells[column] for column in shown), strict=True):
        table.add_row(*row)
    return Group(table, *(column.legend for column in shown if column.legend))


def _with_room(columns: Sequence[Column], needed: Mapping[Column, int], width: int) -> list[Column]:
    shown = [column for column in columns if column.from_width <= width]
    narrow = [column for column in shown[1:] if not column.wide]
    room = {**needed, **{column: _NARROWEST for column in shown if column.wide}}
    while narrow and sum(room[column] + _GAP for column in shown) - _GAP > width:
        shown.remove(narrow.pop())
    return shown


def cell_of(column: Column, thing: object) -> Text:
    return cell(value_at(thing, column.value) if isinstance(column.value, str) else column.value(thing))


def cell(value: object) -> Text:
    """Return a value as a person reads it."""
    if isinstance(value, Text):
        return value
    if value is None or value == ():
        return Text("-", style="dim")
    if isinstance(value, datetime):
        return Text(ago(value))
    text = field_text(value)
    return plain(text, style_of(text))


def described(pairs: Sequence[tuple[str, object]], width: int) -> Table:
    """Return names beside values, or above them where they would leave an id no room."""
    grid = Table.grid(padding=(0, 2))
    beside = max(len(name) for name, _ in pairs) + _GAP + _ID_WIDTH <= width
    for name, value in pairs:
        cells = (Text(name, style="dim"), _explained(name, value))
        for row in (cells,) if beside else ((each,) for each in cells):
            grid.add_row(*row)
    for column in grid.columns:
        column.overflow = "fold"
    return grid


def _explained(name: str, value: object) -> Text:
    """Return a value with what it means to a person: a size in GiB, how long ago a moment was."""
    text = cell(value)
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M:%S %Z} ({text})")
    if isinstance(value, int) and name.endswith(("_size", "_bytes")):
        text.append(f" ({size(value)})", style="dim")
    return text


def flat(record: Record, prefix: str = "") -> list[tuple[str, object]]:
    """Return every attribute with its dotted path; what is ``None`` is left out."""
    pairs: list[tuple[str, object]] = []
    for name in names_of(type(record)):
        value = getattr(record, name)
        if isinstance(value, Record):
            pairs += flat(value, f"{prefix}{name}.")
        elif value is not None:
            pairs.append((prefix + name, value))
    return pairs


def names_of(class_: type) -> list[str]:
    """Return the names of a class's public attributes; none of what is no record."""
    return [each.name for each in fields(class_) if not each.name.startswith("_")] if has(class_) else []


def value_at(thing: Any, path: str) -> object:
    """Follow a dotted path of attributes; ``None`` where something on the way is missing.

    Raises:
        ValueError: The thing has no such attribute.
    """
    for name in path.split("."):
        if thing is None:
            return None
        if name not in (known := names_of(type(thing))):
            there = ", ".join(known) or "none"
            raise ValueError(f"--columns: there is no {clean(path)!r}; at {clean(name)!r} there are {there}")
        thing = getattr(thing, name)
    return thing


def field_text(value: object) -> str:
    """Return a value as one field of a tab-separated line."""
    if isinstance(value, tuple) and not any(isinstance(each, Record) for each in value):
        return ",".join(field_text(each) for each in value)
    if isinstance(value, (Record, tuple, bool)):
        return to_json(value)
    data = _plain_data(value)
    return "" if data is None else clean(data)


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON that is safe to show: what a terminal would obey is escaped.

    Names are the attributes' names; what this library does not know comes under the server's own.
    """
    return escaped(json.dumps(_plain_data(value), ensure_ascii=False, indent=indent))


def _plain_data(value: Any) -> Any:
    if has(type(value)):
        known = {name: _plain_data(getattr(value, name)) for name in names_of(type(value))}
        return {**(extra(value) if isinstance(value, Record) else {}), **known}
    if isinstance(value, (tuple, list)):
        return [_plain_data(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def style_of(word: str) -> str:
    return _STYLES.get(word.lower(), "")
