"""``dr-mlops deployments``: list deployments and read what there is of one."""

# ruff: noqa: TC001 - typer resolves the annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from datarobot_mlops_async.cli._asking import DeploymentId
from datarobot_mlops_async.cli._filters import filtered
from datarobot_mlops_async.cli._printing import AsJson, AsJsonLines, Columns, Limit, Printer
from datarobot_mlops_async.cli._views import CAPABILITIES, DEPLOYMENTS, FEATURES, HISTORY
from datarobot_mlops_async.models import DeploymentOrder, FeatureOrder

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read and change deployments.")
_SERVERS_OWN = "server"


@app.command("list")
@filtered
def list_(
    ctx: typer.Context,
    *,
    filters: dict[str, Any],
    order_by: Annotated[
        str,
        typer.Option(
            metavar="FIELD",
            help=f"Sort by a field, -FIELD to turn it round; {_SERVERS_OWN} for the server's own order, which "
            "changes while it is read.",
            autocompletion=lambda: [each.value for each in DeploymentOrder],
        ),
    ] = DeploymentOrder.CREATED_AT_TIMESTAMP.value,
    limit: Limit = None,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """List deployments, oldest first. Into a pipe go tab-separated lines that begin with the id."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(
        invocation.terminal, DEPLOYMENTS, as_json=as_json, as_lines=as_lines, columns=columns
    )
    order = None if order_by == _SERVERS_OWN else order_by

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deployments.list(order_by=order, limit=limit, **filters))

    invocation.run(work)


@app.command()
def get(ctx: typer.Context, deployment_id: DeploymentId, *, as_json: AsJson = False) -> None:
    """Show everything there is of one deployment."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(invocation.terminal, DEPLOYMENTS, as_json=as_json)

    async def work(session: AsyncSession) -> None:
        printer.one(await session.deployments.get(deployment_id))

    invocation.run(work)


@app.command()
def features(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    *,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="In the name, in any case.")] = None,
    order_by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="name, importance, or -name, -importance.",
            autocompletion=lambda: [each.value for each in FeatureOrder],
        ),
    ] = FeatureOrder.NAME.value,
    include_non_prediction_features: Annotated[
        bool,
        typer.Option("--include-non-prediction-features", help="Also those that predictions do not need."),
    ] = False,
    for_segmented_analysis: Annotated[
        bool, typer.Option("--for-segmented-analysis", help="Only those that segmented analysis can use.")
    ] = False,
    limit: Limit = None,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """List the features of the data that a deployment predicts from."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(invocation.terminal, FEATURES, as_json=as_json, as_lines=as_lines, columns=columns)

    async def work(session: AsyncSession) -> None:
        await printer.list(
            session.deployments.features(
                deployment_id,
                search=search,
                order_by=order_by,
                include_non_prediction_features=include_non_prediction_features or None,
                for_segmented_analysis=for_segmented_analysis or None,
                limit=limit,
            )
        )

    invocation.run(work)


@app.command()
def history(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    *,
    limit: Limit = None,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """List the models that have been a deployment's champion."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(invocation.terminal, HISTORY, as_json=as_json, as_lines=as_lines, columns=columns)

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deployments.model_history(deployment_id, limit=limit))

    invocation.run(work)


@app.command()
def capabilities(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    *,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """Show what a deployment supports, and why not."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(
        invocation.terminal, CAPABILITIES, as_json=as_json, as_lines=as_lines, columns=columns
    )

    async def work(session: AsyncSession) -> None:
        printer.several(await session.deployments.capabilities(deployment_id))

    invocation.run(work)
