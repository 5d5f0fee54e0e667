"""``dr-mlops emulator``: an emulated DataRobot to try things on."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datarobot_mlops_async.cli._failures import ExitCode, Failure, usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async.cli._invocation import Invocation

app = typer.Typer(add_completion=False)


class Dialect(StrEnum):
    """How old the emulated server is."""

    PAGE = "page"
    OLDER = "older"
    NEWER = "newer"


@app.command()
def emulator(
    ctx: typer.Context,
    *,
    deployments: Annotated[
        int | None, typer.Option(metavar="N", help="How many there are.", show_default="250")
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the image, for example 14GiB.", show_default="64MiB"),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Before every answer, for example 50ms.", show_default="0"),
    ] = None,
    operation_seconds: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long operations take.", show_default="1s")
    ] = None,
    drift_rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Changes a second of the fleet by itself.", show_default="0"),
    ] = None,
    deletion_lag: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long deleted things stay.", show_default="0")
    ] = None,
    signature_seconds: Annotated[
        str | None, typer.Option(metavar="TIME", help="Life of a signed URL.", show_default="15m")
    ] = None,
    storage_rate: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Bytes a second on each connection.", show_default="no limit"),
    ] = None,
    direct: Annotated[
        bool, typer.Option("--direct", help="The API serves the image itself, with no redirect.")
    ] = False,
    dialect: Annotated[
        Dialect | None, typer.Option(help="How old the server is.", show_default="page", show_choices=True)
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Of the API.", show_default="any free one")] = None,
    storage_port: Annotated[
        int | None, typer.Option(help="Of the storage.", show_default="any free one")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What everything is drawn from.", show_default="0")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Lets requests go wrong, for example 'GET /deployments/ status=503 retry-after=1 times=2'; "
            "repeatable; --fault help shows every word.",
        ),
    ] = None,
) -> None:
    """Serve an emulated DataRobot until interrupted, and print the two variables that point clients at it."""
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise Failure(
            f"the emulator needs {' and '.join(missing)}: pip install 'datarobot-mlops-async[emulator]'",
            ExitCode.FAILED,
        )
    # Not at the top: the check above must work without them.
    from datarobot_mlops_async.emulator import (  # noqa: PLC0415 - as said
        Emulator,
        describe_vocabulary,
        parse_seconds,
        parse_size,
        serve,
    )

    invocation: Invocation = ctx.obj
    if fault == ["help"]:
        invocation.terminal.write(describe_vocabulary())
        return
    given: dict[str, Any] = {
        "deployments": deployments,
        "image_size": _read("--image-size", image_size, parse_size),
        "latency": _read("--latency", latency, parse_seconds),
        "operation_seconds": _read("--operation-seconds", operation_seconds, parse_seconds),
        "drift_rate": drift_rate,
        "deletion_lag": _read("--deletion-lag", deletion_lag, parse_seconds),
        "signature_seconds": _read("--signature-seconds", signature_seconds, parse_seconds),
        "storage_rate": _read("--storage-rate", storage_rate, parse_size),
        "dialect": dialect and dialect.value,
        "host": host,
        "port": port,
        "storage_port": storage_port,
        "seed": seed,
        "faults": fault,
    }
    settings = {name: value for name, value in given.items() if value is not None and value != []}
    if direct:
        settings["image_redirect"] = None
    try:
        served = Emulator(**settings)
    except ValueError as error:
        raise usage(str(error)) from None
    try:
        serve(served, announce=invocation.terminal.write)
    except OSError as error:
        raise Failure(f"cannot listen: {error.strerror or error}", ExitCode.FAILED) from None


def _read(option: str, text: str | None, parse: Callable[[str], Any]) -> Any:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise usage(f"{option}: {error}") from None
