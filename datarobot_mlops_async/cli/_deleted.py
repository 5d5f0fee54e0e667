"""``dr-mlops deleted``: deployments that were deleted and not yet erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._asking import DryRun, Yes, confirm, named_ids
from datarobot_mlops_async.cli._failures import usage
from datarobot_mlops_async.cli._following import DEFAULT_PATIENCE, Following, Patience, Wait
from datarobot_mlops_async.cli._options import takes
from datarobot_mlops_async.cli._printing import Form, Printer, list_form
from datarobot_mlops_async.cli._terminal import clean
from datarobot_mlops_async.cli._views import DELETED

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Deleted deployments: list them, erase them. On-premise only.",
)


@app.command("list")
@takes("form", list_form)
def list_(
    ctx: typer.Context,
    *,
    form: Form,
) -> None:
    """List deleted deployments whose data is still there."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, DELETED, form)

    async def work(session: AsyncSession) -> None:
        await printer.list(session.deleted_deployments.list(limit=form.limit))

    invocation.run(work)


@app.command()
def erase(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Deleted deployments, or - to read ids from stdin."),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every deleted deployment.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Erase all data of deleted deployments, for good."""
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal
    if bool(ids) == everything:
        raise usage("name deleted deployments (or - for stdin), or say --all")
    following = Following(invocation, patience)
    named = named_ids(ids or [])

    async def work(session: AsyncSession) -> None:
        chosen = named
        if everything:
            chosen = [each.id for each in await session.deleted_deployments.list().collect()]
        if not chosen:
            terminal.say("nothing to erase")
            return
        counted = wording.count(len(chosen), "deleted deployment")
        if dry_run:
            for each in chosen:
                terminal.write(clean(each))
            terminal.say(f"would erase {counted}")
            return
        await confirm(terminal, f"Erase all data of {counted}, for good?", yes=yes)
        operation = await session.deleted_deployments.begin_erase(chosen)
        if wait:
            await following.wait(operation, f"erasing {counted}")
        else:
            following.leave(operation)

    following.run(work)
