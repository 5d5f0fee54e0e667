"""``dr-mlops deployments deactivate|activate|update|delete``: for ids, for filters, or from stdin."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datarobot_mlops_async.cli._bulk import BulkAction, Manner, manner
from datarobot_mlops_async.cli._failures import usage
from datarobot_mlops_async.cli._filters import deployment_filters
from datarobot_mlops_async.cli._options import takes
from datarobot_mlops_async.errors import ConflictError
from datarobot_mlops_async.models import Importance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.session import AsyncSession

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="Deployments, or - to read ids from stdin, for example from deployments list."
    ),
]


@takes("filters", deployment_filters)
@takes("how", manner)
def deactivate(ctx: typer.Context, ids: Ids = None, *, filters: dict[str, Any], how: Manner) -> None:
    """Deactivate deployments and wait until they are inactive."""
    BulkAction(
        invocation=ctx.obj,
        manner=how,
        verb="deactivate",
        call=_setting("inactive", how),
        ids=ids or [],
        filters=filters,
    ).run()


@takes("filters", deployment_filters)
@takes("how", manner)
def activate(ctx: typer.Context, ids: Ids = None, *, filters: dict[str, Any], how: Manner) -> None:
    """Activate deployments and wait until they are active."""
    BulkAction(
        invocation=ctx.obj,
        manner=how,
        verb="activate",
        call=_setting("active", how),
        ids=ids or [],
        filters=filters,
    ).run()


@takes("filters", deployment_filters)
@takes("how", manner)
def delete(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    ignore_management_agent: Annotated[
        bool, typer.Option("--ignore-management-agent", help="Do not wait for a management agent.")
    ] = False,
    filters: dict[str, Any],
    how: Manner,
) -> None:
    """Delete deployments. Their data stays until dr-mlops deleted erase."""

    def call(session: AsyncSession) -> Callable[[str], Awaitable[None]]:
        return partial(session.deployments.delete, ignore_management_agent=ignore_management_agent or None)

    BulkAction(invocation=ctx.obj, manner=how, verb="delete", call=call, ids=ids or [], filters=filters).run()


@takes("filters", deployment_filters)
@takes("how", manner)
def update(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    set_label: Annotated[str | None, typer.Option(metavar="TEXT", help="The new label.")] = None,
    set_description: Annotated[str | None, typer.Option(metavar="TEXT", help="The new description.")] = None,
    clear_description: Annotated[
        bool, typer.Option("--clear-description", help="No description any more.")
    ] = False,
    set_importance: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help=f"One of {', '.join(each.value for each in Importance)}.",
            autocompletion=lambda: [each.value for each in Importance],
        ),
    ] = None,
    filters: dict[str, Any],
    how: Manner,
) -> None:
    """Change the label, description or importance of deployments."""
    if clear_description and set_description is not None:
        raise usage("--set-description and --clear-description exclude each other")
    given = {"label": set_label, "description": set_description, "importance": set_importance}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if clear_description:
        changes["description"] = None
    if not changes:
        raise usage(
            "say what to change: --set-label, --set-description, --clear-description or --set-importance"
        )

    def call(session: AsyncSession) -> Callable[[str], Awaitable[None]]:
        return partial(session.deployments.update, **changes)

    BulkAction(invocation=ctx.obj, manner=how, verb="update", call=call, ids=ids or [], filters=filters).run()


def _setting(status: str, how: Manner) -> Callable[[AsyncSession], Callable[[str], Awaitable[Any]]]:
    if how.repeat_unknown:
        return lambda session: partial(_set_status_again, session, status)
    return lambda session: partial(session.deployments.begin_set_status, status=status)


async def _set_status_again(
    session: AsyncSession, status: str, deployment_id: str
) -> Operation[Deployment] | Deployment:
    """Change a status; what has it already, from the run that was cut off, counts as changed."""
    try:
        return await session.deployments.begin_set_status(deployment_id, status)
    except ConflictError:
        deployment = await session.deployments.get(deployment_id)
        if deployment.status != status:
            raise
        return deployment
