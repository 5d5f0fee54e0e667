"""The same action for many deployments: chosen, confirmed, watched, summed up, and resumed."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from datarobot_mlops_async.bulk import Journal, Outcome, OutcomeState, read_journal
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk_view import BulkView, is_on_its_way, reason_of
from datarobot_mlops_async.cli._exits import ExitCode, Failure, failure_of, usage
from datarobot_mlops_async.cli._listing import OutputFormat
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._printing import table_of
from datarobot_mlops_async.cli._views import DEPLOYMENTS
from datarobot_mlops_async.errors import JournalError
from datarobot_mlops_async.models import Deployment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from datarobot_mlops_async.cli._bulk_options import BulkOptions
    from datarobot_mlops_async.cli._invocation import Invocation

_MOST_NAMED = 10
"""Deployments that are named before the question; all are counted."""


@define
class BulkAction:
    """One action for many deployments."""

    cli: Invocation
    verb: str
    call: Callable[[str], Awaitable[Any]]
    options: BulkOptions
    ids: Sequence[str] | None
    filters: dict[str, Any]
    _journal: Path | None = field(init=False, default=None)
    _outcomes: dict[str, Outcome[str, Any]] = field(init=False, factory=dict)
    _asked: Sequence[str] = field(init=False, default=())
    _chosen: Sequence[str] = field(init=False, default=())
    _done: int = field(init=False, default=0)

    async def run(self) -> None:
        """Carry it out.

        Raises:
            Failure: Some of it did not succeed, or nothing was named.
        """
        terminal = self.cli.terminal
        found = await self._find()
        open_ones = self._choose(found, self._earlier())
        done = f" ({self._done:,} more are done)" if self._done else ""
        counted = messages.count(open_ones, "deployment") + done
        if not open_ones:
            terminal.say(f"no deployments to {self.verb}{done}")
            return
        if self.options.dry_run:
            self._show(found)
            terminal.say(f"would {self.verb} {counted}")
            return
        if not self.options.yes:
            await self._name(found)
        await self.cli.terminal.confirm(f"{self.verb.capitalize()} {counted}?", yes=self.options.yes)
        self.cli.go_on = self._how_to_go_on
        await self._act()
        self._sum_up()

    def _choose(self, found: Sequence[Deployment], journal: Journal | None) -> int:
        """Settle what is asked for, and return how much of it is left to do."""
        earlier = journal.outcomes if journal else ()
        self._asked = self.ids or [each.id for each in found]
        if not self.ids:
            # A filter for what is active does not find again what was deactivated without our hearing of it.
            by_filter = self.filters or self.options.everything
            again = [each.item for each in earlier if each.state is OutcomeState.UNKNOWN or not by_filter]
            self._asked = list(dict.fromkeys([*again, *self._asked]))
        self._chosen = list(dict.fromkeys([*(each.item for each in earlier), *self._asked]))
        done = {each.item for each in earlier if each.state is OutcomeState.SUCCEEDED}
        begun = {each.item for each in earlier if each.state is OutcomeState.UNKNOWN and each.location}
        self._done = len(done)
        return len({*self._asked, *begun} - done)

    def _earlier(self) -> Journal | None:
        if self.options.resume is None or not self.options.resume.exists():
            return None
        try:
            journal = read_journal(self.options.resume)
            journal.require(action=self._action, endpoint=self.cli.session.settings.endpoint)
        except JournalError as error:
            raise usage(f"--resume: {error}") from None
        return journal

    @property
    def _action(self) -> str:
        return f"deployments {self.verb}"

    async def _find(self) -> list[Deployment]:
        if not (self.filters or self.options.everything):
            return []
        with self.cli.terminal.status.busy("looking for deployments"):
            return await self.cli.session.deployments.list(limit=self.options.limit, **self.filters).collect()

    async def _name(self, found: Sequence[Deployment]) -> None:
        """Tell a person which deployments are meant, before the question."""
        if not (self.cli.terminal.can_ask and self._asked):
            return
        shown: Sequence[Deployment] = found[:_MOST_NAMED]
        if not shown:
            deployments = self.cli.session.deployments
            outcomes = await self.cli.session.bulk(deployments.get, self._asked[:_MOST_NAMED])
            shown = [each.value or Deployment(id=each.item) for each in outcomes]
        err = self.cli.terminal.err
        self.cli.terminal.status.hide()
        err.print(table_of(DEPLOYMENTS.columns[:3], shown, err.width))
        if more := len(self._asked) - len(shown):
            self.cli.terminal.say(f"and {more:,} more")

    def _show(self, found: Sequence[Deployment]) -> None:
        if found:
            self.cli.printer("deployments", OutputFormat(as_lines=self.options.as_lines)).several(found)
            return
        for each in self._chosen:
            self.cli.terminal.write(clean(each))

    async def _act(self) -> None:
        resume = self.options.resume
        self._journal = resume or new_journal(self.verb)
        with BulkView(
            self.cli.terminal,
            self.verb,
            total=len(self._chosen),
            done=self._done,
            as_lines=self.options.as_lines,
        ) as view:

            def take(outcome: Outcome[str, Any]) -> None:
                self._outcomes[outcome.item] = outcome
                view.add(outcome)

            outcomes = await self.cli.session.bulk(
                self.call,
                self._asked,
                action=self._action,
                max_concurrency=self.options.max_concurrency,
                on_outcome=take,
                stop_on_error=self.options.stop_on_error,
                resume_from=resume,
                repeat_unknown=self.options.repeat_unknown,
                journal=self._journal,
            )
            for outcome in outcomes:
                # Of earlier runs, and not done: a person wants to know which.
                if outcome.item not in self._outcomes and outcome.state is not OutcomeState.SUCCEEDED:
                    view.add(outcome)
        self._outcomes, self._done = {outcome.item: outcome for outcome in outcomes}, 0

    def _sum_up(self) -> None:
        terminal = self.cli.terminal
        failed = [each for each in self._outcomes.values() if each.state is not OutcomeState.SUCCEEDED]
        if len(self._chosen) == 1 and failed and failed[0].state is OutcomeState.FAILED and failed[0].error:
            # One action's failure is that of the command, and there is nothing to go on with.
            self._forget_journal()
            raise failure_of(failed[0].error)
        for line in summary(list(self._outcomes.values()), len(self._chosen)):
            terminal.say(line)
        if any(each.state is OutcomeState.UNKNOWN and not each.location for each in failed):
            terminal.say(
                "whether the unknown ones were done, nobody heard: --repeat-unknown acts on them again"
            )
        if not failed and len(self._outcomes) == len(self._chosen):
            self._forget_journal()
            return
        raise Failure(self._how_to_go_on(), ExitCode.PARTIAL)

    def _forget_journal(self) -> None:
        # One that the user named is the user's.
        if self.options.resume is None and self._journal is not None:
            self._journal.unlink()

    def _how_to_go_on(self) -> str:
        done = self._done + sum(each.state is OutcomeState.SUCCEEDED for each in self._outcomes.values())
        under_way = sum(is_on_its_way(each) for each in self._outcomes.values())
        waiting = f"{under_way:,} on their way: wait for them with --resume; " if under_way else ""
        return waiting + (
            f"{done:,} of {len(self._chosen):,} done; to go on, give the same command with "
            f"--resume {shlex.quote(str(self._journal))}"
        )


def new_journal(verb: str) -> Path:
    """Return a new and empty journal, which outlives this process."""
    with tempfile.NamedTemporaryFile(prefix=f"dr-mlops-{verb}-", suffix=".jsonl", delete=False) as file:
        return Path(file.name)


def summary(outcomes: Sequence[Outcome[str, Any]], chosen: int) -> list[str]:
    """Count outcomes by what became of them and why, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        counts[outcome.state.value, reason_of(outcome)] += 1
    if not_begun := chosen - len(outcomes):
        counts["not begun", ""] = not_begun
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [
        f"{count:>{width},} {state}{f': {reason}' if reason else ''}"
        for (state, reason), count in counts.most_common()
    ]
