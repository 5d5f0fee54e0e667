"""Downloads of many artifacts into one directory, which is also where an interrupted run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import anyio
from attrs import define, field
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from datarobot_mlops_async.artifacts import RateLimit
from datarobot_mlops_async.bulk import OutcomeState
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk import summary
from datarobot_mlops_async.cli._bulk_view import reason_of
from datarobot_mlops_async.cli._downloading import GO_ON
from datarobot_mlops_async.cli._exits import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult
    from datarobot_mlops_async.artifacts import Progress as Reached
    from datarobot_mlops_async.bulk import Outcome
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.cli._terminal import Terminal


@define(kw_only=True)
class ManyDownloads:
    """One artifact of each of many deployments, into a directory.

    A file appears under its name when it is verified and not before, so what is there is done.

    Attributes:
        cli: The command.
        directory: Where the files go; made if it is not there.
        suffix: What a file's name has behind the deployment's id.
        artifact_of: Returns a deployment's artifact, given its id.
        how: Further arguments of `Artifact.download`; ``max_connections`` is the bound over all of them.
    """

    cli: Invocation
    directory: Path
    suffix: str
    artifact_of: Callable[[str], Awaitable[Artifact]]
    how: dict[str, Any]
    _view: ManyView = field(init=False)

    async def run(self, ids: Sequence[str]) -> None:
        """Download what is not here yet.

        Raises:
            Failure: Some of it could not be downloaded.
        """
        terminal = self.cli.terminal
        self.cli.go_on = lambda: GO_ON
        here = await anyio.to_thread.run_sync(self._here)
        left = [each for each in ids if self.how["overwrite"] or each not in here]
        if len(left) < len(ids):
            terminal.say(f"{len(ids) - len(left):,} of {len(ids):,} are here already")
        at_a_time = min(self.how.pop("max_connections"), len(left)) or 1
        if (rate := self.how.get("max_rate")) is not None:
            # One for all of them.
            self.how["max_rate"] = RateLimit(rate)
        with ManyView(terminal, len(left)) as self._view:
            outcomes = await self.cli.session.bulk(
                self._download, left, max_concurrency=at_a_time, on_outcome=self._take
            )
        if any(each.state is not OutcomeState.SUCCEEDED for each in outcomes):
            for line in summary(outcomes, len(left)):
                terminal.say(line)
            raise Failure("the same command tries again what is missing", ExitCode.PARTIAL)
        terminal.say(f"{messages.count(len(left), 'file')}, {self._view.amount}")

    def _here(self) -> set[str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        return {each.name.removesuffix(self.suffix) for each in self.directory.iterdir() if each.is_file()}

    async def _download(self, deployment_id: str) -> DownloadResult:
        artifact = await self.artifact_of(deployment_id)
        return await artifact.download(
            self.directory / f"{deployment_id}{self.suffix}",
            max_connections=1,
            on_progress=lambda reached: self._view.update(deployment_id, reached),
            **self.how,
        )

    def _take(self, outcome: Outcome[str, DownloadResult]) -> None:
        if outcome.value is not None and outcome.value.path is not None:
            self.cli.terminal.write_path(outcome.value.path)
        else:
            self.cli.terminal.say(f"{outcome.item}: {reason_of(outcome)}")
        self._view.add(outcome)


class ManyView:
    """One bar for all of them, with the bytes of all.

    Args:
        terminal: Where it is shown.
        total: How many files there are.
    """

    def __init__(self, terminal: Terminal, total: int) -> None:
        self._live = terminal.live
        self._reached: dict[str, int] = {}
        self._bar = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} files"),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=terminal.err,
            # Refreshed where it is updated: no thread of its own.
            auto_refresh=False,
            expand=True,
        )
        self._task = self._bar.add_task("", total=total, amount="")

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()

    @property
    def amount(self) -> str:
        """All bytes so far, in words."""
        return messages.size(sum(self._reached.values()))

    def update(self, deployment_id: str, reached: Reached) -> None:
        """Count how far one file is."""
        self._reached[deployment_id] = reached.verified
        self._draw(0)

    def add(self, outcome: Outcome[str, DownloadResult]) -> None:
        """Count one file as done."""
        self._draw(1 if outcome.state is OutcomeState.SUCCEEDED else 0)

    def _draw(self, advance: int) -> None:
        self._bar.update(self._task, advance=advance, amount=self.amount, refresh=self._live)
