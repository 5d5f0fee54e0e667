"""``dr-mlops demo``: the library at work, against an emulator in this process."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import anyio
import click

from datarobot_mlops_async.cli._command import Command, option
from datarobot_mlops_async.cli._exits import usage

_NO_PROXY = ("NO_PROXY", "no_proxy")


@click.command("demo", cls=Command)
@option(
    "--deployments",
    type=click.IntRange(1, 100_000),
    default=250,
    show_default=True,
    metavar="N",
    help="Size of the fleet.",
)
@option("--image-size", default="1GiB", show_default=True, metavar="SIZE", help="Size of the image.")
@option("--keep", is_flag=True, help="Keep the image, in the current directory, and say where it is.")
def command(deployments: int, image_size: str, keep: bool) -> None:
    """See it work against an emulator in this process: no account, no network.

    Lists a fleet of deployments, deactivates a few and follows the operations, downloads an image and
    verifies it.
    """
    # Not at the top: help and completion need none of them.
    from datarobot_mlops_async.cli._demo_scenes import Demo
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.emulator import Emulator, parse_size

    try:
        size = parse_size(image_size)
    except ValueError as error:
        raise usage(f"--image-size: {error}") from None
    with ExitStack() as stack:
        # Many machines have a proxy set, which would refuse to reach this machine.
        stack.callback(os.environ.update, {name: os.environ.get(name, "") for name in _NO_PROXY})
        os.environ |= dict.fromkeys(_NO_PROXY, "127.0.0.1")
        place = Path.cwd()
        if not keep:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dr-mlops-demo-")))
        emulator = stack.enter_context(Emulator(deployments=deployments, image_size=size))
        anyio.run(Demo(Terminal().out, emulator, place, keep).play)
