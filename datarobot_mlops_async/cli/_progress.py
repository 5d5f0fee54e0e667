"""How far a download is: a bar for a person, now and then a line for a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datarobot_mlops_async._progress.rich_bars import RichBars
from datarobot_mlops_async._progress.words import LogLines
from datarobot_mlops_async.cli import _messages as messages

if TYPE_CHECKING:
    from rich.console import Console

    from datarobot_mlops_async.artifacts import DownloadResult, Progress, VerifiedFile


class DownloadView(RichBars):
    """Shows one download while its ``with`` is open; `show` is the download's ``on_progress``.

    Where nothing may be redrawn there is a line every 10 seconds.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        super().__init__(console=console, disable=not live)
        self._lines = LogLines(lambda line: console.print(line, soft_wrap=True))
        self._bar = self.add_bar()

    def show(self, progress: Progress) -> None:
        """Show how far the download is."""
        if self.disable:
            self._lines.show(progress)
        else:
            self.draw_progress(self._bar, progress)

    def finish(self, result: DownloadResult | VerifiedFile) -> None:
        """Show that it is done, and whether what came was compared with what was promised."""
        rest = "[good]✓ verified[/]" if result.verified_by else "[fair]done[/]"
        self.draw_bar(self._bar, result.size, result.size, speed_of(result), rest)


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
