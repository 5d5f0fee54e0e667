"""The programs that a verified image is handed to: a container engine, or a tool that pushes to a registry."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
import subprocess
import zlib
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
from anyio import to_thread

from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._messages import clean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from subprocess import CompletedProcess

    from datarobot_mlops_async.cli._terminal import Terminal

_GZIP = b"\x1f\x8b"
_BLOCK = 1024 * 1024
TOOLS = ("skopeo", "crane")


def find_engine(*, engine: str, patience: float) -> str:
    """Return the path of a container engine's program, having asked for so many seconds whether it answers.

    Raises:
        Failure: There is no such program, or no engine behind it.
    """
    program = shutil.which(engine)
    if program is None:
        raise Failure(
            f"there is no {engine} here: install it, or 'dr-mlops pps-image download' the image and load it "
            "where there is one",
            ExitCode.FAILED,
        )
    # 'info' and not 'version': it fails without an engine for docker and podman alike.
    asking = [program, "info"]
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own program
            asking, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False
        )
        reason = _last_line(asked.stderr) if asked.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = clean(error)
    if reason is not None:
        raise Failure(f"no container engine answers {engine}: {reason}", ExitCode.FAILED)
    return program


async def load_image(terminal: Terminal, engine: str, image: Path) -> None:
    """Load an image's file into an engine and show what the engine says.

    Raises:
        Failure: The engine refused it.
    """
    with terminal.status.busy(f"loading {image.name}"):
        if Path(engine).name.startswith("docker") or not _is_packed(image):
            with image.open("rb") as file:
                loading = await _run(engine, "load", stdin=file)
        else:
            # podman reads no compressed archives.
            loading = await _load_unpacked(engine, image)
    _require_success(terminal, loading, image, "the container engine refused the image")
    _show(terminal, loading.stdout)


async def _load_unpacked(engine: str, image: Path) -> CompletedProcess[bytes]:
    reading, writing = os.pipe()
    async with anyio.create_task_group() as group:
        group.start_soon(_unpack, image, os.fdopen(writing, "wb"))
        # When the engine has ended, a writer that goes on gets an error.
        with os.fdopen(reading, "rb") as source:
            return await _run(engine, "load", stdin=source)
    raise AssertionError("unreachable: nothing in the group is cancelled")  # pragma: no cover - as said


def find_tool(*, tool: str | None) -> str:
    """Return the path of the registry tool that is asked for, or of the first one that is here.

    Raises:
        Failure: There is none.
    """
    names = (tool,) if tool else TOOLS
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise Failure(
            f"there is no {' and no '.join(names)} here: install {' or '.join(names)} "
            "(Debian and Fedora: the package skopeo)",
            ExitCode.FAILED,
        )
    return program


async def push_image(terminal: Terminal, tool: str, image: Path, reference: str, *, insecure: bool) -> str:
    """Push an image's file to a registry, and return the id of the image that the registry has then.

    Args:
        terminal: Where the tool's words go when it fails.
        tool: The program's path. It knows the registry's credentials.
        image: The file.
        reference: ``REGISTRY/NAME:TAG``.
        insecure: Whether the registry may speak plain HTTP, or have a certificate that nobody knows.

    Raises:
        Failure: The tool failed.
    """
    async with _unpacked(terminal, image) as archive:
        push, inspect = _commands(tool, archive, reference, insecure=insecure)
        with terminal.status.busy(f"pushing {image.name}"):
            pushing = await _run(tool, *push)
    _require_success(terminal, pushing, image, f"{reference} was not pushed")
    asking = await _run(tool, *inspect)
    _require_success(terminal, asking, image, f"{reference} was pushed and cannot be read")
    try:
        return str(json.loads(asking.stdout)["config"]["digest"])
    except (ValueError, KeyError, TypeError):
        raise Failure(
            f"{reference} was pushed, and its manifest does not name an image", ExitCode.FAILED
        ) from None


def _commands(tool: str, archive: Path, reference: str, *, insecure: bool) -> tuple[list[str], list[str]]:
    """Return the arguments that push an archive, and those that print the manifest that the registry has then."""
    if Path(tool).name.startswith("crane"):
        options = ["--insecure"] if insecure else []
        return ["push", *options, os.fspath(archive), reference], ["manifest", *options, reference]
    verify = f"tls-verify={str(not insecure).lower()}"
    return (
        ["copy", f"--dest-{verify}", f"docker-archive:{archive}", f"docker://{reference}"],
        ["inspect", "--raw", f"--{verify}", f"docker://{reference}"],
    )


@asynccontextmanager
async def _unpacked(terminal: Terminal, image: Path) -> AsyncIterator[Path]:
    """Give an archive that is not compressed: the file itself, or an unpacked copy beside it for a while."""
    if not _is_packed(image):
        yield image
        return
    copy = image.with_name(f".{image.name}.{secrets.token_hex(4)}.tar")
    try:
        with terminal.status.busy(f"unpacking {image.name}"):
            await _unpack(image, copy.open("xb"))
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _is_packed(image: Path) -> bool:
    with image.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


async def _unpack(image: Path, target: IO[bytes]) -> None:
    # What is broken, or not wanted any more, ends early: whoever reads it says so.
    with suppress(EOFError, OSError, zlib.error), gzip.open(image) as source, target:
        while await to_thread.run_sync(_copy_block, source, target):
            pass


def _copy_block(source: gzip.GzipFile, target: IO[bytes]) -> int:
    return target.write(source.read(_BLOCK))


async def _run(*command: str, stdin: IO[bytes] | int | None = None) -> CompletedProcess[bytes]:
    return await anyio.run_process(command, stdin=stdin, check=False)


def _require_success(terminal: Terminal, ran: CompletedProcess[bytes], image: Path, what: str) -> None:
    if ran.returncode:
        _show(terminal, ran.stdout + ran.stderr)
        raise Failure(
            f"{what}: {_last_line(ran.stderr)}; the file was kept: {image} (--file {image} takes it up again)",
            ExitCode.FAILED,
        )


def _show(terminal: Terminal, output: bytes) -> None:
    for line in output.decode("utf-8", "replace").splitlines():
        terminal.say(line)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return clean(lines[-1]) if lines else "it said nothing"
