"""What a download tells its caller. Re-exported by `datarobot_mlops_async.artifacts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from pathlib import Path


@frozen(kw_only=True)
class Progress:
    """How far a download is. Counts never go down.

    Attributes:
        fetched: Bytes of the artifact that are here: on disk, or in the window of a stream.
        verified: Bytes, from the first, that were hashed (and, with a file, written).
        total: The artifact's size in bytes; ``None`` if the server does not say.
        rate: Bytes a second that arrived over the last seconds.
        elapsed: Seconds since the download began.
        connections: Connections in use.
        resumed_from: Bytes that an earlier, interrupted download had left.
        is_waiting: Whether another process downloads to the same destination, and is waited for.
    """

    fetched: int
    verified: int
    total: int | None
    rate: float
    elapsed: float
    connections: int
    resumed_from: int = 0
    is_waiting: bool = False


@frozen(kw_only=True)
class DownloadResult:
    """A verified download.

    Attributes:
        path: Where the file is; ``None`` when the bytes went to a pipe or a file object.
        size: Bytes.
        sha256: SHA-256 of the bytes, computed, in lower-case hexadecimal.
        resumed_from: Bytes that an earlier, interrupted download had left.
        elapsed: Seconds.
        bytes_fetched: Bytes that came over the network this time, repeated ones included.
        already_present: Whether the destination had the right bytes before, and was left alone.
        verified_by: What the digest was compared with: ``expected_sha256``, ``metadata`` or names of
            response headers. Empty when nobody said what it should be: then size and transfer were checked.
        docker_image_id: Docker's id of an image, from the metadata; ``None`` if unknown.
        version: An image's version, from the metadata; ``None`` if unknown.
    """

    path: Path | None
    size: int
    sha256: str
    resumed_from: int
    elapsed: float
    bytes_fetched: int = 0
    already_present: bool = False
    verified_by: tuple[str, ...] = field(default=())
    docker_image_id: str | None = None
    version: str | None = None
