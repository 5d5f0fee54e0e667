"""``dr-mlops demo``: the commands themselves, against an emulator in this process."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, chdir, redirect_stderr

import click

from datarobot_mlops_async.cli._app import app
from datarobot_mlops_async.cli._command import Command, flag, option
from datarobot_mlops_async.cli._messages import count, duration, size

_OPERATION_SECONDS = 2.0
_SCENES = (
    ("dr-mlops deployments list -n 12", "session.deployments.list(limit=12)"),
    (
        "dr-mlops deployments deactivate --status active -n 5 --yes",
        "session.bulk(session.deployments.begin_deactivate, ids)",
    ),
    ("dr-mlops pps-image download .", "(await session.pps_image.artifact()).download(path)"),
)
"""What is typed, and what Python calls for it."""


@click.command("demo", cls=Command)
@option("--deployments", "Size of the fleet.", type=click.IntRange(1, 100_000), default=250, metavar="N")
@option("--image-size", "Size of the image.", default="1GiB", metavar="SIZE")
@flag("--keep", "Keep the image, in the current directory, and say where it is.")
def command(deployments: int, image_size: str, keep: bool) -> None:
    """See it work against an emulator in this process: no account, no network.

    Lists a fleet of deployments, deactivates a few and follows the operations, downloads an image and
    verifies it.
    """
    # Not at the top: help and completion need no emulator.
    from datarobot_mlops_async.emulator import Emulator, parse_size

    try:
        of_image = parse_size(image_size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--image-size'") from None
    emulator = Emulator(deployments=deployments, image_size=of_image, operation_seconds=_OPERATION_SECONDS)
    with ExitStack() as stack:
        if not keep:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="dr-mlops-demo-"))
            stack.enter_context(chdir(place))
        stack.enter_context(emulator)
        # The emulator computes its image's SHA-256 meanwhile, so that nobody waits for it later.
        threading.Thread(target=emulator.prepare, daemon=True).start()
        stack.callback(os.environ.update, dict(os.environ))
        stack.callback(os.environ.clear)
        _point_at(emulator.endpoint, emulator.token)
        # A demonstration's progress is its result.
        stack.enter_context(redirect_stderr(sys.stdout))
        click.echo(
            f"An emulator in this process serves {count(deployments, 'deployment')} and an image of "
            f"{size(of_image)}\nat {emulator.endpoint}"
        )
        *_, path = [_play(typed, called) for typed, called in _SCENES]
        click.echo(f"kept: {path}" if keep else "the image was removed again (--keep keeps it)")


def _point_at(endpoint: str, token: str) -> None:
    # Nothing of the user's own settings: the demonstration is the same for everybody.
    for name in [each for each in os.environ if each.startswith("DATAROBOT_")]:
        del os.environ[name]
    # Many machines have a proxy set, which would refuse to reach this machine.
    os.environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    os.environ |= {"DATAROBOT_ENDPOINT": endpoint, "DATAROBOT_API_TOKEN": token}


def _play(typed: str, called: str) -> str:
    click.secho(f"\n$ {typed}", bold=True)
    click.secho(called, dim=True)
    started = time.perf_counter()
    result = app.main(shlex.split(typed)[1:], prog_name="dr-mlops", standalone_mode=False)
    click.secho(f"in {duration(time.perf_counter() - started)}", dim=True)
    return str(result)
