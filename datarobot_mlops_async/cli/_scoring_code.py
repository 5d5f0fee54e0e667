"""``dr-mlops scoring-code``: a deployment's model as a JAR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli._command import Group, option, with_session
from datarobot_mlops_async.cli._options import beside_options, deployment_id, destination, download_options

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("scoring-code", cls=Group)
def command() -> None:
    """Models as JARs, for predictions outside of a prediction server."""


@command.command()
@deployment_id
@destination(default="./")
@option("--source-code", is_flag=True, help="The source archive instead of the executable JAR.")
@option("--include-agent", is_flag=True, help="With the tracking agent.")
@option("--include-prediction-explanations", is_flag=True, help="With prediction explanations.")
@option("--include-prediction-intervals", is_flag=True, help="With prediction intervals.")
@option("--build/--no-build", default=None, help="Build first, or not; by default where an extra needs it.")
@beside_options
@download_options
@with_session
async def download(
    cli: Invocation,
    deployment_id: str,
    destination: str,
    *,
    build: bool | None,
    beside: dict[str, Any],
    how: dict[str, Any],
    **which: bool,
) -> None:
    """Download the JAR of a deployment's current model. Extras are built by the server first, which takes time."""
    wanted = {name: value or None for name, value in which.items()}
    with cli.terminal.status.busy("asking for the JAR; with extras the server builds it first"):
        artifact = await cli.session.deployments.scoring_code(deployment_id, build=build, **wanted)
    await cli.download(artifact, destination, **beside, **how)
