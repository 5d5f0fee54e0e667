"""The same for many deployments: an action that is confirmed, watched, summed up and resumed; or downloads."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field
from rich import progress as bars

from datarobot_mlops_async.artifacts import RateLimit
from datarobot_mlops_async.bulk import Outcome, OutcomeState, read_journal
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._printing import table_of
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.errors import JournalError
from datarobot_mlops_async.models import Deployment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, Progress
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.cli._terminal import Terminal

_MOST_NAMED = 10
"""Deployments that are named before the question; all are counted."""
_MOST_TOLD = 20
"""Failures that are told one by one; the summary counts all."""


@define
class BulkAction:
    """One action for many deployments."""

    cli: Invocation
    verb: str
    call: Callable[[str], Awaitable[Any]]
    ids: list[str] | None
    filters: dict[str, Any] | None
    """Which deployments to look for, unless ids are given, or the journal of ``resume`` tells them all."""
    resume: Path | None
    yes: bool
    dry_run: bool
    max_concurrency: int
    stop_on_error: bool
    repeat_unknown: bool
    as_lines: bool
    _asked: list[str] = field(init=False, factory=list)
    _outcomes: dict[str, Outcome[str, Any]] = field(init=False, factory=dict)
    """The last word about each, earlier runs' included."""
    _journal: Path = field(init=False)
    _told: int = field(init=False, default=0)

    async def run(self) -> None:
        terminal, verb = self.cli.terminal, self.verb
        found: list[Deployment] = []
        if self.filters is not None:
            with terminal.busy("looking for deployments"):
                found = await self.cli.session.deployments.list(**self.filters).collect()
        left = self._choose(found)
        # A thing that another run chose may not be among them any more.
        shown = [each for each in found if each.id in left]
        done = f" ({self._done:,} more are done)" if self._done else ""
        counted = messages.count(len(left), "deployment") + done
        if not left:
            terminal.say(f"no deployments to {verb}{done}")
        elif self.dry_run:
            if len(shown) == len(left):
                self.cli.printer("deployments.list", as_lines=self.as_lines).several(shown)
            else:
                terminal.write("\n".join(map(messages.clean, left)))
            terminal.say(f"would {verb} {counted}")
        else:
            if sys.stdin.isatty() and not self.yes:
                await self._name(left, shown)
            await terminal.confirm(f"{verb.capitalize()} {counted}?", yes=self.yes)
            self._journal = self.resume or _new_journal(verb)
            self.cli.go_on = self._how_to_go_on
            await self._act()
            self._sum_up()

    @property
    def _action(self) -> str:
        return f"deployments {self.verb}"

    @property
    def _done(self) -> int:
        return sum(each.state is OutcomeState.SUCCEEDED for each in self._outcomes.values())

    @property
    def _chosen(self) -> int:
        """How many there are, those that earlier runs chose included."""
        return len({*self._outcomes, *self._asked})

    def _choose(self, found: Sequence[Deployment]) -> list[str]:
        """Settle what is asked for, and return what of it is left to do."""
        earlier = self._earlier()
        asked = self.ids or [
            # A filter for what is active does not find again what was deactivated without our hearing of it.
            *(each.item for each in earlier if each.state is OutcomeState.UNKNOWN or self.filters is None),
            *(each.id for each in found),
        ]
        self._asked = list(dict.fromkeys(asked))
        self._outcomes = {each.item: each for each in earlier}
        begun = (each.item for each in earlier if each.state is OutcomeState.UNKNOWN and each.location)
        done = {each.item for each in earlier if each.state is OutcomeState.SUCCEEDED}
        return [each for each in dict.fromkeys([*asked, *begun]) if each not in done]

    def _earlier(self) -> Sequence[Outcome[str, Any]]:
        if self.resume is None or not self.resume.exists():
            return ()
        try:
            journal = read_journal(self.resume)
            journal.require(action=self._action, endpoint=self.cli.session.settings.endpoint)
        except JournalError as error:
            raise messages.usage(f"--resume: {error}") from None
        return journal.outcomes

    async def _name(self, left: Sequence[str], found: Sequence[Deployment]) -> None:
        terminal, session = self.cli.terminal, self.cli.session
        shown = found[:_MOST_NAMED]
        if not shown:
            outcomes = await session.bulk(session.deployments.get, left[:_MOST_NAMED])
            shown = [each.value or Deployment(id=each.item) for each in outcomes]
        terminal.hide()
        terminal.err.print(table_of(VIEWS["deployments.list"].columns[:3], shown, terminal.err.width))
        if more := len(left) - len(shown):
            terminal.say(f"and {more:,} more")

    async def _act(self) -> None:
        with many_bar(self.cli.terminal, self.verb, self._chosen, done=self._done) as draw:
            take = partial(self._take, draw)
            outcomes = await self.cli.session.bulk(
                self.call,
                self._asked,
                action=self._action,
                on_outcome=take,
                resume_from=self.resume,
                journal=self._journal,
                max_concurrency=self.max_concurrency,
                stop_on_error=self.stop_on_error,
                repeat_unknown=self.repeat_unknown,
            )
            for outcome in outcomes:
                # Of earlier runs, and not done: a person wants to know which.
                if (
                    outcome.state is not OutcomeState.SUCCEEDED
                    and self._outcomes[outcome.item] is not outcome
                ):
                    take(outcome)

    def _take(self, draw: Callable[..., None], outcome: Outcome[str, Any]) -> None:
        """Tell a person of a failure, a program of each outcome, in a line."""
        terminal = self.cli.terminal
        self._outcomes[outcome.item] = outcome
        if outcome.state is not OutcomeState.SUCCEEDED and not _is_on_its_way(outcome):
            self._told += 1
            # That of a single one is told by the command itself.
            if self._told <= _MOST_TOLD and self._chosen > 1:
                terminal.say(f"{outcome.item}: {outcome.state.value}: {reason_of(outcome)}")
            elif self._told == _MOST_TOLD + 1:
                terminal.say("more failures are not shown one by one")
        if self.as_lines:
            terminal.write(messages.escaped(outcome.to_json()))
        elif not terminal.for_people:
            terminal.write(f"{messages.clean(outcome.item)}\t{outcome.state.value}")
        failures = f"[red]{self._told:,} failed[/]" if self._told else ""
        draw(failures, advance=0 if _is_on_its_way(outcome) else 1)

    def _sum_up(self) -> None:
        terminal, outcomes = self.cli.terminal, list(self._outcomes.values())
        # One action's failure is that of the command, and there is nothing to go on with.
        error = outcomes[0].error if self._chosen == 1 and outcomes[0].state is OutcomeState.FAILED else None
        # A journal that the user named is the user's.
        if self.resume is None and (error is not None or self._done == self._chosen):
            self._journal.unlink()
        if error is not None:
            raise messages.failure_of(error)
        sum_up(terminal, outcomes, self._chosen)
        if any(each.state is OutcomeState.UNKNOWN and not each.location for each in outcomes):
            terminal.say(
                "whether the unknown ones were done, nobody heard: --repeat-unknown acts on them again"
            )
        if self._done < self._chosen:
            raise messages.Failure(self._how_to_go_on(), messages.ExitCode.PARTIAL)

    def _how_to_go_on(self) -> str:
        under_way = sum(map(_is_on_its_way, self._outcomes.values()))
        waiting = f"{under_way:,} on their way: wait for them with --resume; " if under_way else ""
        return waiting + (
            f"{self._done:,} of {self._chosen:,} done; to go on, give the same command with "
            f"--resume {shlex.quote(str(self._journal))}"
        )


async def download_many(
    cli: Invocation,
    ids: Sequence[str],
    directory: Path,
    suffix: str,
    artifact_of: Callable[[str], Awaitable[Artifact]],
    *,
    max_connections: int,
    max_rate: float | None = None,
    **how: Any,
) -> None:
    """Download one artifact of each of many deployments that is not here yet, as ``directory/ID + suffix``.

    A file appears under its name when it is verified and not before, so what is there is done. ``max_connections``
    and ``max_rate`` are the bounds over all of them; ``how`` are further arguments of `Artifact.download`.
    """
    terminal, reached = cli.terminal, dict.fromkeys(ids, 0)
    limit = None if max_rate is None else RateLimit(max_rate)
    cli.go_on = lambda: messages.GO_ON
    await anyio.Path(directory).mkdir(parents=True, exist_ok=True)
    here = {each.name async for each in anyio.Path(directory).iterdir() if await each.is_file()}
    left = [each for each in ids if how["overwrite"] or f"{each}{suffix}" not in here]
    if len(left) < len(ids):
        terminal.say(f"{len(ids) - len(left):,} of {len(ids):,} are here already")

    def amount() -> str:
        return messages.size(sum(reached.values()))

    async def download(deployment_id: str) -> DownloadResult:
        def show(progress: Progress) -> None:
            reached[deployment_id] = progress.verified
            draw(amount())

        artifact = await artifact_of(deployment_id)
        path = directory / f"{deployment_id}{suffix}"
        return await artifact.download(path, max_connections=1, max_rate=limit, on_progress=show, **how)

    def take(outcome: Outcome[str, DownloadResult]) -> None:
        if outcome.value is not None and outcome.value.path is not None:
            terminal.write_path(outcome.value.path)
        else:
            terminal.say(f"{outcome.item}: {reason_of(outcome)}")
        draw(amount(), advance=int(outcome.state is OutcomeState.SUCCEEDED))

    with many_bar(terminal, "", len(left), noun=" files") as draw:
        at_a_time = min(max_connections, len(left)) or 1
        outcomes = await cli.session.bulk(download, left, max_concurrency=at_a_time, on_outcome=take)
    if any(each.state is not OutcomeState.SUCCEEDED for each in outcomes):
        sum_up(terminal, outcomes, len(left))
        raise messages.Failure("the same command tries again what is missing", messages.ExitCode.PARTIAL)
    terminal.say(f"{messages.count(len(left), 'file')}, {amount()}")


@contextmanager
def many_bar(
    terminal: Terminal, what: str, total: int, *, done: int = 0, noun: str = ""
) -> Iterator[Callable[..., None]]:
    """Draw one bar for many things; give what takes a note that changes, and by how many it may ``advance``."""
    terminal.hide()
    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=None),
        bars.TextColumn("{task.completed:,.0f} of {task.total:,.0f}" + noun),
        bars.TextColumn("{task.fields[note]}"),
        bars.TimeElapsedColumn(),
        console=terminal.err,
        expand=True,
        disable=not terminal.live,
    ) as drawn:
        bar = drawn.add_task(what, total=total, completed=done, note="")
        try:
            yield lambda note, advance=0: drawn.update(bar, advance=advance, note=note)
        finally:
            terminal.hide()


def _is_on_its_way(outcome: Outcome[str, Any]) -> bool:
    """Tell whether an outcome is that of an interruption: the server goes on with what had been begun."""
    return outcome.state is OutcomeState.UNKNOWN and outcome.error is None


def reason_of(outcome: Outcome[str, Any]) -> str:
    """Word why an outcome is no success, alike for what failed alike."""
    if outcome.error is None:
        return "" if outcome.state is OutcomeState.SUCCEEDED else "interrupted"
    message = getattr(outcome.error, "message", None) or str(outcome.error)
    status = getattr(outcome.error, "status", None)
    return messages.clean(f"{status} {message}" if status else f"{type(outcome.error).__name__}: {message}")


def sum_up(terminal: Terminal, outcomes: Sequence[Outcome[str, Any]], chosen: int) -> None:
    """Tell how many outcomes there are of each kind and why, the most frequent first."""
    kinds = Counter((outcome.state.value, reason_of(outcome)) for outcome in outcomes)
    if not_begun := chosen - len(outcomes):
        kinds["not begun", ""] = not_begun
    width = max((len(f"{number:,}") for number in kinds.values()), default=0)
    for (state, reason), number in kinds.most_common():
        terminal.say(f"{number:>{width},} {state}{f': {reason}' if reason else ''}")


def _new_journal(verb: str) -> Path:
    """Return a new and empty journal, which outlives this process."""
    with tempfile.NamedTemporaryFile(prefix=f"dr-mlops-{verb}-", suffix=".jsonl", delete=False) as file:
        return Path(file.name)
