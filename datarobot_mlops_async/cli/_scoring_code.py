"""``dr-mlops scoring-code``: a deployment's model as a JAR."""

# ruff: noqa: TC001 - typer resolves the annotations at run time

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.cli._asking import DeploymentId
from datarobot_mlops_async.cli._downloading import (
    GO_ON,
    STDOUT,
    Overwrite,
    Resume,
    download_to,
    stream_to_stdout,
)

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Models as JARs, for predictions elsewhere."
)


@app.callback()
def group() -> None:
    """Models as JARs, for predictions outside of a prediction server."""


@app.command()
def download(
    ctx: typer.Context,
    deployment_id: DeploymentId,
    destination: Annotated[
        str, typer.Argument(metavar="[DEST]", help="A file, a directory to put it in, or - for stdout.")
    ] = "./",
    *,
    source_code: Annotated[
        bool, typer.Option("--source-code", help="The source archive instead of the executable JAR.")
    ] = False,
    include_agent: Annotated[bool, typer.Option("--include-agent", help="With the tracking agent.")] = False,
    include_prediction_explanations: Annotated[
        bool, typer.Option("--include-prediction-explanations", help="With prediction explanations.")
    ] = False,
    include_prediction_intervals: Annotated[
        bool, typer.Option("--include-prediction-intervals", help="With prediction intervals.")
    ] = False,
    build: Annotated[
        bool | None,
        typer.Option(
            "--build/--no-build",
            help="Build first, or not; by default where an extra needs it.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = True,
) -> None:
    """Download the JAR of a deployment's current model. Extras are built by the server first, which takes time."""
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal

    async def work(session: AsyncSession) -> None:
        with terminal.busy("asking for the JAR; with extras the server builds it first"):
            artifact = await session.deployments.scoring_code(
                deployment_id,
                source_code=source_code or None,
                include_agent=include_agent or None,
                include_prediction_explanations=include_prediction_explanations or None,
                include_prediction_intervals=include_prediction_intervals or None,
                build=build,
            )
        if destination == STDOUT:
            await stream_to_stdout(terminal, artifact)
        else:
            await download_to(terminal, artifact, destination, overwrite=overwrite, resume=resume)

    invocation.run(work, on_interrupt=lambda: GO_ON)
