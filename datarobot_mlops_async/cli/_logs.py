"""``dr-mlops logs``: what custom models logged."""

# ruff: noqa: TC001 - typer resolves the annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._asking import DeploymentId
from datarobot_mlops_async.cli._downloading import STDOUT, Overwrite, download_to, print_log
from datarobot_mlops_async.cli._following import DEFAULT_PATIENCE, Following, Patience

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Logs of custom model deployments.")
Destination = Annotated[
    str, typer.Argument(metavar="[DEST]", help="A file, a directory to put it in, or - for stdout.")
]


@app.command()
def deployment(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    destination: Destination = STDOUT,
    *,
    overwrite: Overwrite = False,
) -> None:
    """Show the log of a custom model's deployment."""
    invocation: Invocation = ctx.obj

    async def work(session: AsyncSession) -> None:
        await _deliver(
            invocation,
            session.custom_model_deployments.deployment_log(deployment_id),
            destination,
            overwrite=overwrite,
        )

    invocation.run(work)


@app.command()
def prediction(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    destination: Destination = STDOUT,
    *,
    log_id: Annotated[
        str | None, typer.Option(metavar="ID", help="One that was asked for before, instead of a new one.")
    ] = None,
    overwrite: Overwrite = False,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Ask for the log of a custom model's predictions, wait for it and show it."""
    invocation: Invocation = ctx.obj
    following = Following(invocation, patience)

    async def work(session: AsyncSession) -> None:
        resource = session.custom_model_deployments
        if log_id is not None:
            log = resource.prediction_log(deployment_id, log_id)
        else:
            log = await following.wait(
                await resource.begin_prediction_log(deployment_id), "collecting the log"
            )
        await _deliver(invocation, log, destination, overwrite=overwrite)

    following.run(work)


async def _deliver(invocation: Invocation, log: Artifact, destination: str, *, overwrite: bool) -> None:
    if destination == STDOUT:
        await print_log(invocation.terminal, log)
    else:
        await download_to(invocation.terminal, log, destination, overwrite=overwrite)
