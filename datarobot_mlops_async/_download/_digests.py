"""SHA-256 digests as servers and users write them. Pure functions."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def _dictionary(value: str) -> str | None:
    match = _SHA256_MEMBER.search(value)
    return _base64(match[1]) if match else None


def _base64(value: str) -> str | None:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 32 else None
