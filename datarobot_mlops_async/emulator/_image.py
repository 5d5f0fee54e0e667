"""The portable prediction server's image: an archive as `docker save` and gzip make it, drawn from a seed.

What `docker load` wants is at the end. Before it lies a file as large as the image is to be, in members of
gzip that repeat themselves, so that every byte's place is known without compressing anything.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

from ._http import encode
from ._objects import Content, FileContent, StoredObject, drawn_content, etag_of, whole
from ._samples import Json, fill, seeded, timestamp

if TYPE_CHECKING:
    import threading
    from datetime import datetime
    from pathlib import Path

_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_GZIP_WITH_EXTRA = b"\x1f\x8b\x08\4\0\0\0\0\0\xff"
_EMPTY = b"\3\0" + bytes(8)
# What one stored block of deflate can take, in whole blocks of tar, with room in an extra field's length
# for what is left over.
_STORED = 119 * 512
_MEMBER = _STORED + 23
# With a prime number of members, no two pieces of a download that start at multiples of one piece size
# are alike.
_MEMBERS = 61
# What the archive needs besides: less than this.
_SMALLEST = 4096


def _stored(data: bytes) -> bytes:
    """Return a member of gzip that takes 23 bytes more than its data."""
    frame = struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF)
    return _GZIP + frame + data + struct.pack("<LL", zlib.crc32(data), len(data))


@lru_cache(maxsize=4)
def _block(seed: int) -> memoryview:
    drawn = seeded(f"image {seed}")
    return memoryview(b"".join(_stored(drawn.randbytes(_STORED)) for _ in range(_MEMBERS)))


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@lru_cache(maxsize=32)
def _archive(size: int, seed: int) -> Content:
    """Return an archive of exactly this size; what is too small for one is bytes of chance."""
    if size < _SMALLEST:
        return drawn_content(size, seed)
    count = (size - _SMALLEST) // _MEMBER
    padding = tarfile.TarInfo("padding.bin")
    padding.size = count * _STORED
    image_id, files = _describe(seed)
    front = gzip.compress(padding.tobuf(tarfile.GNU_FORMAT), mtime=0)
    back = gzip.compress(_tar(files), mtime=0)
    spare = size - len(front) - count * _MEMBER - len(back) - len(_GZIP_WITH_EXTRA) - 6 - len(_EMPTY)
    extra = struct.pack("<H2sH", spare + 4, b"DR", spare) + seeded(seed).randbytes(spare)
    head = _GZIP_WITH_EXTRA + extra + _EMPTY + front
    return Content(
        size,
        etag_of(seed, size),
        lambda: (whole(head), (count * _MEMBER, _block(seed), _MEMBERS * _MEMBER), whole(back)),
        image_id,
    )


def _describe(seed: int) -> tuple[str, dict[str, bytes]]:
    """Return the image's id, and the files that make an archive this image."""
    layer = _tar({"opt/datarobot/model.bin": seeded(f"model {seed}").randbytes(64)})
    config = encode(fill("imageConfig", diff_id=f"sha256:{hashlib.sha256(layer).hexdigest()}"))
    image_id = hashlib.sha256(config).hexdigest()
    manifest = encode(fill("imageManifest", config=f"{image_id}.json", tag=f"r{seed}"))
    return image_id, {"layer.tar": layer, f"{image_id}.json": config, "manifest.json": manifest}


@frozen(kw_only=True)
class Image(StoredObject):
    """A release of the portable prediction server's Docker image."""

    content_type: str = "application/gzip"
    seed: int = 0
    release: int = 0

    @property
    def key(self) -> str:
        return f"/pps-images/{self.filename}"

    def metadata(self, stopping: threading.Event) -> Json:
        """Return what the metadata route answers. It takes seconds a GiB: call it in a thread."""
        sha256, image_id = self.content.sha256(stopping), self.content.image_id()
        return {
            "baseImageId": self.content.etag[1:13],
            "created": timestamp(self.modified),
            "datarobotRuntimeImageTag": f"11.{self.release}.0",
            "dockerImageId": f"sha256:{image_id}",
            "filename": self.filename,
            "hash": sha256,
            "hashAlgorithm": "SHA256",
            "imageSize": self.content.size,
            "shortDockerImageId": image_id[:12],
        }


def draw_image(size: int, seed: int, release: int, modified: datetime) -> Image:
    return Image(
        content=_archive(size, seed),
        filename=f"datarobot-portable-prediction-api-11.{release}.0-r{seed}.tar.gz",
        modified=modified,
        seed=seed,
        release=release,
    )


class GivenArchive(FileContent):
    """Somebody's own image, from a file."""

    def image_id(self) -> str:
        """Return the digest of the configuration that the archive names; that of the file if it names none."""
        return _read_image_id(self.path, self.etag) or self.sha256()


@lru_cache(maxsize=32)
def _read_image_id(path: Path, _etag: str) -> str | None:
    try:
        with tarfile.open(path) as archive:
            manifest = json.load(archive.extractfile("manifest.json") or io.BytesIO())
            config = archive.extractfile(manifest[0]["Config"]) or io.BytesIO()
            return hashlib.sha256(config.read()).hexdigest()
    except (tarfile.TarError, LookupError, ValueError, TypeError, OSError, zlib.error):
        return None
