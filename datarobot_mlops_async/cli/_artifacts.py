"""``dr-mlops logs`` and ``scoring-code``: what deployments have to download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import Group, flag, option, together, with_session
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import (
    STDOUT,
    artifact_options,
    deployment_filters,
    deployment_id,
    destination,
    given,
    patience,
)

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation

logs = Group("logs", help="Logs of custom model deployments.")
scoring_code = Group("scoring-code", help="Models as JARs, for predictions outside of a prediction server.")


_where = together(
    "where", given, destination(default=STDOUT), flag("--overwrite", "Replace another file there.")
)


@logs.command()
@deployment_id
@_where
@with_session
async def deployment(cli: Invocation, deployment_id: str, where: dict[str, Any]) -> None:
    """Show the log of a custom model's deployment."""
    await cli.deliver_log(cli.session.custom_model_deployments.deployment_log(deployment_id), **where)


@logs.command()
@deployment_id
@_where
@option("--log-id", "One that was asked for before, instead of a new one.", metavar="ID")
@patience
@with_session
async def prediction(
    cli: Invocation, deployment_id: str, where: dict[str, Any], log_id: str | None, patience: float
) -> None:
    """Ask for the log of a custom model's predictions, wait for it and show it."""
    resource = cli.session.custom_model_deployments
    if log_id is not None:
        log = resource.prediction_log(deployment_id, log_id)
    else:
        operation = await resource.begin_prediction_log(deployment_id)
        log = await cli.follow(operation, "collecting the log", patience)
    await cli.deliver_log(log, **where)


@scoring_code.command()
@deployment_id
@destination(default="./")
@flag("--source-code", "The source archive instead of the executable JAR.")
@flag("--include-agent", "With the tracking agent.")
@flag("--include-prediction-explanations", "With prediction explanations.")
@flag("--include-prediction-intervals", "With prediction intervals.")
@option("--build/--no-build", "Build first, or not; by default where an extra needs it.", default=None)
@flag("--all everything", "Of every deployment you can see, into a directory.")
@artifact_options
@deployment_filters
@with_session
async def download(
    cli: Invocation,
    deployment_id: str,
    destination: str,
    *,
    everything: bool,
    filters: dict[str, Any],
    build: bool | None,
    how: dict[str, Any],
    **which: bool,
) -> None:
    """Download the JAR of a deployment's current model. Extras are built by the server first, which takes time.

    With a filter (or --all) the one argument is a directory, and the JARs of all deployments that are found go
    there as DIR/ID.jar, --max-connections at a time: dr-mlops scoring-code download --search churn DIR/. What is
    there is left alone, so the same command goes on after an interruption.
    """
    wanted = {name: value or None for name, value in which.items()}

    async def artifact_of(deployment_id: str) -> Artifact:
        return await cli.session.deployments.scoring_code(deployment_id, build=build, **wanted)

    if not (everything or filters):
        with cli.terminal.status.busy("asking for the JAR; with extras the server builds it first"):
            artifact = await artifact_of(deployment_id)
        await cli.download(artifact, destination, **how)
        return
    if destination != "./":
        raise usage("with a filter there is one argument, the directory")
    if "mirrors" in how:
        raise usage("--mirror is for one file: with a filter there are many")
    # Not at the top: only this needs it.
    from datarobot_mlops_async.cli._bulk import download_many

    with cli.terminal.status.busy("looking for deployments"):
        found = await cli.session.deployments.list(**filters).collect()
    suffix = "-source.jar" if which["source_code"] else ".jar"
    await download_many(cli, [each.id for each in found], Path(deployment_id), suffix, artifact_of, **how)
