"""What was promised of an artifact, by whom, and whether the bytes that came keep it. Pure decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from datarobot_mlops_async._download._digests import normalize_sha256, offered_digests
from datarobot_mlops_async._download._results import ArtifactKind
from datarobot_mlops_async.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._download._results import Expectation

_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


@frozen(kw_only=True)
class Promise:
    """Sizes and digests by who named them.

    Attributes:
        kind: What the bytes should be.
        filename: For messages.
        digests: SHA-256 in lower-case hexadecimal by source.
        size: Bytes, from the metadata; ``None`` if unknown.
    """

    kind: ArtifactKind
    filename: str | None
    digests: Mapping[str, str] = field(factory=dict)
    size: int | None = None

    @classmethod
    def made(
        cls, kind: ArtifactKind, filename: str | None, metadata: Expectation, expected_sha256: str | None
    ) -> Promise:
        """Collect what the metadata and the caller say.

        Raises:
            ValueError: A digest is not a SHA-256.
        """
        digests = {}
        if expected_sha256 is not None:
            digests["expected_sha256"] = normalize_sha256(expected_sha256)
        if metadata.sha256:
            digests["metadata"] = normalize_sha256(metadata.sha256)
        return cls(kind=kind, filename=filename, digests=digests, size=metadata.size)

    def with_headers(self, headers: Mapping[str, str], *, whole: bool) -> Promise:
        """Add the digests that an answer's headers offer."""
        return evolve(self, digests={**offered_digests(headers, whole=whole), **self.digests})

    @property
    def sha256(self) -> str | None:
        """The digest from the most trusted source; ``None`` when nobody named one."""
        for source in ("expected_sha256", "metadata"):
            if source in self.digests:
                return self.digests[source]
        return next(iter(self.digests.values()), None)

    @property
    def contradicts_itself(self) -> bool:
        """Whether caller and metadata name different digests."""
        pair = {self.digests.get(source) for source in ("expected_sha256", "metadata")} - {None}
        return len(pair) > 1

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
        """Return the error for a promise that was not kept."""
        by = f" ({source})" if source else ""
        return IntegrityError(
            f"{self.filename or 'the artifact'}: expected {expected}{by}, got {actual}",
            expected=expected,
            actual=actual,
            size=size,
            filename=self.filename,
        )
