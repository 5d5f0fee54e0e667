"""The scenes of ``dr-mlops demo``: a list, operations, a download."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define, field
from rich.markup import escape
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column as TableColumn
from rich.table import Table
from rich.text import Text

from datarobot_mlops_async._config import Settings
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._fields import style_of
from datarobot_mlops_async.cli._printing import table_of
from datarobot_mlops_async.cli._progress import DownloadView, speed_of
from datarobot_mlops_async.cli._terminal import can_redraw
from datarobot_mlops_async.cli._views import HEALTH_LEGEND, Column, daily_predictions, health_signs
from datarobot_mlops_async.models import Deployment, DeploymentStatus, Importance
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console, RenderableType

    from datarobot_mlops_async.emulator import Emulator
    from datarobot_mlops_async.operations import OperationStatus

_SHOWN = 12
_CHANGED = 5
_SHORTEST, _STEP = 1.0, 0.6
"""Seconds that the first operation takes, and each one more than the one before."""
_INDENT = 2
_COLUMNS = (
    Column("Label", "label", wide=True),
    Column("Importance", "importance"),
    Column("Status", "status"),
    Column("Health", health_signs, legend=HEALTH_LEGEND),
    Column("Predictions/day", daily_predictions, right=True),
    Column("Target", "model.target_type", from_width=110),
)


@define
class Demo:
    """The demonstration.

    Where output is redrawn, it is stdout: a demonstration's progress is its result.
    """

    out: Console
    emulator: Emulator
    directory: Path
    keep: bool
    _done: Table = field(init=False, factory=lambda: Table.grid(padding=(0, 2)))

    async def play(self) -> None:
        """Play all scenes."""
        fleet = messages.count(self.emulator.deployments, "deployment")
        self.out.print(
            "[strong]DataRobot MLOps, asynchronously[/]\n"
            f"An emulator in this process serves {fleet} and an image of "
            f"{messages.size(self.emulator.image_size or 0)}\nat {self.emulator.endpoint}"
        )
        # Nothing of the user's own settings: the demonstration is the same for everybody.
        settings = Settings(endpoint=self.emulator.endpoint, token=self.emulator.token)
        where = ""
        async with AsyncSession.from_settings(settings) as session:
            found = await self._list(session)
            async with anyio.create_task_group() as group:
                # The emulator computes its image's SHA-256 meanwhile, so that nobody waits for it later.
                group.start_soon(anyio.to_thread.run_sync, self.emulator.prepare)
                await self._deactivate(session, found)
                where = await self._download(session)
        self._title("✓", "Done", "")
        self._print(self._done)
        self.out.print(f"  [quiet]{where}[/]", soft_wrap=True)

    async def _list(self, session: AsyncSession) -> list[Deployment]:
        self._title("1", "List every deployment", "session.deployments.list().collect()")
        started = time.perf_counter()
        fleet = sorted(await session.deployments.list().collect(), key=_most_interesting)
        took = messages.duration(time.perf_counter() - started)
        self._done.add_row("listed", messages.count(len(fleet), "deployment"), f"in {took}")
        shown = fleet[:_SHOWN]
        self._print(table_of(_COLUMNS, shown, self.out.width - _INDENT))
        self.out.print(f"  [quiet]{len(shown)} of {len(fleet):,}[/]\n")
        self._print(_census(fleet))
        return fleet

    async def _deactivate(self, session: AsyncSession, fleet: Sequence[Deployment]) -> None:
        title = "Deactivate some, and follow the operations"
        self._title("2", title, "await session.deployments.begin_deactivate(id)")
        chosen = [each for each in fleet if each.status == DeploymentStatus.ACTIVE][-_CHANGED:]
        started = time.perf_counter()
        columns = (
            TextColumn(""),
            SpinnerColumn(finished_text="[good]✓[/]"),
            TextColumn("{task.description}", table_column=TableColumn(no_wrap=True, overflow="ellipsis")),
            TextColumn("{task.fields[word]}", table_column=TableColumn(no_wrap=True)),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.out, disable=not can_redraw(self.out)) as bars:
            async with anyio.create_task_group() as group:
                for index, deployment in enumerate(chosen):
                    # One begins after the other: the emulator is told between them how long each takes.
                    self.emulator.operation_seconds = _SHORTEST + _STEP * index
                    await group.start(self._follow, session, deployment, bars)
        took = messages.duration(time.perf_counter() - started)
        self._done.add_row(
            "deactivated", messages.count(len(chosen), "deployment"), f"in {took}, side by side"
        )

    async def _follow(
        self,
        session: AsyncSession,
        deployment: Deployment,
        bars: Progress,
        *,
        task_status: anyio.abc.TaskStatus[None],
    ) -> None:
        label = escape(messages.clean(deployment.label))
        bar = bars.add_task(label, total=1, word="…")

        def update(status: OperationStatus) -> None:
            bars.update(bar, word=status.status)

        operation = await session.deployments.begin_deactivate(deployment.id)
        task_status.started()
        changed = await operation.wait(on_update=update)
        bars.update(bar, completed=1, word=f"COMPLETED → [strong]{changed.status}[/]")
        if bars.disable:
            self.out.print(f"  {changed.status}: {label}", soft_wrap=True)

    async def _download(self, session: AsyncSession) -> str:
        title = "Download the image and verify it"
        self._title("3", title, "await (await session.pps_image.artifact()).download(dir)")
        artifact = await session.pps_image.artifact()
        self.out.print(f"  {artifact.filename}", soft_wrap=True)
        with DownloadView(self.out, live=can_redraw(self.out), indent=_INDENT) as view:
            result = await artifact.download(self.directory, on_progress=view.show)
            view.finish(result)
        took = f"in {messages.duration(result.elapsed)}, {speed_of(result)}, every byte hashed"
        self._done.add_row("downloaded", messages.size(result.size), took)
        self.out.print(f"  [good]✓[/] SHA-256 {result.sha256}", soft_wrap=True)
        return f"kept: {result.path}" if self.keep else "the image was removed again (--keep keeps it)"

    def _title(self, number: str, title: str, code: str) -> None:
        line = Text.assemble("\n", (f"{number}  {title}", "strong"))
        if len(number) + len(title) + len(code) + 6 <= self.out.width:
            line.append(f"   {code}", style="quiet")
        self.out.print(line)

    def _print(self, content: RenderableType) -> None:
        self.out.print(Padding(content, (0, 0, 0, _INDENT), expand=False))


def _most_interesting(deployment: Deployment) -> tuple[int, int, str]:
    def rank(word: object, words: Sequence[str]) -> int:
        return words.index(str(word)) if word in words else len(words)

    health = rank(deployment.service_health.status, ("failing", "warning", "passing"))
    return rank(deployment.importance, [each.value for each in Importance]), health, deployment.label


def _census(fleet: Sequence[Deployment]) -> Table:
    """Count the fleet by status and by service health, with a bar for each."""
    grid = Table.grid(padding=(0, 2))
    for name, words in (
        ("status", [str(each.status) for each in fleet]),
        ("service health", [str(each.service_health.status) for each in fleet]),
    ):
        for index, (word, number) in enumerate(Counter(words).most_common()):
            bar = "█" * max(1, round(30 * number / len(fleet)))
            heading = Text("" if index else name, style="quiet")
            grid.add_row(heading, Text(word), Text.assemble((bar, style_of(word)), f" {number}"))
    return grid
