"""``dr-mlops deleted``: deployments that were deleted and not yet erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from datarobot_mlops_async.cli._printing import AsJson, AsJsonLines, Columns, Limit, Printer
from datarobot_mlops_async.cli._views import DELETED

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Deleted deployments: list them, erase them."
)


@app.callback()
def group() -> None:
    """Deleted deployments: list them, erase them."""


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = None,
    columns: Columns = "",
    as_json: AsJson = False,
    as_lines: AsJsonLines = False,
) -> None:
    """List deleted deployments whose data is still there."""
    invocation: Invocation = ctx.obj
    printer = Printer.of(invocation.terminal, DELETED, as_json=as_json, as_lines=as_lines, columns=columns)

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deleted_deployments.list(limit=limit))

    invocation.run(work)
