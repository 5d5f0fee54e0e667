"""``dr-mlops bundles``: resource bundles, the sizes of machine to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._options import takes
from datarobot_mlops_async.cli._printing import AsJson, Form, Printer, list_form
from datarobot_mlops_async.cli._views import BUNDLES
from datarobot_mlops_async.models import ResourceBundleUseCase

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Resource bundles.")


@app.command("list")
@takes("form", list_form)
def list_(
    ctx: typer.Context,
    *,
    use_cases: Annotated[
        list[str] | None,
        typer.Option(
            "--use-case",
            metavar="NAME",
            help=f"One of {', '.join(each.value for each in ResourceBundleUseCase)}; repeatable.",
            autocompletion=lambda: [each.value for each in ResourceBundleUseCase],
        ),
    ] = None,
    form: Form,
) -> None:
    """List the resource bundles that you may choose."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, BUNDLES, form)

    async def work(session: AsyncSession) -> None:
        await printer.list(session.resource_bundles.list(use_cases=use_cases or None, limit=form.limit))

    invocation.run(work)


@app.command()
def get(
    ctx: typer.Context,
    bundle_id: Annotated[str, typer.Argument(metavar="ID", help="The bundle's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one resource bundle."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, BUNDLES, Form(as_json=as_json))

    async def work(session: AsyncSession) -> None:
        printer.one(await session.resource_bundles.get(bundle_id))

    invocation.run(work)
