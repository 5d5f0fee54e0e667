"""``dr-mlops pps-image``: the Portable Prediction Server's image, and the programs that it is handed to.

Those are a container engine, or a tool that pushes to a registry. They get what is verified, and nothing else.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
import zlib
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from datarobot_mlops_async.cli import _options as shared
from datarobot_mlops_async.cli._command import Group, argument, flag, option, together, with_session
from datarobot_mlops_async.cli._messages import ExitCode, Failure, clean, usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from subprocess import CompletedProcess

    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._command import Declaration
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.cli._terminal import Terminal

_GZIP = b"\x1f\x8b"
_BLOCK = 1024 * 1024
_TOOLS = ("skopeo", "crane")

command = Group("pps-image", help="The Portable Prediction Server's image.")
shared.showing(command, "pps_image.metadata", "Show the latest image's file name, size and SHA-256.")


@command.command()
@shared.destination(made=" (made if it ends in /)")
@shared.artifact_options
@with_session
async def download(cli: Invocation, destination: str, how: dict[str, Any]) -> Path | None:
    """Download the latest image. It appears at DEST when it is whole and its SHA-256 is right, not before.

    With - the bytes go to stdout as they come, and are verified with the last one: whoever reads them must
    look at the exit code before using them. (dr-mlops pps-image load does.)
    """
    return (await cli.download(await _artifact(cli), destination, **how)).path


@command.command()
@argument("path", "The image's file.", **shared.FILE)
@option("--against", "A sidecar (sha256sum) or manifest that lies elsewhere.", **shared.FILE)
@option("--sha256", "What the SHA-256 should be.", metavar="HEX")
@flag("--service", "Ask the service what the latest image should be.")
@with_session(opened=False)
async def verify(
    cli: Invocation, path: Path, against: Path | None, sha256: str | None, service: bool
) -> None:
    """Check a file again: against what download --sidecar or --manifest wrote beside it, which needs no network."""
    if service and against is not None:
        raise usage("--service and --against exclude each other")
    async with cli.opened() if service else nullcontext():
        promised = await _artifact(cli) if service else against
        await cli.verify_file(path, against=promised, expected_sha256=sha256)


def _source(purpose: str) -> Declaration:
    """Declare where the image comes from that a program is to get; the command gets it as ``source``."""
    return together(
        "source",
        shared.given,
        option(
            "--directory",
            "Where the image's file goes first; it needs the room.",
            default="./",
            metavar="DIR",
        ),
        flag("--keep", f"Keep the file when it is {purpose}."),
        option("--file", "Take this file, verified as by 'verify', and download nothing.", **shared.FILE),
        *shared.DOWNLOAD,
    )


async def _artifact(cli: Invocation) -> Artifact:
    with cli.terminal.busy("asking for the image"):
        return await cli.session.pps_image.artifact()


@asynccontextmanager
async def _image(
    cli: Invocation, *, directory: str, keep: bool, file: Path | None = None, **how: Any
) -> AsyncIterator[tuple[Path, str | None]]:
    """Give a verified file and its Docker image id; what was downloaded is removed when all went well."""
    if file is not None:
        yield file, (await cli.verify_file(file)).docker_image_id
        return
    async with cli.opened():
        result = await cli.download(await _artifact(cli), f"{directory}/", **how)
    assert result.path is not None  # a directory's download has one
    yield result.path, result.docker_image_id
    if not keep:
        result.path.unlink()


@command.command()
@option(
    "--engine", "docker, podman, or the path of one that takes 'load'.", default="docker", metavar="COMMAND"
)
@option("--patience", "How long the engine may take to say that it is there.", default=30.0, **shared.SECONDS)
@_source("loaded")
@with_session(opened=False)
async def load(cli: Invocation, engine: str, patience: float, source: dict[str, Any]) -> None:
    """Download the latest image, verify it, and load it into the container engine.

    The image goes to a file first and not straight into the engine: an engine takes layers over while it reads
    them, and the last byte's hash would come too late. Nothing reaches it that is not verified. Whether an
    engine answers is asked before anything is downloaded.
    """
    program = await _find_engine(engine, patience)
    async with _image(cli, **source) as (image, _):
        with cli.terminal.busy(f"loading {image.name}"):
            # podman reads no compressed archives.
            unpack = _is_packed(image) and not Path(program).name.startswith("docker")
            async with _opened(image, unpack=unpack) as file:
                loading = await _run(program, "load", stdin=file)
        _show(cli.terminal, _output_of(loading, cli, image, "the container engine refused the image"))


async def _find_engine(engine: str, patience: float) -> str:
    """Return the path of a container engine's program, having asked for so many seconds whether it answers."""
    program = shutil.which(engine)
    if program is None:
        raise Failure(
            f"there is no {engine} here: install it, or 'dr-mlops pps-image download' the image and load it "
            "where there is one"
        )
    try:
        with anyio.fail_after(patience):
            # 'info' and not 'version': it fails without an engine for docker and podman alike.
            asked = await _run(program, "info")
        reason = _last_line(asked.stderr) if asked.returncode else ""
    except TimeoutError:
        reason = f"timed out after {patience:g} s"
    except OSError as error:
        reason = clean(error)
    if reason:
        raise Failure(f"no container engine answers {engine}: {reason}")
    return program


@asynccontextmanager
async def _opened(image: Path, *, unpack: bool) -> AsyncIterator[IO[bytes]]:
    """Give the file, or a pipe from which it comes unpacked."""
    if not unpack:
        with image.open("rb") as file:
            yield file
        return
    reading, writing = os.pipe()
    async with anyio.create_task_group() as group:
        group.start_soon(_unpack, image, os.fdopen(writing, "wb"))
        # When the engine has ended, a writer that goes on gets an error.
        with os.fdopen(reading, "rb") as pipe:
            yield pipe


@command.command()
@argument("reference", "Where the image goes.", metavar="REGISTRY/NAME:TAG")
@option("--tool", "skopeo or crane; by default the first that is here.", metavar="COMMAND")
@_source("pushed")
@flag("--insecure-registry", "The registry has no TLS, or a certificate that nobody knows.")
@with_session(opened=False)
async def push(
    cli: Invocation, reference: str, tool: str | None, source: dict[str, Any], insecure_registry: bool
) -> None:
    """Download the latest image, verify it, and push it to a registry. It needs no container engine.

    The credentials are those that skopeo or crane know (skopeo login, docker login). Done means: the image that
    the registry has then has the Docker image id that the service names.
    """
    names = (tool,) if tool else _TOOLS
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise Failure(
            f"there is no {' and no '.join(names)} here: install {' or '.join(names)} "
            "(Debian and Fedora: the package skopeo)"
        )
    async with _image(cli, **source) as (image, image_id):
        pushed = await _push_image(cli, program, image, reference, insecure=insecure_registry)
        if image_id is None:
            cli.terminal.say("nobody says what the Docker image id should be: it was not compared")
        elif pushed.removeprefix("sha256:") != image_id.removeprefix("sha256:"):
            raise Failure(f"{reference} has the image {pushed} and should have {image_id}", ExitCode.DOWNLOAD)
        cli.terminal.write(f"{reference} {pushed}")


async def _push_image(cli: Invocation, tool: str, image: Path, reference: str, *, insecure: bool) -> str:
    """Push an image's file to a registry, and return the id of the image that the registry has then."""
    async with _unpacked(cli, image) as archive:
        push, inspect = _commands(tool, archive, reference, insecure=insecure)
        with cli.terminal.busy(f"pushing {image.name}"):
            pushing = await _run(tool, *push)
    _output_of(pushing, cli, image, f"{reference} was not pushed")
    manifest = _output_of(
        await _run(tool, *inspect), cli, image, f"{reference} was pushed and cannot be read"
    )
    try:
        return str(json.loads(manifest)["config"]["digest"])
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{reference} was pushed, and its manifest does not name an image") from None


def _commands(tool: str, archive: Path, reference: str, *, insecure: bool) -> tuple[list[str], list[str]]:
    if Path(tool).name.startswith("crane"):
        options = ["--insecure"] if insecure else []
        return ["push", *options, os.fspath(archive), reference], ["manifest", *options, reference]
    verify = f"tls-verify={str(not insecure).lower()}"
    return (
        ["copy", f"--dest-{verify}", f"docker-archive:{archive}", f"docker://{reference}"],
        ["inspect", "--raw", f"--{verify}", f"docker://{reference}"],
    )


@asynccontextmanager
async def _unpacked(cli: Invocation, image: Path) -> AsyncIterator[Path]:
    """Give an archive that is not compressed: the file itself, or an unpacked copy beside it for a while."""
    if not _is_packed(image):
        yield image
        return
    copy = image.with_name(f".{image.name}.{secrets.token_hex(4)}.tar")
    try:
        with cli.terminal.busy(f"unpacking {image.name}"):
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
        while block := await to_thread.run_sync(source.read, _BLOCK):
            await to_thread.run_sync(target.write, block)


async def _run(*command: str, stdin: IO[bytes] | int | None = None) -> CompletedProcess[bytes]:
    return await anyio.run_process(command, stdin=stdin, check=False)


def _output_of(ran: CompletedProcess[bytes], cli: Invocation, image: Path, what: str) -> bytes:
    if ran.returncode:
        _show(cli.terminal, ran.stdout + ran.stderr)
        raise Failure(
            f"{what}: {_last_line(ran.stderr)}; the file was kept: {image} (--file {image} takes it up again)"
        )
    return ran.stdout


def _show(terminal: Terminal, output: bytes) -> None:
    for line in output.decode("utf-8", "replace").splitlines():
        terminal.say(line)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return clean(lines[-1]) if lines else "it said nothing"
