"""``dr-mlops bundles``: resource bundles, the sizes of machine to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli._command import Group, argument, option, with_session
from datarobot_mlops_async.cli._options import OutputFormat, as_json, completing, output_format, words
from datarobot_mlops_async.cli._recent import recent
from datarobot_mlops_async.models import ResourceBundleUseCase

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("bundles", cls=Group)
def command() -> None:
    """Resource bundles."""


@command.command("list")
@option(
    "--use-case",
    "use_cases",
    multiple=True,
    metavar="NAME",
    shell_complete=completing(ResourceBundleUseCase),
    help=f"Repeatable. {words(ResourceBundleUseCase)}",
)
@output_format("bundles")
@with_session
async def list_(cli: Invocation, use_cases: tuple[Any, ...], output: OutputFormat) -> None:
    """List the resource bundles that you may choose."""
    bundles = cli.session.resource_bundles.list(use_cases=use_cases or None, limit=output.limit)
    await cli.printer("bundles", output).list(bundles)


@command.command()
@argument("bundle_id", metavar="ID", help="The bundle's id.", shell_complete=recent("bundle"))
@as_json
@with_session
async def get(cli: Invocation, bundle_id: str, as_json: bool) -> None:
    """Show one resource bundle."""
    cli.printer("bundles", OutputFormat(as_json=as_json)).one(
        await cli.session.resource_bundles.get(bundle_id)
    )
