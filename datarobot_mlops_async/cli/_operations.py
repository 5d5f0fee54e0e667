"""``dr-mlops operations`` and ``reports``: long-running operations, and what begins one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import Group, argument, option, with_session
from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._options import (
    OutputFormat,
    as_json,
    deployment_id,
    download_options,
    patience,
    waiting,
)
from datarobot_mlops_async.models import Deployment

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation

_location = argument("location", "As --no-wait or an interrupted command told it.", metavar="LOCATION")


operations = Group("operations", help="Long-running operations, by their location.")
reports = Group("reports", help="Scheduled reports of deployments.")


@operations.command()
@_location
@as_json
@with_session
async def status(cli: Invocation, location: str, as_json: bool) -> None:
    """Ask once how an operation is."""
    found = await cli.session.operation(location).status()
    if as_json:
        cli.write_json(found)
    else:
        words = (clean(each or "") for each in (found.state.value, found.status, found.message))
        cli.terminal.write("\t".join(filter(None, words)))
    if found.state.value == "failed":
        raise Failure("", ExitCode.OPERATION)


@operations.command("wait")
@_location
@option("--download", "Where the result goes if it is a file: a file, a directory, or -.", metavar="DEST")
@download_options
@patience
@as_json
@with_session
async def wait_(
    cli: Invocation,
    location: str,
    download: str | None,
    as_json: bool,
    *,
    patience: float,
    how: dict[str, Any],
) -> None:
    """Wait for an operation, also one that another process began, and show its result."""
    result = await cli.follow(cli.session.operation(location), "waiting for the operation", patience)
    if isinstance(result, Deployment):
        cli.printer("deployments.list", OutputFormat(as_json=as_json)).one(result)
    elif result is not None and download is None:
        cli.terminal.say("its result is a file: the same command with --download DEST gets it")
    elif result is not None and download is not None:
        await cli.download(result, download, **how)


@reports.command()
@deployment_id
@argument("report_id", "The scheduled report's id.", metavar="REPORT")
@waiting
@with_session
async def run(cli: Invocation, deployment_id: str, report_id: str, waiting: dict[str, Any]) -> None:
    """Run a scheduled report of a deployment now."""
    operation = await cli.session.deployments.begin_report(deployment_id, report_id)
    await cli.finish(operation, "running the report", **waiting)
