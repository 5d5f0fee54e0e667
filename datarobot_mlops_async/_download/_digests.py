"""SHA-256 digests as servers and users write them, and of files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import time
from io import FileIO
from typing import TYPE_CHECKING

from datarobot_mlops_async._download._disk import flags, system_errors
from datarobot_mlops_async._threads import run_interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_READ = 1024 * 1024
_SLICE = 0.1
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
# RFC 9530 over RFC 8941: a dictionary of byte sequences, `sha-256=:base64:`.
_SHA256_MEMBER = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/]{43}=):", re.IGNORECASE)


def normalize_sha256(value: str) -> str:
    """Return a SHA-256 in lower-case hexadecimal.

    Raises:
        ValueError: It is not 64 hexadecimal digits, with or without ``sha256:`` before them.
    """
    text = value.strip().lower().removeprefix("sha256:")
    if not _HEX.fullmatch(text):
        raise ValueError(f"a SHA-256 has 64 hexadecimal digits, not {value!r}")
    return text


def offered_digests(headers: Mapping[str, str], *, whole: bool) -> dict[str, str]:
    """Return the SHA-256 digests of the whole object that an answer's headers offer, by header.

    Args:
        headers: By lower-case name.
        whole: Whether the answer's body is the whole object. ``Repr-Digest`` always speaks of that,
            ``Content-Digest`` of this body only.
    """
    found = {"repr-digest": _dictionary(headers.get("repr-digest", ""))}
    if whole:
        found["content-digest"] = _dictionary(headers.get("content-digest", ""))
        # A multipart upload's checksum, `...=-5`, is a digest of digests: no base64, so it reads as none.
        found["x-amz-checksum-sha256"] = _base64(headers.get("x-amz-checksum-sha256", "").strip())
    return {header: digest for header, digest in found.items() if digest}


class FileDigest:
    """The SHA-256 of a file, computed bit by bit: nobody waits long for a thread that does it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sha256 = hashlib.sha256()
        self._buffer = memoryview(bytearray(_READ))
        self._file: FileIO | None = None
        self.size = 0
        """Bytes so far."""

    def advance(self) -> bool:
        """Read and hash for a while, and tell whether there is more."""
        if self._file is None:
            # A pipe in the file's place is not waited for.
            self._file = FileIO(
                self._path, opener=lambda path, mode: os.open(path, mode | flags("O_NONBLOCK"))
            )
        until = time.monotonic() + _SLICE
        while count := self._file.readinto(self._buffer):
            self._sha256.update(self._buffer[:count])
            self.size += count
            if time.monotonic() >= until:
                return True
        return False

    def hexdigest(self) -> str:
        """Return the digest in lower-case hexadecimal."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


async def digest_file(
    path: Path, tell: Callable[[FileDigest], None] = lambda _: None, *, reading: bool = True
) -> FileDigest:
    """Hash a file in threads, at full speed.

    Args:
        path: The file.
        tell: Called in the event loop every tenth of a second.
        reading: Whether reading it is all there is to do, or it is to be written, too.

    Raises:
        FileError: It cannot be read; a `DestinationError` if it is to be written.
    """
    digest = FileDigest(path)
    try:
        more = True
        while more:
            with system_errors(path, reading=reading):
                more = await run_interruptible(digest.advance)
            tell(digest)
    finally:
        digest.close()
    return digest


def _dictionary(value: str) -> str | None:
    match = _SHA256_MEMBER.search(value)
    return _base64(match[1]) if match else None


def _base64(value: str) -> str | None:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 32 else None
