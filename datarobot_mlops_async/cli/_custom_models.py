"""``dr-mlops custom-models``: deployments of custom models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datarobot_mlops_async.cli._command import Group, option, with_session
from datarobot_mlops_async.cli._options import OutputFormat, output_format

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("custom-models", cls=Group)
def command() -> None:
    """Deployments of custom models; their logs are under dr-mlops logs."""


@command.command("list")
@option(
    "--custom-model-id",
    "custom_model_ids",
    multiple=True,
    metavar="ID",
    help="Of this custom model; repeatable.",
)
@option(
    "--environment-id",
    "environment_ids",
    multiple=True,
    metavar="ID",
    help="In this execution environment; repeatable.",
)
@output_format("custom-models")
@with_session
async def list_(
    cli: Invocation, custom_model_ids: tuple[str, ...], environment_ids: tuple[str, ...], output: OutputFormat
) -> None:
    """List deployments of custom models, newest first."""
    await cli.printer("custom-models", output).list(
        cli.session.custom_model_deployments.list(
            custom_model_ids=custom_model_ids or None,
            environment_ids=environment_ids or None,
            limit=output.limit,
        )
    )
