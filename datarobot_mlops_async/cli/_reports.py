"""``dr-mlops reports``: scheduled reports, run now."""

# ruff: noqa: TC001 - typer resolves the annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._asking import DeploymentId
from datarobot_mlops_async.cli._following import DEFAULT_PATIENCE, Following, Patience, Wait

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Scheduled reports.")


@app.callback()
def group() -> None:
    """Scheduled reports of deployments."""


@app.command()
def run(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    report_id: Annotated[str, typer.Argument(metavar="REPORT", help="The scheduled report's id.")],
    *,
    wait: Wait = True,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Run a scheduled report of a deployment now."""
    invocation: Invocation = ctx.obj
    following = Following(invocation, patience)

    async def work(session: AsyncSession) -> None:
        operation = await session.deployments.begin_report(deployment_id, report_id)
        if wait:
            await following.wait(operation, "running the report")
        else:
            following.leave(operation)

    following.run(work)
