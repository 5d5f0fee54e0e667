"""What is written beside an artifact, and checking a file again by it, later and elsewhere.

The sidecar is what `sha256sum` writes and ``sha256sum -c`` reads. The manifest is a small JSON object that also says
what the file is. Neither holds an address or a token.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from datetime import UTC, datetime
from io import FileIO
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from datarobot_mlops_async import __version__
from datarobot_mlops_async._download._disk import flags, replace_file, system_errors
from datarobot_mlops_async._download._expectation import Expectation, normalize_sha256
from datarobot_mlops_async._download._results import Reporter
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from datarobot_mlops_async._download._results import DownloadResult, Progress

_FORMAT = "datarobot-mlops-artifact"
_LIMIT = 4 * 1024 * 1024
# `sha256sum`, with one character for text or binary; and what BSD's, or its option --tag, writes.
_LINE = re.compile(rb"(?P<escaped>\\?)(?P<digest>[0-9A-Fa-f]{64}) [ *](?P<name>.+)")
_TAGGED = re.compile(rb"(?P<escaped>\\?)SHA256 \((?P<name>.+)\) = (?P<digest>[0-9A-Fa-f]{64})")
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}
_READ = 1024 * 1024
_SLICE = 0.1


def sidecar_path(path: Path) -> Path:
    """Return where a file's sidecar is: ``NAME.sha256`` beside it."""
    return path.with_name(f"{path.name}.sha256")


def manifest_path(path: Path) -> Path:
    """Return where a file's manifest is: ``NAME.manifest.json`` beside it."""
    return path.with_name(f"{path.name}.manifest.json")


def write_beside(path: Path, result: DownloadResult, kind: str, *, sidecar: bool, manifest: bool) -> None:
    """Write the sidecar and the manifest of a verified download, as far as they are asked for.

    Raises:
        DestinationError: The system refuses one.
    """
    if sidecar:
        _write(sidecar_path(path), _sidecar(path, result.sha256))
    if manifest:
        _write(manifest_path(path), _manifest(path, result, kind))


def _sidecar(path: Path, sha256: str) -> bytes:
    name = os.fsencode(path.name)
    escaped = re.sub(rb"[\\\n\r]", lambda match: _ESCAPES[match[0]], name)
    mark = b"\\" if escaped != name else b""
    return b"%s%s  %s\n" % (mark, sha256.encode(), escaped)


def _manifest(path: Path, result: DownloadResult, kind: str) -> bytes:
    content = {
        "format": _FORMAT,
        "format_version": 1,
        "file": path.name,
        "kind": kind,
        "size": result.size,
        "sha256": result.sha256,
        "docker_image_id": result.docker_image_id,
        "version": result.version,
        "verified_by": result.verified_by,
        "verified_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "library": f"datarobot-mlops-async {__version__}",
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _write(path: Path, content: bytes) -> None:
    with system_errors(path, required=len(content)):
        replace_file(path, content, durable=True)


def read_checksums(paths: list[Path], filename: str) -> Expectation:
    """Read all that sidecars and manifests say of a file.

    Args:
        paths: Where they are; which is which, their content tells.
        filename: The file's name: a sidecar may list several. With one alone, the file may have been renamed.

    Raises:
        DownloadError: One is neither, or does not speak of that file.
        FileError: One cannot be read.
    """
    found = [_read(path, filename) for path in paths]
    return Expectation(
        filename=filename,
        size=next((each.size for each in found if each.size is not None), None),
        offered={source: digest for each in found for source, digest in each.offered.items()},
        docker_image_id=next((each.docker_image_id for each in found if each.docker_image_id), None),
    )


def _read(path: Path, filename: str) -> Expectation:
    with system_errors(path, reading=True), path.open("rb") as file:
        content = file.read(_LIMIT)
    if content.lstrip()[:1] == b"{":
        return _read_manifest(path, content)
    listed = _read_sidecar(content)
    wanted = os.fsencode(filename)
    digest = next(iter(listed.values())) if len(listed) == 1 else listed.get(wanted)
    if digest is None:
        what = (
            f"does not list {filename}" if listed else "is neither a list of SHA-256 digests nor a manifest"
        )
        raise DownloadError(f"{path} {what}", destination=path)
    return Expectation(filename=filename, offered={path.name: digest})


def _read_sidecar(content: bytes) -> Mapping[bytes, str]:
    found = {}
    for line in content.split(b"\n"):
        match = _LINE.fullmatch(line.rstrip(b"\r")) or _TAGGED.fullmatch(line.rstrip(b"\r"))
        if match is not None:
            name = match["name"]
            if match["escaped"]:
                name = re.sub(rb"\\[\\nr]", lambda each: _UNESCAPES[each[0]], name)
            found[os.path.basename(name)] = match["digest"].decode().lower()  # noqa: PTH119 - bytes
    return found


def _read_manifest(path: Path, content: bytes) -> Expectation:
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        data: Any = json.loads(content)
        size, image_id = data["size"], data.get("docker_image_id")
        if (
            data["format"] == _FORMAT
            and type(size) is int
            and (image_id is None or (isinstance(image_id, str) and image_id.isprintable()))
        ):
            return Expectation(
                filename=path.name.removesuffix(".manifest.json"),
                size=size,
                offered={path.name: normalize_sha256(data["sha256"])},
                docker_image_id=image_id,
            )
    raise DownloadError(f"{path} is no manifest of an artifact", destination=path)


def checksums_beside(path: Path) -> list[Path]:
    """Return the sidecar and the manifest of a file, as far as they are there."""
    return [each for each in (sidecar_path(path), manifest_path(path)) if each.is_file()]


def _hash(path: Path) -> Generator[tuple[int, str]]:
    """Read and hash a file, and give how much and its SHA-256 every tenth of a second and at the end."""
    sha256, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(_READ))
    # A pipe in the file's place is not waited for.
    with FileIO(path, opener=lambda name, mode: os.open(name, mode | flags("O_NONBLOCK"))) as file:
        until = time.monotonic() + _SLICE
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            size += count
            if time.monotonic() >= until:
                yield size, sha256.hexdigest()
                until = time.monotonic() + _SLICE
    yield size, sha256.hexdigest()


async def digest_file(
    path: Path, tell: Callable[[int], None] = lambda _: None, *, reading: bool = True
) -> tuple[int, str]:
    """Hash a file in threads, at full speed, and return its size and SHA-256.

    Args:
        tell: Called in the event loop with the bytes so far, every tenth of a second.
        reading: Whether reading it is all there is to do, or it is to be written, too.

    Raises:
        FileError: It cannot be read; a `DestinationError` if it is to be written.
    """
    found = (0, "")
    with contextlib.closing(_hash(path)) as slices:
        while True:
            with system_errors(path, reading=reading):
                step = await run_interruptible(lambda: next(slices, None))
            if step is None:
                return found
            found = step
            tell(found[0])


@frozen(kw_only=True)
class VerifiedFile:
    """A file whose bytes are the promised ones.

    Attributes:
        path: Where it is.
        size: Bytes.
        sha256: SHA-256 of the bytes, computed, in lower-case hexadecimal.
        docker_image_id: Docker's id of the image, as the manifest or the service says; ``None`` if unknown.
        elapsed: Seconds.
        verified_by: What the digest was compared with: ``expected_sha256``, ``metadata`` (the service's) or the
            names of the sidecar and the manifest.
    """

    path: Path
    size: int
    sha256: str
    docker_image_id: str | None
    elapsed: float
    verified_by: tuple[str, ...]


async def verify(
    path: Path,
    expectation: Expectation | None,
    *,
    checksums: Path | None,
    expected_sha256: str | None,
    on_progress: Callable[[Progress], object] | None,
) -> VerifiedFile:
    """Check a file; `verify_file` says how. Without an expectation what is beside the file is asked."""
    if expectation is None:
        beside = checksums is None and expected_sha256 is None
        expectation = await run_interruptible(
            lambda: read_checksums(
                checksums_beside(path) if beside else [checksums] if checksums else [], path.name
            )
        )
    expectation = evolve(expectation, filename=path.name, expected_sha256=expected_sha256).normalized()
    if expectation.digest is None:
        raise DownloadError(
            f"nobody says what {path} should be: there is no sidecar or manifest beside it", destination=path
        )

    with Reporter(on_progress) as reporter:

        def tell(size: int) -> None:
            reporter.update(fetched=size, verified=size, total=expectation.size, connections=0)

        size, sha256 = await digest_file(path, tell)
        reporter.finish(size)
    return VerifiedFile(
        path=path,
        size=size,
        sha256=sha256,
        docker_image_id=expectation.docker_image_id,
        elapsed=reporter.elapsed,
        verified_by=expectation.check(size=size, sha256=sha256),
    )
