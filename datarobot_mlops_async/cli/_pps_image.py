"""``dr-mlops pps-image``: the Portable Prediction Server's image."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import Group, argument, flag, option, together, with_session
from datarobot_mlops_async.cli._containers import find_engine, find_tool, load_image, push_image
from datarobot_mlops_async.cli._exits import ExitCode, Failure, usage
from datarobot_mlops_async.cli._options import (
    DOWNLOAD,
    FILE,
    SECONDS,
    artifact_options,
    destination,
    given,
    showing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation


command = Group("pps-image", help="The Portable Prediction Server's image.")
showing(
    command, "metadata", "pps_image.metadata", about="Show the latest image's file name, size and SHA-256."
)


@command.command()
@destination(made=" (made if it ends in /)")
@artifact_options
@with_session
async def download(cli: Invocation, destination: str, how: dict[str, Any]) -> None:
    """Download the latest image. It appears at DEST when it is whole and its SHA-256 is right, not before.

    With - the bytes go to stdout as they come, and are verified with the last one: whoever reads them must
    look at the exit code before using them. (dr-mlops pps-image load does.)
    """
    await cli.download(await _artifact(cli), destination, **how)


@command.command()
@argument("path", "The image's file.", **FILE)
@option("--against", "A sidecar (sha256sum) or manifest that lies elsewhere.", **FILE)
@option("--sha256", "What the SHA-256 should be.", metavar="HEX")
@flag("--service", "Ask the service what the latest image should be.")
@with_session(when=lambda options: options["service"])
async def verify(
    cli: Invocation, path: Path, against: Path | None, sha256: str | None, service: bool
) -> None:
    """Check a file again: against what download --sidecar or --manifest wrote beside it, which needs no network."""
    if service and against is not None:
        raise usage("--service and --against exclude each other")
    artifact = await _artifact(cli) if service else None
    await cli.verify_file(path, against=artifact or against, expected_sha256=sha256)


def _source(purpose: str) -> Callable[[Any], Any]:
    """Declare where the image comes from that a program is to get; the command gets it as ``source``."""
    return together(
        "source",
        given,
        option(
            "--directory",
            "Where the image's file goes first; it needs the room.",
            default="./",
            metavar="DIR",
        ),
        flag("--keep", f"Keep the file when it is {purpose}."),
        option("--file", "Take this file, verified as by 'verify', and download nothing.", **FILE),
        *DOWNLOAD,
    )


def _is_downloaded(options: dict[str, Any]) -> bool:
    return "file" not in options["source"]


async def _artifact(cli: Invocation) -> Artifact:
    with cli.terminal.status.busy("asking for the image"):
        return await cli.session.pps_image.artifact()


@asynccontextmanager
async def _image(
    cli: Invocation, *, directory: str, keep: bool, file: Path | None = None, **how: Any
) -> AsyncIterator[tuple[Path, str | None]]:
    """Give a verified file and its Docker image id; what was downloaded is removed when all went well."""
    if file is not None:
        yield file, (await cli.verify_file(file)).docker_image_id
        return
    result = await cli.download(await _artifact(cli), f"{directory}/", **how)
    # A directory's download always has a path.
    assert result is not None and result.path is not None  # noqa: PT018 - for the type checker
    yield result.path, result.docker_image_id
    if not keep:
        result.path.unlink()


@command.command()
@together(
    "engine",
    find_engine,
    option(
        "--engine",
        "docker, podman, or the path of one that takes 'load'.",
        default="docker",
        metavar="COMMAND",
    ),
    option("--patience", "How long the engine may take to say that it is there.", default=30.0, **SECONDS),
)
@_source("loaded")
@with_session(when=_is_downloaded)
async def load(cli: Invocation, engine: str, source: dict[str, Any]) -> None:
    """Download the latest image, verify it, and load it into the container engine.

    The image goes to a file first and not straight into the engine: an engine takes layers over while it reads
    them, and the last byte's hash would come too late. Nothing reaches it that is not verified. Whether an
    engine answers is asked before anything is downloaded.
    """
    async with _image(cli, **source) as (image, _):
        await load_image(cli.terminal, engine, image)


@command.command()
@argument("reference", "Where the image goes.", metavar="REGISTRY/NAME:TAG")
@together(
    "tool",
    find_tool,
    option("--tool", "skopeo or crane; by default the first that is here.", metavar="COMMAND"),
)
@_source("pushed")
@flag("--insecure-registry", "The registry has no TLS, or a certificate that nobody knows.")
@with_session(when=_is_downloaded)
async def push(
    cli: Invocation, reference: str, tool: str, source: dict[str, Any], insecure_registry: bool
) -> None:
    """Download the latest image, verify it, and push it to a registry. It needs no container engine.

    The credentials are those that skopeo or crane know (skopeo login, docker login). Done means: the image that
    the registry has then has the Docker image id that the service names.
    """
    async with _image(cli, **source) as (image, image_id):
        pushed = await push_image(cli.terminal, tool, image, reference, insecure=insecure_registry)
        if image_id is None:
            cli.terminal.say("nobody says what the Docker image id should be: it was not compared")
        elif pushed.removeprefix("sha256:") != image_id.removeprefix("sha256:"):
            raise Failure(f"{reference} has the image {pushed} and should have {image_id}", ExitCode.DOWNLOAD)
        cli.terminal.write(f"{reference} {pushed}")
