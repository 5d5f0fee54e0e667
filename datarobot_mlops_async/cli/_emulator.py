"""``dr-mlops emulator``: an emulated DataRobot to try things on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli._command import Command, option
from datarobot_mlops_async.cli._exits import ExitCode, Failure, require, usage

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command("emulator", cls=Command)
@option("--deployments", type=int, metavar="N", help="How many there are [default: 250].")
@option("--image-size", metavar="SIZE", help="Of the image, for example 14GiB [default: 64MiB].")
@option("--latency", metavar="TIME", help="Before every answer, for example 50ms [default: 0].")
@option("--operation-seconds", metavar="TIME", help="How long operations take [default: 1s].")
@option("--drift-rate", type=float, metavar="N", help="Changes a second of the fleet by itself [default: 0].")
@option("--deletion-lag", metavar="TIME", help="How long deleted things stay [default: 0].")
@option("--signature-seconds", metavar="TIME", help="Life of a signed URL [default: 15m].")
@option("--storage-rate", metavar="SIZE", help="Bytes a second on each connection [default: no limit].")
@option("--direct", is_flag=True, help="The API serves the image itself, with no redirect.")
@option(
    "--dialect", type=click.Choice(["page", "older", "newer"]), help="How old the server is [default: page]."
)
@option("--host", help="Address to listen on [default: 127.0.0.1].")
@option("--port", type=int, help="Of the API [default: any free one].")
@option("--storage-port", type=int, help="Of the storage [default: any free one].")
@option("--seed", type=int, help="What everything is drawn from [default: 0].")
@option(
    "--fault",
    multiple=True,
    metavar="RULE",
    help="Lets requests go wrong, for example 'GET /deployments/ status=503 retry-after=1 times=2'; repeatable; "
    "--fault help shows every word.",
)
def command(direct: bool, fault: tuple[str, ...], **given: Any) -> None:
    """Serve an emulated DataRobot until interrupted, and print the two variables that point clients at it."""
    require("the emulator", "emulator", "starlette", "uvicorn")
    # Not at the top: the check above must work without them.
    from datarobot_mlops_async.emulator import (  # noqa: PLC0415 - as said
        Emulator,
        describe_vocabulary,
        parse_seconds,
        parse_size,
        serve,
    )

    if fault == ("help",):
        click.echo(describe_vocabulary())
        return
    for name in ("image_size", "storage_rate"):
        given[name] = _read(name, given[name], parse_size)
    for name in ("latency", "operation_seconds", "deletion_lag", "signature_seconds"):
        given[name] = _read(name, given[name], parse_seconds)
    settings = {name: value for name, value in given.items() if value is not None}
    if direct:
        settings["image_redirect"] = None
    try:
        served = Emulator(**settings, faults=fault)
    except ValueError as error:
        raise usage(str(error)) from None
    try:
        serve(served, announce=click.echo)
    except OSError as error:
        raise Failure(f"cannot listen: {error.strerror or error}", ExitCode.FAILED) from None


def _read(name: str, text: str | None, parse: Callable[[str], Any]) -> Any:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise usage(f"--{name.replace('_', '-')}: {error}") from None
