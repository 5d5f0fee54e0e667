"""``dr-mlops pps-image``: the Portable Prediction Server's image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli._command import Group, option, with_session
from datarobot_mlops_async.cli._docker import Engine
from datarobot_mlops_async.cli._options import OutputFormat, as_json, destination, download_options

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation


@click.group("pps-image", cls=Group)
def command() -> None:
    """The Portable Prediction Server's image."""


@command.command()
@as_json
@with_session
async def metadata(cli: Invocation, as_json: bool) -> None:
    """Show the latest image's file name, size and SHA-256."""
    cli.printer("image", OutputFormat(as_json=as_json)).one(await cli.session.pps_image.metadata())


@command.command()
@destination(made=" (made if it ends in /)")
@download_options
@with_session
async def download(cli: Invocation, destination: str, how: dict[str, Any]) -> None:
    """Download the latest image. It appears at DEST when it is whole and its SHA-256 is right, not before.

    With - the bytes go to stdout as they come, and are verified with the last one: whoever reads them must
    look at the exit code before using them. (dr-mlops pps-image load does.)
    """
    with cli.terminal.status.busy("asking for the image"):
        artifact = await cli.session.pps_image.artifact()
    await cli.download(artifact, destination, **how)


@command.command()
@option(
    "--directory", default="./", metavar="DIR", help="Where the image's file goes first; it needs the room."
)
@option("--keep", is_flag=True, help="Keep the file when it is loaded.")
@option(
    "--engine",
    default="docker",
    show_default=True,
    metavar="COMMAND",
    callback=lambda ctx, _, given: given if ctx.resilient_parsing else Engine.find(given),
    help="docker, podman, or the path of one that takes 'load'.",
)
@download_options
@with_session
async def load(cli: Invocation, directory: str, keep: bool, engine: Engine, how: dict[str, Any]) -> None:
    """Download the latest image, verify it, and load it into the container engine.

    The image goes to a file first and not straight into the engine: an engine takes layers over while it reads
    them, and the last byte's hash would come too late. Nothing reaches it that is not verified. Whether an
    engine answers is asked before anything is downloaded.
    """
    with cli.terminal.status.busy("asking for the image"):
        artifact = await cli.session.pps_image.artifact()
    result = await cli.download(artifact, f"{directory}/", **how)
    # A directory's download always has a path.
    assert result is not None and result.path is not None  # noqa: S101, PT018 - for the type checker
    await engine.load(cli.terminal, result.path)
    if not keep:
        result.path.unlink()
