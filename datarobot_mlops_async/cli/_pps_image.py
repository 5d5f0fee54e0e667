"""``dr-mlops pps-image``: the Portable Prediction Server's image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._printing import AsJson, Printer
from datarobot_mlops_async.cli._progress import DownloadView, verdict
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
    printer = Printer.of(invocation.terminal, IMAGE, as_json=as_json)

    async def work(session: AsyncSession) -> None:
        printer.one(await session.pps_image.metadata())

    invocation.run(work)


@app.command()
def download(
    ctx: typer.Context,
    destination: Annotated[str, typer.Argument(metavar="DEST", help="A file, or a directory to put it in.")],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another file that is there.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with what an interrupted download left.")
    ] = True,
) -> None:
    """Download the latest image. It appears at DEST when it is whole and its SHA-256 is right, not before."""
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal

    async def work(session: AsyncSession) -> DownloadResult:
        artifact = await session.pps_image.artifact()
        terminal.say(f"{artifact.filename}, {wording.size(artifact.size or 0)}")
        with DownloadView(terminal.err, live=terminal.live) as view:
            result = await artifact.download(
                destination, resume=resume, overwrite=overwrite, on_progress=view.update
            )
            view.finish(result)
        return result

    result = invocation.run(work)
    terminal.say(verdict(result))
    terminal.write(str(result.path))
