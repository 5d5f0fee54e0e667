"""Printing lists and single things, for people, for programs and for machines."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from attrs import fields, frozen
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._fields import field_text, style_of, to_json, value_at
from datarobot_mlops_async.cli._recent import remember
from datarobot_mlops_async.cli._terminal import plain
from datarobot_mlops_async.cli._views import DEPLOYMENTS, Column, Styled, View
from datarobot_mlops_async.models import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datarobot_mlops_async.cli._listing import OutputFormat
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.pagination import Paginator

T = TypeVar("T")
_GAP = 2
_NARROWEST = 8
_ID_WIDTH = 24


@frozen
class Printer:
    """What the user wants to see, and where."""

    terminal: Terminal
    view: View
    output: OutputFormat

    async def list(self, paginator: Paginator[T]) -> None:
        """Print a list, as its pages arrive where the output format allows it."""
        if self.output.as_json:
            # Collected first: half a document is worse than none.
            self.terminal.write(to_json(tuple(await paginator.collect()), indent=2))
        elif self.output.as_lines or not self.terminal.for_people:
            async with paginator.prefetch() as things:
                async for thing in things:
                    self.terminal.write(self._line(thing))
        elif self.output.limit is None:
            self.table(await paginator.collect())
        else:
            await self._beginning(paginator)

    async def _beginning(self, paginator: Paginator[T]) -> None:
        things: list[T] = []
        total = None
        async for page in paginator.pages():
            things += page.items
            total = page.total_count
        self.table(things, total)

    def several(self, things: Sequence[object]) -> None:
        """Print things that are all here."""
        shown = things[: self.output.limit]
        if self.output.as_json:
            self.terminal.write(to_json(tuple(shown), indent=2))
        elif self.output.as_lines or not self.terminal.for_people:
            for thing in shown:
                self.terminal.write(self._line(thing))
        else:
            self.table(shown, len(things))

    def one(self, thing: Record) -> None:
        """Print one thing with everything there is of it."""
        if self.output.as_json or self.output.as_lines:
            self.terminal.write(to_json(thing, indent=None if self.output.as_lines else 2))
        elif not self.terminal.for_people:
            for name, value in _flat(thing):
                self.terminal.write(f"{name}\t{field_text(value)}")
        else:
            self.terminal.print(_described(_flat(thing), self.terminal.out.width))

    def table(self, things: Sequence[object], total: int | None = None) -> None:
        """Print a table, and how many rows it has, of how many."""
        remember(self.view.noun, things)
        if things:
            print_table(self.terminal, self._view.columns, things, chosen=bool(self.output.columns))
        of = f"{len(things):,} of " if total is not None and total > len(things) else ""
        self.terminal.say(of + messages.count(total if of and total else len(things), self.view.noun))

    @property
    def _view(self) -> View:
        return self.view.choose(self.output.columns)

    def _line(self, thing: object) -> str:
        if self.output.as_lines:
            return to_json(thing)
        return "\t".join(field_text(value_at(thing, path)) for path in self._view.fields.split())


def print_table(
    terminal: Terminal, columns: Sequence[Column], things: Sequence[object], *, chosen: bool = False
) -> None:
    """Print a table that fits, and below it what its signs mean."""
    width = terminal.out.width
    shown = columns if chosen else fitting(columns, things, width)
    terminal.print(table_of(shown, things, width))
    for column in shown:
        if column.legend:
            terminal.print(cell(column.legend))


def print_names(terminal: Terminal, deployments: Sequence[Deployment]) -> None:
    """Tell a person on stderr which deployments are meant."""
    columns = fitting(DEPLOYMENTS.columns[:3], deployments, terminal.err.width)
    terminal.status.hide()
    terminal.err.print(table_of(columns, deployments, terminal.err.width))


def fitting(columns: Sequence[Column], things: Sequence[object], width: int) -> list[Column]:
    """Return the columns that a terminal has room for: the last ones are left out, but for the wide one."""
    shown = [column for column in columns if column.from_width <= width]
    while sum(map(_width_of(things), shown)) + _GAP * (len(shown) - 1) > width:
        narrow = [column for column in shown[1:] if not column.wide]
        if not narrow:
            break
        shown.remove(narrow[-1])
    return shown


def _width_of(things: Sequence[object]) -> Callable[[Column], int]:
    def width(column: Column) -> int:
        cells = (cell_of(column, thing).cell_len for thing in things)
        return _NARROWEST if column.wide else max(len(column.heading), *cells)

    return width


def table_of(columns: Sequence[Column], things: Sequence[object], width: int) -> Table:
    """Return a table for a terminal of so many characters: wide columns are cut to it, and the first one never."""
    rows = [[cell_of(column, thing) for column in columns] for thing in things]
    needed = [
        max(len(column.heading), *(row[index].cell_len for row in rows))
        for index, column in enumerate(columns)
    ]
    wide = [index for index, column in enumerate(columns) if column.wide]
    left = width - sum(needed) + sum(needed[index] for index in wide) - _GAP * (len(columns) - 1)
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="strong"
    )
    for index, column in enumerate(columns):
        table.add_column(
            column.heading,
            no_wrap=index > 0 or column.wide,
            overflow="ellipsis" if index or column.wide else "fold",
            justify="right" if column.right else "left",
            max_width=max(min(needed[index], left // len(wide)), _NARROWEST) if index in wide else None,
        )
    for row in rows:
        table.add_row(*row)
    return table


def cell_of(column: Column, thing: object) -> Text:
    """Return what a person reads in a column."""
    return cell(value_at(thing, column.value) if isinstance(column.value, str) else column.value(thing))


def cell(value: object) -> Text:
    """Return a value as a person reads it."""
    if isinstance(value, Styled):
        return Text.assemble(*value.parts)
    if value is None or value == ():
        return Text("-", style="quiet")
    if isinstance(value, datetime):
        return Text(messages.ago(value))
    text = field_text(value)
    return plain(text, style_of(text))


def _described(pairs: Sequence[tuple[str, object]], width: int) -> Table:
    """Return names beside values, or above them where they would leave an id no room."""
    grid = Table.grid(padding=(0, 2))
    beside = max(len(name) for name, _ in pairs) + _GAP + _ID_WIDTH <= width
    for name, value in pairs:
        cells = (Text(name, style="quiet"), _explained(name, value))
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
        text.append(f" ({messages.size(value)})", style="quiet")
    return text


def _flat(record: Record, prefix: str = "") -> list[tuple[str, object]]:
    """Return every attribute with its dotted path; what is ``None`` is left out."""
    pairs: list[tuple[str, object]] = []
    for each in fields(type(record)):
        if each.name.startswith("_") or (value := getattr(record, each.name)) is None:
            continue
        name = prefix + each.name
        pairs += _flat(value, f"{name}.") if isinstance(value, Record) else [(name, value)]
    return pairs
