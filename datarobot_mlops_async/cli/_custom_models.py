"""``dr-mlops custom-models``: deployments of custom models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._options import takes
from datarobot_mlops_async.cli._printing import Form, Printer, list_form
from datarobot_mlops_async.cli._views import CUSTOM_MODELS

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Deployments of custom models.")


@app.callback()
def group() -> None:
    """Deployments of custom models; their logs are under dr-mlops logs."""


@app.command("list")
@takes("form", list_form)
def list_(
    ctx: typer.Context,
    *,
    custom_model_ids: Annotated[
        list[str] | None,
        typer.Option("--custom-model-id", metavar="ID", help="Of this custom model; repeatable."),
    ] = None,
    environment_ids: Annotated[
        list[str] | None,
        typer.Option("--environment-id", metavar="ID", help="In this execution environment; repeatable."),
    ] = None,
    form: Form,
) -> None:
    """List deployments of custom models, newest first."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, CUSTOM_MODELS, form)

    async def work(session: AsyncSession) -> None:
        await printer.list(
            session.custom_model_deployments.list(
                custom_model_ids=custom_model_ids or None,
                environment_ids=environment_ids or None,
                limit=form.limit,
            )
        )

    invocation.run(work)
