"""SHA-256 digests as servers and users write them, and of files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

_READ = 1024 * 1024
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


def digest_of(path: Path, stop: threading.Event) -> str | None:
    """Return the SHA-256 of a file in lower-case hexadecimal; ``None`` when stopped meanwhile."""
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(_READ))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if stop.is_set():
                return None
            sha256.update(buffer[:count])
    return sha256.hexdigest()


def _dictionary(value: str) -> str | None:
    match = _SHA256_MEMBER.search(value)
    return _base64(match[1]) if match else None


def _base64(value: str) -> str | None:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 32 else None
