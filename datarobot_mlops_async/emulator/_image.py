"""The portable prediction server's image: an archive as `docker save` and gzip make it.

Deflate's stored blocks make every byte's place known without compressing anything: a head, blocks of the
layer that repeat themselves, and a tail with what names the layer by its digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import struct
import tarfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ._objects import Content, FileContent, Part, StoredObject, check_going_on, drawn_content, etag_of, whole
from ._samples import Json, seeded, timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime
    from pathlib import Path

    from ._http import Buffer

_TAR = 512
# The longest stored block of whole blocks of tar.
_STORED = 127 * _TAR
_FRAMED = _STORED + 5
# With a prime number of blocks, no two pieces of a download that start at multiples of one piece size
# are alike.
_BLOCKS = 61
_LAYER_NAME = "layer.tar"
_FILE_NAME = "opt/datarobot/model.bin"


def _frame(data: bytes, *, last: bool = False) -> bytes:
    return struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data


@lru_cache(maxsize=4)
def _block(seed: int) -> memoryview:
    drawn = seeded(f"image {seed}")
    return memoryview(b"".join(_frame(drawn.randbytes(_STORED)) for _ in range(_BLOCKS)))


def _member(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _file(name: str, content: bytes) -> bytes:
    return _member(name, len(content)) + content + bytes(-len(content) % _TAR)


class ImageArchive(Content):
    """A gzipped tar archive of an exact size that `docker load` takes, drawn from a seed."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__(size, etag_of(seed, size), self._make_parts)
        self._seed = seed
        self._blocks, spare = divmod(size - SMALLEST, _FRAMED)
        payload = self._blocks * _STORED
        self._layer_size = _TAR + payload + 2 * _TAR
        self._inner_head = _member(_FILE_NAME, payload)
        self._outer_head = _member(_LAYER_NAME, self._layer_size)
        # What no block fills is an extra field of the head.
        extra = struct.pack("<H2sH", spare + 4, b"DR", spare) + seeded(seed).randbytes(spare)
        gzip_head = struct.pack("<BBBBLBB", 0x1F, 0x8B, 8, 4, seed & 0xFFFFFFFF, 0, 255)
        self._head = gzip_head + extra + _frame(self._outer_head + self._inner_head)
        self.tail = len(self._head) + self._blocks * _FRAMED
        self._finishing = threading.Lock()
        self._ending = b""
        self._image_id = ""

    def _make_parts(self, stop: int) -> Iterator[Part]:
        block = _block(self._seed)
        yield whole(self._head)
        yield self._blocks * _FRAMED, block, len(block)
        if stop > self.tail:
            self.finish()
            yield whole(self._ending)

    async def stream(self, start: int, stop: int, stopping: threading.Event) -> AsyncIterator[Buffer]:
        if stop > self.tail:
            for view in self.slices(start, self.tail):
                yield view
            await asyncio.to_thread(self.finish, stopping)
            start = max(start, self.tail)
        for view in self.slices(start, stop):
            yield view

    def finish(self, stopping: threading.Event | None = None) -> None:
        """Compute the layer's digest, the checksum and what comes after the layer."""
        with self._finishing:
            if not self._ending:
                layer, checksum = self._measure(stopping)
                self._image_id, plain = _closing(layer.hexdigest(), self._seed)
                checksum = zlib.crc32(plain, checksum)
                length = self._layer_size - _TAR + len(plain)
                self._ending = _frame(plain, last=True) + struct.pack("<LL", checksum, length & 0xFFFFFFFF)

    def _measure(self, stopping: threading.Event | None) -> tuple[Any, int]:
        layer = hashlib.sha256(self._inner_head)
        checksum = zlib.crc32(self._outer_head + self._inner_head)
        block = _block(self._seed)
        for number in range(self._blocks):
            check_going_on(stopping)
            data = block[number % _BLOCKS * _FRAMED + 5 :][:_STORED]
            layer.update(data)
            checksum = zlib.crc32(data, checksum)
        layer.update(bytes(2 * _TAR))
        return layer, checksum

    def _compute_sha256(self, stopping: threading.Event | None) -> str:
        with ThreadPoolExecutor(1) as executor:  # the layer and the archive are hashed side by side
            finished = executor.submit(self.finish, stopping)
            digest = super()._compute_sha256(stopping)
            finished.result()
        return digest

    def image_id(self) -> str:
        self.finish()
        return self._image_id


def _closing(layer: str, seed: int) -> tuple[str, bytes]:
    """Return the image id, and what follows the layer's last byte in the tar archive."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "config": {"Cmd": ["/opt/datarobot/serve"]},
            "created": "2024-01-01T00:00:00Z",
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "datarobot_mlops_async.emulator"}],
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{layer}"], "type": "layers"},
        }
    ).encode()
    image_id = hashlib.sha256(config).hexdigest()
    tag = f"datarobot/portable-prediction-server:r{seed}"
    manifest = [{"Config": f"{image_id}.json", "Layers": [_LAYER_NAME], "RepoTags": [tag]}]
    files = _file(f"{image_id}.json", config) + _file("manifest.json", json.dumps(manifest).encode())
    return image_id, bytes(2 * _TAR) + files + bytes(2 * _TAR)


SMALLEST = 10 + 6 + 5 + 2 * _TAR + 5 + len(_closing("0" * 64, 0)[1]) + 8


@frozen(kw_only=True)
class Image(StoredObject):
    """A release of the portable prediction server's Docker image."""

    content_type: str = "application/gzip"
    seed: int = 0
    release: int = 0

    @property
    def key(self) -> str:
        """Its path in the storage."""
        return f"/pps-images/{self.filename}"

    def metadata(self, stopping: threading.Event) -> Json:
        """Return what the metadata route answers. It takes seconds a GiB: call it in a thread."""
        sha256, image_id = self.content.sha256(stopping), self.content.image_id()
        return {
            "baseImageId": self.content.etag[::-1][:12],
            "created": timestamp(self.modified),
            "datarobotRuntimeImageTag": f"11.{self.release}.0",
            "dockerImageId": f"sha256:{image_id}",
            "filename": self.filename,
            "hash": sha256,
            "hashAlgorithm": "SHA256",
            "imageSize": self.content.size,
            "shortDockerImageId": image_id[:12],
        }


@lru_cache(maxsize=32)
def _image_content(size: int, seed: int) -> Content:
    """Return an archive of this size; what is too small for one is bytes of chance."""
    return drawn_content(size, seed) if size < SMALLEST else ImageArchive(size, seed)


def draw_image(size: int, *, seed: int, release: int, modified: datetime) -> Image:
    """Return the image of a release."""
    return Image(
        content=_image_content(size, seed),
        filename=f"datarobot-portable-prediction-api-11.{release}.0-r{seed}.tar.gz",
        modified=modified,
        seed=seed,
        release=release,
    )


def given_image(path: Path, *, modified: datetime) -> Image:
    """Return an image that is a file."""
    return Image(content=_GivenArchive(path), filename=path.name, modified=modified)


class _GivenArchive(FileContent):
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
