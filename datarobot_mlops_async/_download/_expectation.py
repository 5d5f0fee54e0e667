"""What an artifact should be, who said so, and whether the bytes that came are that. Pure decisions."""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from datarobot_mlops_async.errors import IntegrityError

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


_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


class ArtifactKind(StrEnum):
    """What the bytes should be.

    ``JAR`` is checked: it must be a ZIP archive, which an HTML error page with status 200 is not.
    """

    IMAGE = "image"
    JAR = "jar"
    TEXT = "text"
    FILE = "file"


@frozen(kw_only=True)
class Expectation:
    """What an artifact should be.

    Attributes:
        size: Bytes, from the metadata; ``None`` if unknown.
        sha256: SHA-256 in hexadecimal, from the metadata; ``None`` if unknown.
        expected_sha256: The same from the caller.
        offered: The same from response headers, by header.
        kind: What the bytes should be.
        filename: For messages.
        docker_image_id: Docker's id of an image, from the metadata; ``None`` if unknown.
        version: An image's version, from the metadata; ``None`` if unknown.
    """

    size: int | None = None
    sha256: str | None = None
    expected_sha256: str | None = None
    offered: Mapping[str, str] = field(factory=dict)
    kind: ArtifactKind = ArtifactKind.FILE
    filename: str | None = None
    docker_image_id: str | None = None
    version: str | None = None

    def normalized(self) -> Expectation:
        """Return it with digests in lower case.

        Raises:
            ValueError: The caller's digest is not a SHA-256.
            IntegrityError: The metadata's is not.
        """
        expected = normalize_sha256(self.expected_sha256) if self.expected_sha256 is not None else None
        try:
            sha256 = normalize_sha256(self.sha256) if self.sha256 else None
        except ValueError:
            raise self.broken(
                expected="a SHA-256 in the metadata", actual=repr(self.sha256), size=0
            ) from None
        return evolve(self, expected_sha256=expected, sha256=sha256)

    def with_headers(self, headers: Mapping[str, str], *, whole: bool) -> Expectation:
        """Add the digests that an answer's headers offer."""
        return evolve(self, offered=offered_digests(headers, whole=whole))

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by who named it, the most trusted source first."""
        named = {"expected_sha256": self.expected_sha256, "metadata": self.sha256, **self.offered}
        return {source: digest for source, digest in named.items() if digest}

    @property
    def digest(self) -> str | None:
        """The digest from the most trusted source; ``None`` when nobody named one."""
        return next(iter(self.digests.values()), None)

    @property
    def contradicts_itself(self) -> bool:
        """Whether caller and metadata name different digests."""
        return len({self.expected_sha256, self.sha256} - {None}) > 1

    def check_total(self, total: int | None) -> None:
        """Check the size that the server announces."""
        if total is not None and self.size is not None and total != self.size:
            raise self.broken(expected=f"{self.size} bytes", actual=f"{total} bytes", size=0)

    def check_start(self, start: bytes) -> None:
        """Check the first four bytes."""
        if self.kind is ArtifactKind.JAR and not start.startswith(_ZIP_STARTS):
            raise self.broken(
                expected="a ZIP archive", actual=f"bytes that start with {start!r}", size=len(start)
            )

    def check(self, *, size: int, sha256: str) -> tuple[str, ...]:
        """Check all of it, and return the sources that agree."""
        if self.size is not None and size != self.size:
            raise self.broken(expected=f"{self.size} bytes", actual=f"{size} bytes", size=size)
        for source, digest in self.digests.items():
            if digest != sha256:
                raise self.broken(expected=digest, actual=sha256, size=size, source=source)
        return tuple(self.digests)

    def broken(self, *, expected: str, actual: str, size: int, source: str | None = None) -> IntegrityError:
        """Return the error for an expectation that was not met."""
        by = f" ({source})" if source else ""
        return IntegrityError(
            f"{self.filename or 'the artifact'}: expected {expected}{by}, got {actual}",
            expected=expected,
            actual=actual,
            size=size,
            filename=self.filename,
        )
