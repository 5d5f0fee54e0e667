"""What lies in the object storage."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

from attrs import frozen

from ._content import Content
from ._drawing import Json, timestamp

if TYPE_CHECKING:
    from datetime import datetime


@frozen(kw_only=True)
class StoredObject:
    """One version of one object: its bytes and the headers that identify them."""

    content: Content
    filename: str
    content_type: str
    modified: datetime

    @property
    def etag(self) -> str:
        """The strong validator, quotes included."""
        return f'"{self.content.etag}"'

    @property
    def last_modified(self) -> str:
        """The time of the last change as an HTTP date."""
        return format_datetime(self.modified.replace(microsecond=0), usegmt=True)

    def headers(self, length: int) -> dict[str, str]:
        """Return the headers of an answer that carries `length` bytes of the object."""
        return {
            "content-length": str(length),
            "content-disposition": f'attachment; filename="{self.filename}"',
            "accept-ranges": "bytes",
            "etag": self.etag,
            "last-modified": self.last_modified,
        }


@frozen(kw_only=True)
class Image:
    """A release of the portable prediction server's Docker image."""

    stored: StoredObject
    release: int

    @property
    def key(self) -> str:
        """Its path in the storage."""
        return f"/pps-images/{self.stored.filename}"

    def metadata(self, sha256: str) -> Json:
        """Return what the metadata route answers, given the digest of the bytes."""
        image_id = f"sha256:{self.stored.content.etag * 2}"
        return {
            "baseImageId": self.stored.content.etag[::-1][:12],
            "created": timestamp(self.stored.modified),
            "datarobotRuntimeImageTag": f"11.{self.release}.0",
            "dockerImageId": image_id,
            "filename": self.stored.filename,
            "hash": sha256,
            "hashAlgorithm": "SHA256",
            "imageSize": self.stored.content.size,
            "shortDockerImageId": image_id[7:19],
        }


def draw_image(size: int, *, seed: int, release: int, modified: datetime) -> Image:
    """Return the image of a release."""
    stored = StoredObject(
        content=Content(size, seed),
        filename=f"datarobot-portable-prediction-api-11.{release}.0-r{seed}.tar.gz",
        content_type="application/gzip",
        modified=modified,
    )
    return Image(stored=stored, release=release)
