"""``dr-mlops logs`` and ``scoring-code``: what deployments have to download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import Group, option, with_session
from datarobot_mlops_async.cli._options import (
    STDOUT,
    beside_options,
    deployment_id,
    destination,
    download_options,
    overwrite,
    patience,
)

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation

logs = Group("logs", help="Logs of custom model deployments.")
scoring_code = Group("scoring-code", help="Models as JARs, for predictions outside of a prediction server.")


@logs.command()
@deployment_id
@destination(default=STDOUT)
@overwrite
@with_session
async def deployment(cli: Invocation, deployment_id: str, destination: str, overwrite: bool) -> None:
    """Show the log of a custom model's deployment."""
    log = cli.session.custom_model_deployments.deployment_log(deployment_id)
    await _deliver(cli, log, destination, overwrite=overwrite)


@logs.command()
@deployment_id
@destination(default=STDOUT)
@option("--log-id", metavar="ID", help="One that was asked for before, instead of a new one.")
@overwrite
@patience
@with_session
async def prediction(
    cli: Invocation,
    *,
    deployment_id: str,
    destination: str,
    log_id: str | None,
    overwrite: bool,
    patience: float,
) -> None:
    """Ask for the log of a custom model's predictions, wait for it and show it."""
    resource = cli.session.custom_model_deployments
    if log_id is not None:
        log = resource.prediction_log(deployment_id, log_id)
    else:
        operation = await resource.begin_prediction_log(deployment_id)
        log = await cli.follow(operation, "collecting the log", patience)
    await _deliver(cli, log, destination, overwrite=overwrite)


async def _deliver(cli: Invocation, log: Artifact, destination: str, *, overwrite: bool) -> None:
    if destination == STDOUT:
        await cli.print_log(log)
    else:
        await cli.download(log, destination, overwrite=overwrite)


@scoring_code.command()
@deployment_id
@destination(default="./")
@option("--source-code", is_flag=True, help="The source archive instead of the executable JAR.")
@option("--include-agent", is_flag=True, help="With the tracking agent.")
@option("--include-prediction-explanations", is_flag=True, help="With prediction explanations.")
@option("--include-prediction-intervals", is_flag=True, help="With prediction intervals.")
@option("--build/--no-build", default=None, help="Build first, or not; by default where an extra needs it.")
@beside_options
@download_options
@with_session
async def download(
    cli: Invocation,
    deployment_id: str,
    destination: str,
    *,
    build: bool | None,
    beside: dict[str, Any],
    how: dict[str, Any],
    **which: bool,
) -> None:
    """Download the JAR of a deployment's current model. Extras are built by the server first, which takes time."""
    wanted = {name: value or None for name, value in which.items()}
    with cli.terminal.status.busy("asking for the JAR; with extras the server builds it first"):
        artifact = await cli.session.deployments.scoring_code(deployment_id, build=build, **wanted)
    await cli.download(artifact, destination, **beside, **how)
