"""Printing lists and single things, for people, for programs and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from attrs import evolve, fields, frozen
from rich.box import SIMPLE_HEAD
from rich.table import Table

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
AsJsonLines = Annotated[bool, typer.Option("--jsonl", help="JSON, one object a line, as pages arrive.")]
Columns = Annotated[
    str,
    typer.Option(
        metavar="A,B.C", help="Attributes to show, for example id,model.type,service_health.status."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=0, metavar="N", help="At most so many.")]


@frozen(kw_only=True)
class Printer:
    """What the user wants to see, and where.

    Attributes:
        terminal: Where it goes.
        view: How the things are printed.
        as_json: As one JSON document.
        as_lines: As JSON, one object a line.
    """

    terminal: Terminal
    view: View
    as_json: bool = False
    as_lines: bool = False

    @classmethod
    def of(
        cls,
        terminal: Terminal,
        view: View,
        *,
        as_json: bool = False,
        as_lines: bool = False,
        columns: str = "",
    ) -> Printer:
        """Return the printer for a command's options.

        Raises:
            Failure: The options exclude each other.
        """
        if as_json and as_lines:
            raise usage("--json and --jsonl exclude each other")
        paths = [each.strip() for each in columns.split(",") if each.strip()]
        if paths and (as_json or as_lines):
            raise usage("--columns is for tables: with --json and --jsonl every attribute is there")
        return cls(terminal=terminal, view=view.choose(paths), as_json=as_json, as_lines=as_lines)

    async def list(self, paginator: Paginator[T]) -> None:
        """Print a list, as its pages arrive where the form allows it."""
        if self.as_json:
            # Collected first: half a document is worse than none.
            self.terminal.write(to_json(tuple(await paginator.collect()), indent=2))
        elif self.as_lines or not self.terminal.out.is_terminal:
            async with paginator.prefetch() as things:
                async for thing in things:
                    self.terminal.write(self._line(thing))
        else:
            self.table(await paginator.collect())

    def several(self, things: Sequence[object]) -> None:
        """Print things that are all here."""
        if self.as_json:
            self.terminal.write(to_json(tuple(things), indent=2))
        elif self.as_lines or not self.terminal.out.is_terminal:
            for thing in things:
                self.terminal.write(self._line(thing))
        else:
            self.table(things)

    def one(self, thing: Record) -> None:
        """Print one thing with everything there is of it."""
        if self.as_json or self.as_lines:
            self.terminal.write(to_json(thing, indent=None if self.as_lines else 2))
        elif not self.terminal.out.is_terminal:
            for name, value in _flat(thing):
                self.terminal.write(f"{name}\t{field_text(value)}")
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="quiet", no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in _flat(thing):
                grid.add_row(name, cell(value))
            self.terminal.out.print(grid)

    def table(self, things: Sequence[object]) -> None:
        """Print a table and how many rows it has."""
        if things:
            self.terminal.out.print(table_of(self.view.columns, things, self.terminal.out.width))
        self.terminal.say(wording.count(len(things), self.view.noun))

    def _line(self, thing: object) -> str:
        if self.as_lines:
            return to_json(thing)
        return "\t".join(field_text(value_at(thing, path)) for path in self.view.paths)


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


def _flat(record: Record, prefix: str = "") -> list[tuple[str, object]]:
    """Return every attribute with its dotted path; what is ``None`` is left out."""
    pairs: list[tuple[str, object]] = []
    for each in fields(type(record)):
        if each.name.startswith("_") or (value := getattr(record, each.name)) is None:
            continue
        name = prefix + each.name
        pairs += _flat(value, f"{name}.") if isinstance(value, Record) else [(name, value)]
    return pairs


def without(view: View, *headings: str) -> View:
    """Return a view without some of its columns for people."""
    return evolve(view, columns=tuple(each for each in view.columns if each.heading not in headings))
