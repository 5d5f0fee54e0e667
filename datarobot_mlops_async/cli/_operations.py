"""``dr-mlops operations``: long-running operations that any process has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datarobot_mlops_async.artifacts import Artifact
from datarobot_mlops_async.cli._downloading import STDOUT, Overwrite, download_to, stream_to_stdout
from datarobot_mlops_async.cli._failures import ExitCode, Failure
from datarobot_mlops_async.cli._following import DEFAULT_PATIENCE, Following, Patience
from datarobot_mlops_async.cli._printing import AsJson, Form, Printer
from datarobot_mlops_async.cli._rows import to_json
from datarobot_mlops_async.cli._terminal import clean
from datarobot_mlops_async.cli._views import DEPLOYMENTS
from datarobot_mlops_async.models import Deployment
from datarobot_mlops_async.operations import State

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Long-running operations, by their location."
)
Location = Annotated[
    str, typer.Argument(metavar="LOCATION", help="As --no-wait or an interrupted command told it.")
]


@app.command()
def status(ctx: typer.Context, location: Location, *, as_json: AsJson = False) -> None:
    """Ask once how an operation is."""
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal

    async def work(session: AsyncSession) -> None:
        found = await session.operation(location).status()
        if as_json:
            terminal.write(to_json(found, indent=2))
        else:
            terminal.write(
                "\t".join(filter(None, (found.state.value, found.status, clean(found.message or ""))))
            )
        if found.state is State.FAILED:
            raise Failure("", ExitCode.OPERATION)

    invocation.run(work)


@app.command()
def wait(
    ctx: typer.Context,
    location: Location,
    *,
    download: Annotated[
        str | None,
        typer.Option(
            metavar="DEST", help="Where the result goes if it is a file: a file, a directory, or -."
        ),
    ] = None,
    overwrite: Overwrite = False,
    patience: Patience = DEFAULT_PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Wait for an operation, also one that another process began, and show its result."""
    invocation: Invocation = ctx.obj
    terminal = invocation.terminal
    following = Following(invocation, patience)

    async def work(session: AsyncSession) -> None:
        result = await following.wait(session.operation(location), "waiting for the operation")
        if isinstance(result, Deployment):
            Printer(terminal, DEPLOYMENTS, Form(as_json=as_json)).one(result)
        elif isinstance(result, Artifact):
            if download is None:
                terminal.say("its result is a file: the same command with --download DEST gets it")
            elif download == STDOUT:
                await stream_to_stdout(terminal, result)
            else:
                await download_to(terminal, result, download, overwrite=overwrite)

    following.run(work)
