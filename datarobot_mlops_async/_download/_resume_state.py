"""What a partial file holds, written beside it, so that another process can go on.

The state claims, and the digest checkpoints in it let the claim be checked: whoever resumes hashes the prefix
again and compares at every checkpoint. A prefix that is torn (power cut), or another object's, is found at the
first checkpoint behind the damage, and only what lies behind the last good one is fetched again.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from datarobot_mlops_async._download._disk import open_own, replace_file
from datarobot_mlops_async._download._ranges import Validators

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 2
# A resume state has one entry for each 64 MiB at most: 14 GB make 15 KB.
_SPACING = 64 * 1024 * 1024
_LIMIT = 4 * 1024 * 1024


@frozen(kw_only=True)
class Checkpoint:
    """A digest on the way.

    Attributes:
        offset: How many bytes it covers, from the first.
        sha256: Their SHA-256 in lower-case hexadecimal.
    """

    offset: int
    sha256: str


@frozen(kw_only=True)
class ResumeState:
    """What is known of a partial file.

    Attributes:
        source: Which object of which service it is: `source_of` its address; empty in a new file.
        sha256: SHA-256 that the whole object should have; ``None`` if nobody said.
        validators: The server's, for ``If-Range``.
        checkpoints: Digests of prefixes, in ascending order; the last one covers all that counts.
    """

    source: str = ""
    sha256: str | None = None
    validators: Validators = field(factory=Validators)
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def verified(self) -> int:
        """How many bytes from the first are in the file and were hashed."""
        return self.checkpoints[-1].offset if self.checkpoints else 0

    @property
    def is_complete(self) -> bool:
        """Whether the file holds the whole object."""
        return self.validators.size is not None and self.verified == self.validators.size

    def with_checkpoint(self, checkpoint: Checkpoint) -> ResumeState:
        """Add a digest, and drop the previous one where two lie close together."""
        kept = self.checkpoints
        before = kept[-2].offset if len(kept) > 1 else 0
        if kept and checkpoint.offset - before < _SPACING:
            kept = kept[:-1]
        return evolve(self, checkpoints=(*kept, checkpoint))

    def cut_to(self, offset: int) -> ResumeState:
        """Forget the checkpoints beyond an offset."""
        return evolve(self, checkpoints=tuple(each for each in self.checkpoints if each.offset <= offset))

    def to_json(self) -> str:
        """Return the state as text."""
        return json.dumps(
            {
                "version": _VERSION,
                "source": self.source,
                "sha256": self.sha256,
                "etag": self.validators.etag,
                "last_modified": self.validators.last_modified,
                "size": self.validators.size,
                "checkpoints": [[each.offset, each.sha256] for each in self.checkpoints],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ResumeState | None:
        """Read a state; ``None`` when it is none of ours, or damaged."""
        try:
            data: Any = json.loads(text)
            if data["version"] != _VERSION:
                return None
            state = cls(
                source=_text(data["source"]) or "",
                sha256=_text(data["sha256"]),
                validators=Validators(
                    etag=_text(data["etag"]),
                    last_modified=_text(data["last_modified"]),
                    size=_size(data["size"]),
                ),
                checkpoints=tuple(
                    Checkpoint(offset=int(offset), sha256=str(digest))
                    for offset, digest in data["checkpoints"]
                ),
            )
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None
        offsets = [0, *(each.offset for each in state.checkpoints)]
        size = state.validators.size
        ascending = all(one < other for one, other in itertools.pairwise(offsets))
        return state if ascending and (size is None or offsets[-1] <= size) else None


def _text(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise ValueError(value)
    return value


def _size(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(value)
    return value


def source_of(url: str) -> str:
    """Return what stands for an object's address: a digest, since an address may be nobody's business."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def read_state(path: Path, owner: int) -> ResumeState | None:
    """Read the state at a path; ``None`` when there is none that makes sense, or somebody else's.

    Args:
        path: Where it is.
        owner: The user id that it must have.
    """
    descriptor = open_own(path, owner)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return ResumeState.from_json(file.read(_LIMIT).decode("utf-8", "replace"))


def write_state(path: Path, state: ResumeState) -> None:
    """Replace the state at a path in one step: a reader sees the old one or the new one."""
    replace_file(path, state.to_json().encode(), durable=False)


def remove_state(path: Path) -> None:
    """Remove a state, and what processes that were killed while they replaced it have left."""
    for each in (path, *path.parent.glob(f"{glob.escape(path.name)}.*")):
        each.unlink(missing_ok=True)
