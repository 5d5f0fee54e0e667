"""``dr-mlops deleted``: deployments that were deleted and not yet erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._command import Group, option, together, with_session
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import OutputFormat, dry_run, ids, output_format, patience, wait, yes

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


def _named(*, ids: list[str] | None, everything: bool) -> list[str] | None:
    if (ids is not None) == everything:
        raise usage("name deleted deployments (or - for stdin), or say --all")
    return ids


@click.group("deleted", cls=Group)
def command() -> None:
    """Deleted deployments: list them, erase them. On-premise only."""


@command.command("list")
@output_format("deleted")
@with_session
async def list_(cli: Invocation, output: OutputFormat) -> None:
    """List deleted deployments whose data is still there."""
    await cli.printer("deleted", output).list(cli.session.deleted_deployments.list(limit=output.limit))


@command.command()
@together(
    "named",
    _named,
    ids("deleted deployment"),
    option("--all", "everything", is_flag=True, help="Every deleted deployment."),
)
@yes
@dry_run
@wait
@patience
@with_session
async def erase(
    cli: Invocation, *, named: list[str] | None, yes: bool, dry_run: bool, wait: bool, patience: float
) -> None:
    """Erase all data of deleted deployments, for good."""
    deleted = cli.session.deleted_deployments
    chosen = [each.id for each in await deleted.list().collect()] if named is None else named
    if not chosen:
        cli.terminal.say("nothing to erase")
        return
    counted = messages.count(len(chosen), "deleted deployment")
    if dry_run:
        for each in chosen:
            cli.terminal.write(messages.clean(each))
        cli.terminal.say(f"would erase {counted}")
        return
    await cli.confirm(f"Erase all data of {counted}, for good?", yes=yes)
    operation = await deleted.begin_erase(chosen)
    if wait:
        await cli.wait(operation, f"erasing {counted}", patience)
    else:
        cli.leave(operation)
