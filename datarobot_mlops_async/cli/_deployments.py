"""``dr-mlops deployments``: list deployments and read what there is of one."""

# ruff: noqa: TC001 - typer resolves the annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from datarobot_mlops_async.cli._asking import DeploymentId
from datarobot_mlops_async.cli._deployment_changes import activate, deactivate, delete, update
from datarobot_mlops_async.cli._filters import deployment_filters
from datarobot_mlops_async.cli._options import takes
from datarobot_mlops_async.cli._printing import AsJson, Form, Printer, list_form
from datarobot_mlops_async.cli._views import CAPABILITIES, DEPLOYMENTS, FEATURES, HISTORY
from datarobot_mlops_async.models import DeploymentOrder, FeatureOrder

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read and change deployments.")
for change in (deactivate, activate, update, delete):
    app.command()(change)
_SERVERS_OWN = "server"


@app.command("list")
@takes("filters", deployment_filters)
@takes("form", list_form)
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
    form: Form,
) -> None:
    """List deployments, oldest first. Into a pipe go tab-separated lines that begin with the id."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, DEPLOYMENTS, form)
    order = None if order_by == _SERVERS_OWN else order_by

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deployments.list(order_by=order, limit=form.limit, **filters))

    invocation.run(work)


@app.command()
def get(ctx: typer.Context, deployment_id: DeploymentId, *, as_json: AsJson = False) -> None:
    """Show everything there is of one deployment."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, DEPLOYMENTS, Form(as_json=as_json))

    async def work(session: AsyncSession) -> None:
        printer.one(await session.deployments.get(deployment_id))

    invocation.run(work)


@app.command()
@takes("form", list_form)
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
    form: Form,
) -> None:
    """List the features of the data that a deployment predicts from."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, FEATURES, form)

    async def work(session: AsyncSession) -> None:
        await printer.list(
            session.deployments.features(
                deployment_id,
                search=search,
                order_by=order_by,
                include_non_prediction_features=include_non_prediction_features or None,
                for_segmented_analysis=for_segmented_analysis or None,
                limit=form.limit,
            )
        )

    invocation.run(work)


@app.command()
@takes("form", list_form)
def history(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    *,
    form: Form,
) -> None:
    """List the models that have been a deployment's champion."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, HISTORY, form)

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deployments.model_history(deployment_id, limit=form.limit))

    invocation.run(work)


@app.command()
@takes("form", list_form)
def capabilities(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    *,
    form: Form,
) -> None:
    """Show what a deployment supports, and why not."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, CAPABILITIES, form)

    async def work(session: AsyncSession) -> None:
        printer.several(await session.deployments.capabilities(deployment_id))

    invocation.run(work)
