"""Downloads of many artifacts into one directory, which is also where an interrupted run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread

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
    """Download one artifact of each of many deployments that is not here yet.

    A file appears under its name when it is verified and not before, so what is there is done.

    Args:
        cli: The command.
        ids: The deployments.
        directory: Where the files go; made if it is not there.
        suffix: What a file's name has behind the deployment's id.
        artifact_of: Returns a deployment's artifact, given its id.
        max_connections: The bound over all of them.
        max_rate: Bytes a second, of all of them.
        how: Further arguments of `Artifact.download`.

    Raises:
        Failure: Some of it could not be downloaded.
    """
    terminal, reached = cli.terminal, dict.fromkeys(ids, 0)
    limit = None if max_rate is None else RateLimit(max_rate)
    cli.go_on = lambda: GO_ON
    here = await anyio.to_thread.run_sync(_names_in, directory)
    left = [each for each in ids if how["overwrite"] or f"{each}{suffix}" not in here]
    if len(left) < len(ids):
        terminal.say(f"{len(ids) - len(left):,} of {len(ids):,} are here already")

    def amount() -> str:
        return messages.size(sum(reached.values()))

    async def download(deployment_id: str) -> DownloadResult:
        def show(progress: Progress) -> None:
            reached[deployment_id] = progress.verified
            view.show(amount())

        artifact = await artifact_of(deployment_id)
        path = directory / f"{deployment_id}{suffix}"
        return await artifact.download(path, max_connections=1, max_rate=limit, on_progress=show, **how)

    def take(outcome: Outcome[str, DownloadResult]) -> None:
        if outcome.value is not None and outcome.value.path is not None:
            terminal.write_path(outcome.value.path)
        else:
            terminal.say(f"{outcome.item}: {reason_of(outcome)}")
        view.show(amount(), advance=int(outcome.state is OutcomeState.SUCCEEDED))

    with ManyView(terminal, "", len(left), noun=" files") as view:
        at_a_time = min(max_connections, len(left)) or 1
        outcomes = await cli.session.bulk(download, left, max_concurrency=at_a_time, on_outcome=take)
    if any(each.state is not OutcomeState.SUCCEEDED for each in outcomes):
        sum_up(terminal, outcomes, len(left))
        raise Failure("the same command tries again what is missing", ExitCode.PARTIAL)
    terminal.say(f"{messages.count(len(left), 'file')}, {amount()}")


def _names_in(directory: Path) -> set[str]:
    directory.mkdir(parents=True, exist_ok=True)
    return {each.name for each in directory.iterdir() if each.is_file()}
