"""``dr-mlops logs``: what custom models logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datarobot_mlops_async.cli._command import Group, option, with_session
from datarobot_mlops_async.cli._options import STDOUT, deployment_id, destination, overwrite, patience

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("logs", cls=Group)
def command() -> None:
    """Logs of custom model deployments."""


@command.command()
@deployment_id
@destination(default=STDOUT)
@overwrite
@with_session
async def deployment(cli: Invocation, deployment_id: str, destination: str, overwrite: bool) -> None:
    """Show the log of a custom model's deployment."""
    log = cli.session.custom_model_deployments.deployment_log(deployment_id)
    await _deliver(cli, log, destination, overwrite=overwrite)


@command.command()
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
        log = await cli.wait(operation, "collecting the log", patience)
    await _deliver(cli, log, destination, overwrite=overwrite)


async def _deliver(cli: Invocation, log: Artifact, destination: str, *, overwrite: bool) -> None:
    if destination == STDOUT:
        await cli.print_log(log)
    else:
        await cli.download(log, destination, overwrite=overwrite)
