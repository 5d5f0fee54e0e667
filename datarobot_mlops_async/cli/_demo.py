"""``dr-mlops demo``: the library at work, against an emulator in this process."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from datarobot_mlops_async.cli._command import Command, option
from datarobot_mlops_async.cli._exits import usage

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    from datarobot_mlops_async.cli._demo_scenes import Demo  # as said
    from datarobot_mlops_async.cli._terminal import Terminal  # as said
    from datarobot_mlops_async.emulator import Emulator, parse_size  # as said

    try:
        size = parse_size(image_size)
    except ValueError as error:
        raise usage(f"--image-size: {error}") from None
    with (
        _without_proxies(),
        _place(keep=keep) as directory,
        Emulator(deployments=deployments, image_size=size) as emulator,
    ):
        anyio.run(Demo(Terminal().out, emulator, directory, keep).play)


@contextmanager
def _place(*, keep: bool) -> Iterator[Path]:
    """Yield the directory for the image: the current one to keep it, else one that is removed."""
    if keep:
        yield Path.cwd()
        return
    with tempfile.TemporaryDirectory(prefix="dr-mlops-demo-") as directory:
        yield Path(directory)


@contextmanager
def _without_proxies() -> Iterator[None]:
    """Reach this machine without its proxy, which is set on many machines and would refuse."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ |= dict.fromkeys(before, "127.0.0.1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
