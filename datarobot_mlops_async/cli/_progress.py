"""How far a download is: a bar for a person, now and then a line for a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from datarobot_mlops_async.cli import _messages as messages

if TYPE_CHECKING:
    from rich.console import Console

    from datarobot_mlops_async.artifacts import DownloadResult, Progress, VerifiedFile

LINE_EVERY = 10.0
"""Seconds between two lines of a log."""


class _Amount(ProgressColumn):
    """Bytes that are verified, of all."""

    def render(self, task: Task) -> Text:
        here = messages.size(task.completed)
        return Text(here if task.total is None else f"{here} of {messages.size(task.total)}")


class DownloadView(Bar):
    """Shows one download while its ``with`` is open; `show` is the download's ``on_progress``.

    What it counts are verified bytes: those that are hashed, and not only here. Where nothing may be redrawn
    there is a line every 10 seconds.
    """

    def __init__(self, console: Console, *, live: bool, indent: int = 0) -> None:
        super().__init__(
            *([TextColumn(" " * (indent - 1))] if indent else []),
            BarColumn(bar_width=None),
            _Amount(),
            TextColumn("{task.fields[speed]}", justify="right"),
            TextColumn("{task.fields[rest]}"),
            console=console,
            # Refreshed where it is updated: no thread of its own.
            auto_refresh=False,
            expand=True,
            disable=not live,
        )
        self._next_line = time.monotonic() + LINE_EVERY
        self._waits = False
        self._bar = self.add_task("", total=None, speed="", rest="")

    def show(self, progress: Progress) -> None:
        """Show how far the download is."""
        if not self.disable:
            speed = messages.rate(progress.rate) if progress.rate else ""
            self._draw(progress.verified, progress.total, speed, time_left(progress))
        elif progress.is_waiting and not self._waits:
            self.console.print(time_left(progress), soft_wrap=True)
        elif time.monotonic() >= self._next_line:
            self._next_line += LINE_EVERY
            self.console.print(describe(progress), soft_wrap=True)
        self._waits = progress.is_waiting

    def finish(self, result: DownloadResult | VerifiedFile) -> None:
        """Show that it is done, and whether what came was compared with what was promised."""
        rest = "[good]✓ verified[/]" if result.verified_by else "[fair]done[/]"
        self._draw(result.size, result.size, speed_of(result), rest)

    def _draw(self, completed: int, total: int | None, speed: str, rest: str) -> None:
        self.update(self._bar, completed=completed, total=total, speed=speed, rest=rest, refresh=True)


def time_left(progress: Progress) -> str:
    """Word the time that is left, or what is waited for; empty while nobody can know."""
    if progress.is_waiting:
        return "waiting for another process that downloads to the same place"
    if progress.total is None or not progress.rate:
        return ""
    return f"{messages.duration((progress.total - progress.verified) / progress.rate)} left"


def describe(progress: Progress) -> str:
    """Word how far a download is, for a log."""
    if progress.total:
        share = f"{progress.verified / progress.total:4.0%}  "
        amount = f"{messages.size(progress.verified)} of {messages.size(progress.total)}"
    else:
        share, amount = "", messages.size(progress.verified)
    return f"{share}{amount}, {messages.rate(progress.rate)}, {time_left(progress) or 'time left unknown'}"


def speed_of(result: DownloadResult | VerifiedFile) -> str:
    """Word a finished download's speed."""
    done = result.size - getattr(result, "resumed_from", 0)
    return messages.rate(done / result.elapsed) if result.elapsed > 0 else ""


def verdict(result: DownloadResult) -> str:
    """Word in one line what a download brought."""
    if result.already_present:
        return f"already here, SHA-256 verified: {result.sha256}"
    checked = f"SHA-256 verified: {result.sha256}" if result.verified_by else f"SHA-256 {result.sha256}"
    resumed = f" after {messages.size(result.resumed_from)} from before" if result.resumed_from else ""
    speed = f" ({speed_of(result)})" if result.elapsed > 0 else ""
    return f"{messages.size(result.size)} in {messages.duration(result.elapsed)}{resumed}{speed}, {checked}"
