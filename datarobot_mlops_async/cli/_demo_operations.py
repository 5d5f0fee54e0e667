"""The demonstration's second scene: several operations followed at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
from attrs import define
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._terminal import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from datarobot_mlops_async.emulator import Emulator
    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.operations import OperationStatus
    from datarobot_mlops_async.session import AsyncSession

_SHORTEST, _STEP = 1.0, 0.6
_OTHER_COLUMNS = 3 + 20 + 7 + 3 * 2
_STYLES = {"INITIALIZED": "quiet", "RUNNING": "cyan"}


@define
class _Row:
    """One operation as it is shown."""

    label: str
    started: float
    word: str = "…"
    ended: float | None = None
    outcome: str = ""

    def update(self, status: OperationStatus) -> None:
        """Take over what a poll said."""
        self.word = status.status

    def end(self, outcome: str) -> None:
        """Say how it ended."""
        self.ended, self.outcome = time.perf_counter(), outcome

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self.ended or time.perf_counter()) - self.started


async def change_status(
    session: AsyncSession, emulator: Emulator, chosen: Sequence[Deployment], console: Console, *, live: bool
) -> None:
    """Deactivate deployments and show each operation until it is over.

    Args:
        session: The session.
        emulator: Where they are; it is told to take longer for each.
        chosen: The deployments.
        console: Where they are shown.
        live: Whether the view may be redrawn. Otherwise there is a line for each that ends.
    """
    rows = [_Row(clean(each.label), time.perf_counter()) for each in chosen]

    async def follow(index: int, deployment: Deployment) -> None:
        row = rows[index]
        emulator.operation_seconds = _SHORTEST + _STEP * index
        operation = await session.deployments.begin_deactivate(deployment.id)
        begun.set()
        changed = await operation.wait(on_update=row.update)
        row.end(str(changed.status))
        if not live:
            console.print(_plain_line(row), soft_wrap=True)

    with _View(rows, console, live=live):
        async with anyio.create_task_group() as group:
            for index, deployment in enumerate(chosen):
                # One begins after the other, because the emulator is told between them how long each takes.
                begun = anyio.Event()
                group.start_soon(follow, index, deployment)
                await begun.wait()


class _View:
    def __init__(self, rows: Sequence[_Row], console: Console, *, live: bool) -> None:
        self._rows = rows
        self._console = console
        self._spinner = Spinner("dots")
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=12) if live else None
        )

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def _render(self) -> Table:
        console_width = self._console.width
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=3, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(width=20, no_wrap=True)
        grid.add_column(width=7, no_wrap=True, justify="right")
        for row in self._rows:
            sign: RenderableType = self._spinner if row.ended is None else Text("✓", style="good")
            word = (
                Text(row.word, style=_STYLES.get(row.word, ""))
                if row.ended is None
                else Text.assemble("COMPLETED → ", plain(row.outcome, "strong"))
            )
            label = Text(row.label)
            label.truncate(max(8, console_width - _OTHER_COLUMNS), overflow="ellipsis")
            grid.add_row(sign, label, word, Text(messages.duration(row.seconds), style="quiet"))
        return grid


def _plain_line(row: _Row) -> Text:
    return Text(f"  {row.outcome} after {messages.duration(row.seconds)}: {row.label}")
