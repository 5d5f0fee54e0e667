"""Bars of downloads, drawn with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from datarobot_mlops_async._progress.words import amount, speed, time_left

if TYPE_CHECKING:
    from rich.console import Console

    from datarobot_mlops_async.artifacts import Progress


_NARROW = 60
"""Columns of a terminal below which there is no room for the speed."""


class _Amount(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(amount(task.completed, task.total))


class RichBars(Bars):
    """One bar below the other. What they count are verified bytes: those that are hashed, and not only here."""

    def __init__(self, *first: ProgressColumn, console: Console, disable: bool = False) -> None:
        super().__init__(
            *first,
            BarColumn(bar_width=None),
            _Amount(Column(no_wrap=True)),
            *([TextColumn("{task.fields[speed]}", justify="right")] if console.width >= _NARROW else []),
            TextColumn("{task.fields[rest]}"),
            console=console,
            # Refreshed where it is updated: no thread of its own.
            auto_refresh=False,
            expand=True,
            disable=disable,
        )

    def add_bar(self, title: str = "") -> TaskID:
        """Add a bar."""
        return self.add_task(title, total=None, speed="", rest="")

    def draw_progress(self, bar: TaskID, progress: Progress) -> None:
        """Show how far its download is."""
        self.draw_bar(bar, progress.verified, progress.total, speed(progress), time_left(progress))

    def draw_bar(self, bar: TaskID, completed: int, total: int | None, speed: str, rest: str) -> None:
        """Draw a bar anew."""
        self.update(bar, completed=completed, total=total, speed=speed, rest=rest, refresh=True)

    def leave_bar(self, bar: TaskID) -> bool:
        """Let a bar stand above the others, as it is, and return whether there are others."""
        (gone,) = [each for each in self.tasks if each.id == bar]
        if len(self.tasks) > 1:
            self.remove_task(bar)
            self.console.print(self.make_tasks_table([gone]))
            return True
        self.stop()
        return False
