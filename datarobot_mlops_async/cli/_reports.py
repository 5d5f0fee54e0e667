"""``dr-mlops reports``: scheduled reports, run now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datarobot_mlops_async.cli._command import Group, argument, with_session
from datarobot_mlops_async.cli._options import deployment_id, patience, wait

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("reports", cls=Group)
def command() -> None:
    """Scheduled reports of deployments."""


@command.command()
@deployment_id
@argument("report_id", metavar="REPORT", help="The scheduled report's id.")
@wait
@patience
@with_session
async def run(cli: Invocation, deployment_id: str, report_id: str, wait: bool, patience: float) -> None:
    """Run a scheduled report of a deployment now."""
    operation = await cli.session.deployments.begin_report(deployment_id, report_id)
    if wait:
        await cli.wait(operation, "running the report", patience)
    else:
        cli.leave(operation)
