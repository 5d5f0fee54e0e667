"""The same action for many deployments: chosen, confirmed, watched, summed up, and resumed."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from datarobot_mlops_async.bulk import Outcome, OutcomeState
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk_view import BulkView, reason_of
from datarobot_mlops_async.cli._exits import ExitCode, Failure, failure_of, usage
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._options import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from datarobot_mlops_async.cli._bulk_options import BulkOptions
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.models import Deployment


@define
class BulkAction:
    """One action for many deployments.

    Attributes:
        cli: The command.
        verb: What is done, for people: ``deactivate``.
        call: The method to call with each id.
        options: How it is carried out.
        ids: As on the command line; ``None`` when there are none.
        filters: As `deployments.list` takes them.
    """

    cli: Invocation
    verb: str
    call: Callable[[str], Awaitable[Any]]
    options: BulkOptions
    ids: Sequence[str] | None
    filters: dict[str, Any]
    _journal: Path | None = field(init=False, default=None)
    _outcomes: dict[str, Outcome[str, Any]] = field(init=False, factory=dict)
    _chosen: Sequence[str] = field(init=False, default=())
    _done: int = field(init=False, default=0)

    async def run(self) -> None:
        """Carry it out.

        Raises:
            Failure: Some of it did not succeed, or nothing was named.
        """
        terminal = self.cli.terminal
        found = await self._find()
        earlier = journaled(self.options.resume)
        self._done = sum(earlier.values())
        self._chosen = list(dict.fromkeys([*earlier, *(self.ids or ()), *(each.id for each in found)]))
        open_ones = len(self._chosen) - self._done
        done = f" ({self._done:,} more are done)" if self._done else ""
        counted = messages.count(open_ones, "deployment") + done
        if not open_ones:
            terminal.say(f"no deployments to {self.verb}{done}")
            return
        if self.options.dry_run:
            self._show(found)
            terminal.say(f"would {self.verb} {counted}")
            return
        await self.cli.confirm(f"{self.verb.capitalize()} {counted}?", yes=self.options.yes)
        self.cli.go_on = self._how_to_go_on
        await self._act()
        self._sum_up()

    async def _find(self) -> list[Deployment]:
        if not (self.filters or self.options.everything):
            return []
        with self.cli.terminal.busy("looking for deployments"):
            return await self.cli.session.deployments.list(limit=self.options.limit, **self.filters).collect()

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
                self._chosen,
                max_concurrency=self.options.max_concurrency,
                on_outcome=take,
                stop_on_error=self.options.stop_on_error,
                resume_from=resume if resume and resume.exists() else (),
                repeat_unknown=self.options.repeat_unknown,
                journal=self._journal,
            )
        # Those of earlier runs are among them.
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
        if not failed and len(self._outcomes) == len(self._chosen):
            self._forget_journal()
            return
        raise Failure(self._how_to_go_on(), ExitCode.PARTIAL)

    def _forget_journal(self) -> None:
        # One that the user named is the user's.
        if self.options.resume is None and self._journal is not None:
            self._journal.unlink()

    def _how_to_go_on(self) -> str:
        if self._journal is None:
            return ""
        done = self._done + sum(each.state is OutcomeState.SUCCEEDED for each in self._outcomes.values())
        return (
            f"{done:,} of {len(self._chosen):,} done; to go on, give the same command with "
            f"--resume {shlex.quote(str(self._journal))}"
        )


def journaled(journal: Path | None) -> dict[str, bool]:
    """Return the ids that a journal knows of, and whether each is done; none without a journal.

    Raises:
        Failure: It cannot be read, or is something else.
    """
    if journal is None or not journal.exists():
        return {}
    done: dict[str, bool] = {}
    try:
        for line in journal.read_text("utf-8", errors="replace").splitlines():
            # A line that a killed process left unfinished is none; the library says so in its log.
            if line.endswith("}"):
                outcome: Outcome[str, Any] = Outcome.from_json(line)
                done[outcome.item] = done.get(outcome.item, False) or outcome.state is OutcomeState.SUCCEEDED
    except (OSError, ValueError) as error:
        raise usage(f"--resume {journal}: {error}") from None
    return done


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
