"""Downloads of many artifacts into one directory, which is also where an interrupted run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread
from attrs import define, field

from datarobot_mlops_async.artifacts import RateLimit
from datarobot_mlops_async.bulk import OutcomeState
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk import ManyView, reason_of, sum_up
from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._invocation import GO_ON

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, Progress
    from datarobot_mlops_async.bulk import Outcome
    from datarobot_mlops_async.cli._invocation import Invocation


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
    _reached: dict[str, int] = field(init=False, factory=dict)
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
        with ManyView(terminal, "", len(left), noun=" files") as self._view:
            outcomes = await self.cli.session.bulk(
                self._download, left, max_concurrency=at_a_time, on_outcome=self._take
            )
        if any(each.state is not OutcomeState.SUCCEEDED for each in outcomes):
            sum_up(terminal, outcomes, len(left))
            raise Failure("the same command tries again what is missing", ExitCode.PARTIAL)
        terminal.say(f"{messages.count(len(left), 'file')}, {self._amount}")

    def _here(self) -> set[str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        return {each.name.removesuffix(self.suffix) for each in self.directory.iterdir() if each.is_file()}

    @property
    def _amount(self) -> str:
        return messages.size(sum(self._reached.values()))

    async def _download(self, deployment_id: str) -> DownloadResult:
        def show(progress: Progress) -> None:
            self._reached[deployment_id] = progress.verified
            self._view.show(self._amount)

        artifact = await self.artifact_of(deployment_id)
        path = self.directory / f"{deployment_id}{self.suffix}"
        return await artifact.download(path, max_connections=1, on_progress=show, **self.how)

    def _take(self, outcome: Outcome[str, DownloadResult]) -> None:
        if outcome.value is not None and outcome.value.path is not None:
            self.cli.terminal.write_path(outcome.value.path)
        else:
            self.cli.terminal.say(f"{outcome.item}: {reason_of(outcome)}")
        self._view.show(self._amount, advance=int(outcome.state is OutcomeState.SUCCEEDED))
