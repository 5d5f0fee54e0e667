"""Checking a file again, later and elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from datarobot_mlops_async._download._checksums import checksums_beside, read_checksums
from datarobot_mlops_async._download._digests import digest_file
from datarobot_mlops_async._download._progress import Reporter
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from datarobot_mlops_async._download._digests import FileDigest
    from datarobot_mlops_async._download._expectation import Expectation
    from datarobot_mlops_async._download._results import Progress


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
    """Check a file; `verify_file` says how.

    Args:
        path: The file.
        expectation: What the service says of it; ``None`` to ask what is beside the file.
        checksums: A sidecar or manifest to go by.
        expected_sha256: What the caller expects.
        on_progress: Called in the event loop, at most ten times a second.
    """
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

        def tell(digest: FileDigest) -> None:
            reporter.update(fetched=digest.size, verified=digest.size, total=expectation.size, connections=0)

        digest = await digest_file(path, tell)
        reporter.finish(digest.size)
    return VerifiedFile(
        path=path,
        size=digest.size,
        sha256=digest.hexdigest(),
        docker_image_id=expectation.docker_image_id,
        elapsed=reporter.elapsed,
        verified_by=expectation.check(size=digest.size, sha256=digest.hexdigest()),
    )
