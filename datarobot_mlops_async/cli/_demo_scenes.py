"""The scenes of ``dr-mlops demo``: a list, operations, a download."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async._config import Settings
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._demo_operations import change_status
from datarobot_mlops_async.cli._fields import style_of
from datarobot_mlops_async.cli._printing import cell, fitting, table_of
from datarobot_mlops_async.cli._progress import DownloadView, speed_of
from datarobot_mlops_async.cli._terminal import can_redraw
from datarobot_mlops_async.cli._views import (
    HEALTH_LEGEND,
    Column,
    daily_predictions,
    health_signs,
    last_prediction,
)
from datarobot_mlops_async.models import Deployment, DeploymentStatus, Importance
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datarobot_mlops_async.artifacts import DownloadResult
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.emulator import Emulator

_SHOWN = 12
_CHANGED = 5
_INDENT = 2
_COLUMNS = (
    Column("Label", "label", wide=True),
    Column("Importance", "importance"),
    Column("Status", "status"),
    Column("Health", health_signs),
    Column("Target", "model.target_type", from_width=110),
    Column("Predictions/day", daily_predictions, right=True),
    Column("Last", last_prediction, from_width=100),
)


@define
class _Ledger:
    """What the demonstration did."""

    listed: int = 0
    listing_seconds: float = 0.0
    changed: int = 0
    changing_seconds: float = 0.0
    download: DownloadResult | None = None


async def play(terminal: Terminal, emulator: Emulator, directory: Path, *, keep: bool) -> None:
    """Play the demonstration.

    Args:
        terminal: Where it is shown.
        emulator: What it is played against.
        directory: Where the image goes.
        keep: Whether the image stays there.
    """
    await _Demo(terminal, emulator, directory, keep=keep).play()


class _Demo:
    """The demonstration's scenes.

    Where output is redrawn, it is stdout: a demonstration's progress is its result.
    """

    def __init__(self, terminal: Terminal, emulator: Emulator, directory: Path, *, keep: bool) -> None:
        self._out = terminal.out
        self._live = can_redraw(terminal.out)
        self._emulator = emulator
        self._directory = directory
        self._keep = keep
        self._ledger = _Ledger()

    async def play(self) -> None:
        """Play all scenes."""
        image = messages.size(self._emulator.image_size or 0)
        self._out.print(
            Text.assemble(
                ("DataRobot MLOps, asynchronously", "strong"),
                f"\nAn emulator in this process serves {messages.count(self._emulator.deployments, 'deployment')} "
                f"and an image of {image}\nat {self._emulator.endpoint}",
            )
        )
        # Nothing of the user's own settings: the demonstration is the same for everybody.
        settings = Settings(endpoint=self._emulator.endpoint, token=self._emulator.token)
        async with AsyncSession.from_settings(settings) as session:
            fleet = await self._list(session)
            async with anyio.create_task_group() as group:
                # The emulator computes its image's SHA-256 meanwhile, so that nobody waits for it later.
                group.start_soon(anyio.to_thread.run_sync, self._emulator.prepare)
                await self._deactivate(session, fleet)
                await self._download(session)
        self._sum_up()

    async def _list(self, session: AsyncSession) -> list[Deployment]:
        self._title("1", "List every deployment", "session.deployments.list().collect()")
        started = time.perf_counter()
        fleet = await session.deployments.list().collect()
        self._ledger.listed, self._ledger.listing_seconds = len(fleet), time.perf_counter() - started
        shown = _selection(fleet)
        width = self._out.width - _INDENT
        self._out.print(_indented(table_of(fitting(_COLUMNS, shown, width), shown, width)))
        self._out.print(f"  [quiet]{len(shown)} of {len(fleet):,};[/] ", cell(HEALTH_LEGEND), "\n", sep="")
        self._out.print(_indented(_census(fleet)))
        return fleet

    async def _deactivate(self, session: AsyncSession, fleet: Sequence[Deployment]) -> None:
        self._title(
            "2",
            "Deactivate some, and follow the operations",
            "await session.deployments.begin_deactivate(id)",
        )
        chosen = sorted(
            (each for each in fleet if each.status == DeploymentStatus.ACTIVE),
            key=_most_interesting,
            reverse=True,
        )[:_CHANGED]
        started = time.perf_counter()
        await change_status(session, self._emulator, chosen, self._out, live=self._live)
        self._ledger.changed, self._ledger.changing_seconds = len(chosen), time.perf_counter() - started

    async def _download(self, session: AsyncSession) -> None:
        self._title(
            "3",
            "Download the image and verify it",
            "await (await session.pps_image.artifact()).download(dir)",
        )
        with self._out.status("asking for size and SHA-256") if self._live else nullcontext():
            artifact = await session.pps_image.artifact()
        self._out.print(f"  {artifact.filename}", soft_wrap=True)
        with DownloadView(self._out, live=self._live, indent=_INDENT) as view:
            result = await artifact.download(self._directory, on_progress=view.update)
            view.finish(result)
        if not self._live:
            self._out.print(
                f"  {messages.size(result.size)} in {messages.duration(result.elapsed)}, {speed_of(result)}"
            )
        self._ledger.download = result
        self._out.print(f"  [good]✓[/] SHA-256 {result.sha256}", soft_wrap=True)

    def _sum_up(self) -> None:
        ledger, result = self._ledger, self._ledger.download
        assert result is not None  # noqa: S101 - the scene before has set it
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            "listed",
            messages.count(ledger.listed, "deployment"),
            f"in {messages.duration(ledger.listing_seconds)}",
        )
        grid.add_row(
            "deactivated",
            messages.count(ledger.changed, "deployment"),
            f"in {messages.duration(ledger.changing_seconds)}, side by side",
        )
        grid.add_row(
            "downloaded",
            messages.size(result.size),
            f"in {messages.duration(result.elapsed)}, {speed_of(result)}, every byte hashed",
        )
        self._title("✓", "Done", "")
        self._out.print(_indented(grid))
        where = f"kept: {result.path}" if self._keep else "the image was removed again (--keep keeps it)"
        self._out.print(f"  [quiet]{where}[/]", soft_wrap=True)

    def _title(self, number: str, title: str, code: str) -> None:
        line = Text.assemble("\n", (f"{number}  {title}", "strong"))
        if len(number) + len(title) + len(code) + 6 <= self._out.width:
            line.append(f"   {code}", style="quiet")
        self._out.print(line)


def _most_interesting(deployment: Deployment) -> tuple[int, int, str]:
    importances = [str(each) for each in Importance]
    importance = str(deployment.importance)
    rank = importances.index(importance) if importance in importances else len(importances)
    troubles = ("failing", "warning", "passing")
    health = str(deployment.service_health.status)
    return rank, troubles.index(health) if health in troubles else len(troubles), deployment.label


def _selection(fleet: Sequence[Deployment]) -> list[Deployment]:
    """Return the most important deployments, and one of each status."""
    ranked = sorted(fleet, key=_most_interesting)
    first_of_each = {str(each.status): each for each in reversed(ranked)}
    chosen = [*first_of_each.values(), *(each for each in ranked if each not in first_of_each.values())][
        :_SHOWN
    ]
    return sorted(chosen, key=_most_interesting)


def _census(fleet: Sequence[Deployment]) -> Table:
    """Count the fleet by status and by service health, with a bar for each."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    for name, words in (
        ("status", [str(each.status) for each in fleet]),
        ("service health", [str(each.service_health.status) for each in fleet]),
    ):
        for word, number in Counter(words).most_common():
            bar = "█" * max(1, round(30 * number / len(fleet)))
            grid.add_row(
                Text(name, style="quiet"), Text(word), Text.assemble((bar, style_of(word)), f" {number}")
            )
            name = ""  # noqa: PLW2901 - only the first row of a group is named
    return grid


def _indented(content: Table) -> Table:
    outer = Table.grid()
    outer.add_row(" " * _INDENT, content)
    return outer
