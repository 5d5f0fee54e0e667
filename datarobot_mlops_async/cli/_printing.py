"""Printing lists and single things, for people, for programs and for machines."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from attrs import fields, frozen
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._failures import usage
from datarobot_mlops_async.cli._rows import Column, View, cell, field_text, to_json, value_at
from datarobot_mlops_async.models import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.pagination import Paginator

T = TypeVar("T")
_GAP = 2

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
_AsJsonLines = Annotated[bool, typer.Option("--jsonl", help="JSON, one object a line, as pages arrive.")]
_Columns = Annotated[
    str,
    typer.Option(
        metavar="A,B.C", help="Attributes to show, for example id,model.type,service_health.status."
    ),
]
_Limit = Annotated[int | None, typer.Option("--limit", "-n", min=0, metavar="N", help="At most so many.")]


@frozen(kw_only=True)
class Form:
    """How a list is to be printed.

    Attributes:
        limit: The most rows wanted; ``None`` for all.
        columns: Attribute paths to show; none for the usual ones.
        as_json: As one JSON document.
        as_lines: As JSON, one object a line.
    """

    limit: int | None = None
    columns: tuple[str, ...] = ()
    as_json: bool = False
    as_lines: bool = False


def list_form(
    *, limit: _Limit = None, columns: _Columns = "", as_json: AsJson = False, as_lines: _AsJsonLines = False
) -> Form:
    """Return the form for a command's options, which its parameters declare.

    Raises:
        Failure: They exclude each other.
    """
    paths = tuple(each.strip() for each in columns.split(",") if each.strip())
    if as_json and as_lines:
        raise usage("--json and --jsonl exclude each other")
    if paths and (as_json or as_lines):
        raise usage("--columns is for tables: with --json and --jsonl every attribute is there")
    return Form(limit=limit, columns=paths, as_json=as_json, as_lines=as_lines)


@frozen
class Printer:
    """What the user wants to see, and where.

    Attributes:
        terminal: Where it goes.
        view: How the things are printed where the form does not say.
        form: How.
    """

    terminal: Terminal
    view: View
    form: Form = Form()

    async def list(self, paginator: Paginator[T]) -> None:
        """Print a list, as its pages arrive where the form allows it."""
        if self.form.as_json:
            # Collected first: half a document is worse than none.
            self.terminal.write(to_json(tuple(await paginator.collect()), indent=2))
        elif self.form.as_lines or not self.terminal.for_people:
            async with paginator.prefetch() as things:
                async for thing in things:
                    self.terminal.write(self._line(thing))
        else:
            self.table(await paginator.collect())

    def several(self, things: Sequence[object]) -> None:
        """Print things that are all here."""
        things = things[: self.form.limit]
        if self.form.as_json:
            self.terminal.write(to_json(tuple(things), indent=2))
        elif self.form.as_lines or not self.terminal.for_people:
            for thing in things:
                self.terminal.write(self._line(thing))
        else:
            self.table(things)

    def one(self, thing: Record) -> None:
        """Print one thing with everything there is of it."""
        if self.form.as_json or self.form.as_lines:
            self.terminal.write(to_json(thing, indent=None if self.form.as_lines else 2))
        elif not self.terminal.for_people:
            for name, value in _flat(thing):
                self.terminal.write(f"{name}\t{field_text(value)}")
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="quiet", no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in _flat(thing):
                grid.add_row(name, _explained(name, value))
            self.terminal.out.print(grid)

    def table(self, things: Sequence[object]) -> None:
        """Print a table and how many rows it has."""
        if things:
            self.terminal.out.print(table_of(self._view.columns, things, self.terminal.out.width))
        self.terminal.say(wording.count(len(things), self.view.noun))

    @property
    def _view(self) -> View:
        return self.view.choose(self.form.columns)

    def _line(self, thing: object) -> str:
        if self.form.as_lines:
            return to_json(thing)
        return "\t".join(field_text(value_at(thing, path)) for path in self._view.paths)


def table_of(columns: Sequence[Column], things: Sequence[object], width: int) -> Table:
    """Return a table that fits a terminal of so many characters: wide columns are cut, others are not."""
    shown = [column for column in columns if column.from_width <= width]
    rows = [[column.cell(thing) for column in shown] for thing in things]
    needed = [
        max(len(column.heading), *(row[index].cell_len for row in rows)) for index, column in enumerate(shown)
    ]
    wide = [index for index, column in enumerate(shown) if column.wide]
    left = width - sum(needed) + sum(needed[index] for index in wide) - _GAP * (len(shown) - 1)
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="strong"
    )
    for index, column in enumerate(shown):
        table.add_column(
            column.heading,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            max_width=max(min(needed[index], left // len(wide)), 8) if index in wide else None,
        )
    for row in rows:
        table.add_row(*row)
    return table


def _explained(name: str, value: object) -> Text:
    """Return a value with what it means to a person: a size in GiB, how long ago a moment was."""
    text = cell(value)
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M:%S %Z} ({text})")
    if isinstance(value, int) and name.endswith(("_size", "_bytes")):
        text.append(f" ({wording.size(value)})", style="quiet")
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
