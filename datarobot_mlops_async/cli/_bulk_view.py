"""What is to be seen of a bulk action while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from datarobot_mlops_async.bulk import OutcomeState
from datarobot_mlops_async.cli._messages import clean, escaped

if TYPE_CHECKING:
    from datarobot_mlops_async.bulk import Outcome
    from datarobot_mlops_async.cli._terminal import Terminal

_MOST_SHOWN = 20
"""Failures that are shown one by one; the summary counts all."""


class BulkView(Progress):
    """A bar with counts for a person; a line for each outcome for a program."""

    def __init__(self, terminal: Terminal, verb: str, *, total: int, done: int, as_lines: bool) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TextColumn("[bad]{task.fields[failures]}[/]"),
            TimeElapsedColumn(),
            console=terminal.err,
            expand=True,
            disable=not terminal.live,
        )
        terminal.status.hide()
        self._terminal = terminal
        self._as_lines = as_lines
        self._total = total
        self._failures = 0
        self._bar = self.add_task(verb, total=total, completed=done, failures="")

    def stop(self) -> None:
        """Leave the bar as it is."""
        self._terminal.status.hide()
        super().stop()

    def add(self, outcome: Outcome[str, Any]) -> None:
        """Show one outcome."""
        if outcome.state is not OutcomeState.SUCCEEDED and not is_on_its_way(outcome):
            self._tell(outcome)
        if self._as_lines:
            self._terminal.write(escaped(outcome.to_json()))
        elif not self._terminal.for_people:
            self._terminal.write(f"{clean(outcome.item)}\t{outcome.state.value}")
        self.update(
            self._bar,
            advance=0 if is_on_its_way(outcome) else 1,
            failures=f"{self._failures:,} failed" if self._failures else "",
        )

    def _tell(self, outcome: Outcome[str, Any]) -> None:
        self._failures += 1
        # That of a single one is told by the command itself.
        if self._failures <= _MOST_SHOWN and self._total > 1:
            self._terminal.say(f"{outcome.item}: {outcome.state.value}: {reason_of(outcome)}")
        elif self._failures == _MOST_SHOWN + 1:
            self._terminal.say("more failures are not shown one by one")


def is_on_its_way(outcome: Outcome[str, Any]) -> bool:
    """Tell whether an outcome is that of an interruption: the server goes on with what had been begun."""
    return outcome.state is OutcomeState.UNKNOWN and outcome.error is None


def reason_of(outcome: Outcome[str, Any]) -> str:
    """Word why an outcome is no success, alike for what failed alike."""
    if outcome.error is None:
        return "" if outcome.state is OutcomeState.SUCCEEDED else "interrupted"
    message = getattr(outcome.error, "message", None) or str(outcome.error)
    status = getattr(outcome.error, "status", None)
    return clean(f"{status} {message}" if status else f"{type(outcome.error).__name__}: {message}")
