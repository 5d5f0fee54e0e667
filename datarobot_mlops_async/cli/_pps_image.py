"""``dr-mlops pps-image``: the Portable Prediction Server's image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._docker import Engine
from datarobot_mlops_async.cli._downloading import (
    DEFAULT_CONNECTIONS,
    GO_ON,
    STDOUT,
    MaxConnections,
    Overwrite,
    Resume,
    download_to,
    stream_to_stdout,
)
from datarobot_mlops_async.cli._printing import AsJson, Form, Printer
from datarobot_mlops_async.cli._views import IMAGE

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import DownloadResult
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The Portable Prediction Server's image.")


@app.command()
def metadata(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the latest image's file name, size and SHA-256."""
    invocation: Invocation = ctx.obj
    printer = Printer(invocation.terminal, IMAGE, Form(as_json=as_json))

    async def work(session: AsyncSession) -> None:
        printer.one(await session.pps_image.metadata())

    invocation.run(work)


@app.command()
def download(
    ctx: typer.Context,
    destination: Annotated[
        str,
        typer.Argument(metavar="DEST", help="A file, a directory to put it in (made if it ends in /), or -."),
    ],
    *,
    overwrite: Overwrite = False,
    resume: Resume = True,
    max_connections: MaxConnections = DEFAULT_CONNECTIONS,
) -> None:
    """Download the latest image. It appears at DEST when it is whole and its SHA-256 is right, not before.

    With - the bytes go to stdout as they come, and are verified with the last one: whoever reads them must
    look at the exit code before using them. (dr-mlops pps-image load does.)
    """
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal

    async def work(session: AsyncSession) -> None:
        with terminal.busy("asking for the image"):
            artifact = await session.pps_image.artifact()
        if destination == STDOUT:
            await stream_to_stdout(terminal, artifact, max_connections=max_connections)
        else:
            await download_to(
                terminal,
                artifact,
                destination,
                overwrite=overwrite,
                resume=resume,
                max_connections=max_connections,
            )

    invocation.run(work, on_interrupt=lambda: GO_ON if resume and destination != STDOUT else "")


@app.command()
def load(
    ctx: typer.Context,
    *,
    directory: Annotated[
        str, typer.Option(metavar="DIR", help="Where the image's file goes first; it needs the room.")
    ] = "./",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the file when it is loaded.")] = False,
    engine: Annotated[
        str, typer.Option(metavar="COMMAND", help="docker, podman, or the path of one that takes 'load'.")
    ] = "docker",
    overwrite: Overwrite = False,
    max_connections: MaxConnections = DEFAULT_CONNECTIONS,
) -> None:
    """Download the latest image, verify it, and load it into the container engine.

    The image goes to a file first and not straight into the engine: an engine takes layers over while it reads
    them, and the last byte's hash would come too late. Nothing reaches it that is not verified. Whether an
    engine answers is asked before anything is downloaded.
    """
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal
    found = Engine.find(engine)

    async def work(session: AsyncSession) -> DownloadResult:
        with terminal.busy("asking for the image"):
            artifact = await session.pps_image.artifact()
        return await download_to(
            terminal, artifact, f"{directory}/", overwrite=overwrite, max_connections=max_connections
        )

    result = invocation.run(work, on_interrupt=lambda: GO_ON)
    # A directory's download always has a path.
    assert result.path is not None  # noqa: S101 - for the type checker
    found.load(terminal, result.path)
    if not keep:
        result.path.unlink()
