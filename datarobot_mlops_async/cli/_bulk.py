"""The same action for many deployments: chosen, confirmed, watched, summed up, and resumed."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import define, field, frozen

from datarobot_mlops_async.bulk import Outcome, OutcomeState
from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._asking import DryRun, Yes, confirm, named_ids
from datarobot_mlops_async.cli._bulk_view import BulkView, reason_of
from datarobot_mlops_async.cli._failures import ExitCode, Failure, failure_of, usage
from datarobot_mlops_async.cli._printing import Form, Printer
from datarobot_mlops_async.cli._terminal import clean
from datarobot_mlops_async.cli._views import DEPLOYMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.session import AsyncSession

_PANEL = "How"


@frozen(kw_only=True)
class Manner:
    """How a bulk action is carried out.

    Attributes:
        yes: Whether not to ask.
        dry_run: Whether to show what would be done and do nothing.
        everything: Whether every deployment is meant when no filter is given.
        limit: The most deployments to take of those that a filter finds.
        resume: The journal of an earlier run to go on from; it is written on. ``None`` for a new one.
        max_concurrency: Deployments on their way at a time.
        stop_on_error: Whether to begin nothing new after a failure.
        repeat_unknown: Whether to act again where an earlier run's answer was lost.
        as_lines: Whether to print each outcome as a line of JSON.
    """

    yes: bool
    dry_run: bool
    everything: bool
    limit: int | None
    resume: Path | None
    max_concurrency: int
    stop_on_error: bool
    repeat_unknown: bool
    as_lines: bool


def manner(
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    everything: Annotated[bool, typer.Option("--all", help="Every deployment you can see.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many of those found.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Go on where the run stopped that wrote this journal, and write on in it; a file that is not there "
            "yet is begun. Use it with the same command.",
        ),
    ] = None,
    max_concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many at a time, their operations included.")
    ] = 16,
    stop_on_error: Annotated[
        bool, typer.Option("--stop-on-error", help="Begin nothing new after a failure.")
    ] = False,
    repeat_unknown: Annotated[
        bool,
        typer.Option(
            "--repeat-unknown", help="Act again where an earlier run never heard whether it was done."
        ),
    ] = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print each outcome as a line of JSON when it is there.")
    ] = False,
) -> Manner:
    """Return how a bulk action is carried out; the parameters declare its options."""
    return Manner(**locals())


@define(kw_only=True)
class BulkAction:
    """One action for many deployments.

    Attributes:
        invocation: The options.
        manner: How it is carried out.
        verb: What is done, for people: ``deactivate``.
        call: Given the session, the method to call with each id.
        ids: As on the command line.
        filters: As `deployments.list` takes them.
    """

    invocation: Invocation
    manner: Manner
    verb: str
    call: Callable[[AsyncSession], Callable[[str], Awaitable[Any]]]
    ids: Sequence[str]
    filters: dict[str, Any]
    _journal: Path | None = field(init=False, default=None)
    _outcomes: dict[str, Outcome[str, Any]] = field(init=False, factory=dict)
    _chosen: Sequence[str] = field(init=False, default=())
    _done: int = field(init=False, default=0)

    def run(self) -> None:
        """Carry it out.

        Raises:
            Failure: Some of it did not succeed, or nothing was named.
        """
        if self.ids and (self.filters or self.manner.everything):
            raise usage("ids and filters exclude each other")
        if not (self.ids or self.filters or self.manner.everything or self.manner.resume):
            raise usage(
                f"name deployments to {self.verb} (or - for stdin), or give a filter such as --search, or --all"
            )
        # Before there is an event loop, which would have to wait for stdin as well.
        self._chosen = named_ids(self.ids)
        self.invocation.run(self._work, on_interrupt=self._how_to_go_on)

    async def _work(self, session: AsyncSession) -> None:
        terminal = self.invocation.terminal
        found = await self._find(session)
        earlier = journaled(self.manner.resume)
        self._done = sum(earlier.values())
        self._chosen = list(dict.fromkeys([*earlier, *self._chosen, *(each.id for each in found)]))
        open_ones = len(self._chosen) - self._done
        done = f" ({self._done:,} more are done)" if self._done else ""
        counted = wording.count(open_ones, "deployment") + done
        if not open_ones:
            terminal.say(f"no deployments to {self.verb}{done}")
            return
        if self.manner.dry_run:
            self._show(found)
            terminal.say(f"would {self.verb} {counted}")
            return
        await confirm(terminal, f"{self.verb.capitalize()} {counted}?", yes=self.manner.yes)
        await self._act(session)
        self._sum_up()

    async def _find(self, session: AsyncSession) -> list[Deployment]:
        if not (self.filters or self.manner.everything):
            return []
        with self.invocation.terminal.busy("looking for deployments"):
            return await session.deployments.list(limit=self.manner.limit, **self.filters).collect()

    def _show(self, found: Sequence[Deployment]) -> None:
        if found:
            Printer(self.invocation.terminal, DEPLOYMENTS, Form(as_lines=self.manner.as_lines)).several(found)
            return
        for each in self._chosen:
            self.invocation.terminal.write(clean(each))

    async def _act(self, session: AsyncSession) -> None:
        resume = self.manner.resume
        self._journal = resume or new_journal(self.verb)
        with self._view() as view:

            def take(outcome: Outcome[str, Any]) -> None:
                self._outcomes[outcome.item] = outcome
                view.add(outcome)

            outcomes = await session.bulk(
                self.call(session),
                self._chosen,
                max_concurrency=self.manner.max_concurrency,
                on_outcome=take,
                stop_on_error=self.manner.stop_on_error,
                resume_from=resume if resume and resume.exists() else (),
                repeat_unknown=self.manner.repeat_unknown,
                journal=self._journal,
            )
        # Those of earlier runs are among them.
        self._outcomes, self._done = {outcome.item: outcome for outcome in outcomes}, 0

    def _view(self) -> BulkView:
        return BulkView(
            self.invocation.terminal,
            self.verb,
            total=len(self._chosen),
            done=self._done,
            as_lines=self.manner.as_lines,
        )

    def _sum_up(self) -> None:
        terminal = self.invocation.terminal
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
        if self.manner.resume is None and self._journal is not None:
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
