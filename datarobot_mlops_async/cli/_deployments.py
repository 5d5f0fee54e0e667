"""``dr-mlops deployments``: list and read deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from datarobot_mlops_async.cli._printing import AsJson, AsJsonLines, Columns, Limit, Printer
from datarobot_mlops_async.cli._rows import DEPLOYMENTS

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read and change deployments.")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = None,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """List deployments."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(
        invocation.terminal, DEPLOYMENTS, as_json=as_json, as_lines=as_lines, columns=columns
    )

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deployments.list(limit=limit))

    invocation.run(work)


@app.command()
def get(ctx: typer.Context, deployment_id: str, *, as_json: AsJson = False) -> None:
    """Show everything there is of one deployment."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(invocation.terminal, DEPLOYMENTS, as_json=as_json)

    async def work(session: AsyncSession) -> None:
        printer.one(await session.deployments.get(deployment_id))

    invocation.run(work)
