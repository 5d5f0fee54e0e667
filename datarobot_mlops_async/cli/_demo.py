"""``dr-mlops demo``: what the commands do, against an emulator in this process."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._command import Command, flag, option
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import BulkOptions, OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.emulator import Emulator

_SHOWN = 12
_CHANGED = 5
_OPERATION_SECONDS = 2.0
_NO_PROXY = ("NO_PROXY", "no_proxy")


@click.command("demo", cls=Command)
@option("--deployments", "Size of the fleet.", type=click.IntRange(1, 100_000), default=250, metavar="N")
@option("--image-size", "Size of the image.", default="1GiB", metavar="SIZE")
@flag("--keep", "Keep the image, in the current directory, and say where it is.")
def command(deployments: int, image_size: str, keep: bool) -> None:
    """See it work against an emulator in this process: no account, no network.

    Lists a fleet of deployments, deactivates a few and follows the operations, downloads an image and
    verifies it.
    """
    # Not at the top: help and completion need none of them.
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.emulator import Emulator, parse_size

    try:
        size = parse_size(image_size)
    except ValueError as error:
        raise usage(f"--image-size: {error}") from None
    out = Terminal().out
    # Where output is redrawn, it is stdout: a demonstration's progress is its result.
    cli = Invocation({}, Terminal(out=out, err=out))
    with ExitStack() as stack:
        # Many machines have a proxy set, which would refuse to reach this machine.
        stack.callback(os.environ.update, {name: os.environ.get(name, "") for name in _NO_PROXY})
        os.environ |= dict.fromkeys(_NO_PROXY, "127.0.0.1")
        place = Path.cwd()
        if not keep:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dr-mlops-demo-")))
        emulator = stack.enter_context(
            Emulator(deployments=deployments, image_size=size, operation_seconds=_OPERATION_SECONDS)
        )
        path = anyio.run(_play, cli, emulator, place)
    cli.terminal.say(f"kept: {path}" if keep else "the image was removed again (--keep keeps it)")


async def _play(cli: Invocation, emulator: Emulator, place: Path) -> object:
    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async.session import AsyncSession

    fleet, size = messages.count(emulator.deployments, "deployment"), messages.size(emulator.image_size or 0)
    cli.terminal.say(f"An emulator in this process serves {fleet} and an image of {size}")
    cli.terminal.say(f"at {emulator.endpoint}")
    # Nothing of the user's own settings: the demonstration is the same for everybody.
    path: object = None
    settings = Settings(endpoint=emulator.endpoint, token=emulator.token)
    async with AsyncSession.from_settings(settings) as cli.session, anyio.create_task_group() as group:
        # The emulator computes its image's SHA-256 meanwhile, so that nobody waits for it later.
        group.start_soon(anyio.to_thread.run_sync, emulator.prepare)
        with _scene(
            cli, f"dr-mlops deployments list -n {_SHOWN}", f"session.deployments.list(limit={_SHOWN})"
        ):
            listed = cli.session.deployments.list(limit=_SHOWN)
            await cli.printer("deployments.list", OutputFormat(limit=_SHOWN)).list(listed)
        active = await cli.session.deployments.list(status="active", limit=_CHANGED).collect()
        line = f"dr-mlops deployments deactivate --status active -n {_CHANGED} --yes"
        with _scene(cli, line, "session.bulk(session.deployments.begin_deactivate, ids)"):
            options = BulkOptions(ids=[each.id for each in active], yes=True)
            await cli.bulk("deactivate", cli.session.deployments.begin_deactivate, options)
        with _scene(
            cli, "dr-mlops pps-image download .", "(await session.pps_image.artifact()).download(path)"
        ):
            result = await cli.download(await cli.session.pps_image.artifact(), f"{place}/")
            path = result and result.path
    return path


@contextmanager
def _scene(cli: Invocation, typed: str, called: str) -> Iterator[None]:
    """Show what is typed and what Python calls for it, and how long it takes."""
    out = cli.terminal.out
    out.print(f"\n[strong]$ {typed}[/]", f"[quiet]{called}[/]", sep="\n", soft_wrap=True)
    started = time.perf_counter()
    yield
    out.print(f"[quiet]in {messages.duration(time.perf_counter() - started)}[/]")
