"""What earlier downloads left beside a destination: partial files, and what each says of itself.

The state claims, and the digest checkpoints in it let the claim be checked: whoever resumes hashes the prefix
again and compares at every checkpoint. A prefix that is torn (power cut), or another object's, is found at the
first checkpoint behind the damage, and only what lies behind the last good one is fetched again.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import json
import os
import re
import secrets
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from datarobot_mlops_async._download._disk import is_at, open_own, replace_file
from datarobot_mlops_async._download._probe import Validators
from datarobot_mlops_async._locks import try_lock, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION = 2
# A resume state has one entry for each 64 MiB at most: 14 GB make 15 KB.
_SPACING = 64 * 1024 * 1024
_LIMIT = 4 * 1024 * 1024
# Whoever holds a directory for longer is none of ours, or stopped: nothing but double work depends on this lock.
_TRIES = 100
_PAUSE = 0.01
_PARTIAL = re.compile(r"[^.]+\.part")
_STATE = re.compile(r"(?P<id>[0-9a-f]{24})\.json(\.[0-9a-f]{8})?")


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
    """Read the state at a path; ``None`` when there is none that makes sense, or another user's."""
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


class BusyError(Exception):
    """Another process downloads to the same destination."""


@frozen(kw_only=True)
class Leftover:
    """A partial file that was found.

    Attributes:
        path: Where it is.
        descriptor: It, open; whoever takes the leftover closes it.
        is_locked: Whether it is locked by this process now, so that it can be gone on with.
        state: What it holds; nothing when that is unknown, or more than it can hold.
    """

    path: Path
    descriptor: int
    is_locked: bool
    state: ResumeState

    def close(self) -> None:
        """Leave it to others."""
        unlock(self.descriptor)
        os.close(self.descriptor)


@contextmanager
def leftovers(destination: Path, *, but: Path, owner: int, lock: bool) -> Iterator[list[Leftover]]:
    """Give the partial files of a destination; those that are still in the list at the end are closed.

    Args:
        destination: The file to be.
        but: A partial file that is not to be looked at.
        owner: The user id they must have.
        lock: Whether locks work here; if not, none is locked.

    Raises:
        BusyError: Another process of this host works on one of them.
    """
    found: list[Leftover] = []
    try:
        for path in _partials_of(destination):
            if path != but and (descriptor := open_own(path, owner, write=True)) is not None:
                _look_at(found, path, descriptor, owner, lock=lock and _is_of_this_host(path))
            elif _is_second_name(path, destination):
                remove_partial(path)
        yield found
    finally:
        for each in found:
            each.close()


def _look_at(found: list[Leftover], path: Path, descriptor: int, owner: int, *, lock: bool) -> None:
    locked = try_lock(descriptor) if lock else None
    state = read_state(state_path(path), owner)
    if state is None or os.fstat(descriptor).st_size < state.verified:
        state = ResumeState()
    found.append(Leftover(path=path, descriptor=descriptor, is_locked=bool(locked), state=state))
    if locked is False:
        raise BusyError
    if not is_at(path, descriptor):
        # Its owner has just moved it into place.
        found.pop().close()


def _is_second_name(partial: Path, destination: Path) -> bool:
    """Tell whether a process was killed after it had put a file into place, and before it removed this name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(partial.lstat(), destination.lstat())
    return False


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep other processes from looking for leftovers in a directory at the same time, where it can be locked."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        # Windows opens no directories, and not everyone who may write to one may read it.
        yield
        return
    try:
        for _ in range(_TRIES):
            if try_lock(descriptor) is not False:
                break
            time.sleep(_PAUSE)
        yield
    finally:
        unlock(descriptor)
        os.close(descriptor)


def _partials_of(destination: Path) -> list[Path]:
    stem = f".{_stem(destination)}."
    # Not everyone who may write to a directory may read it.
    with contextlib.suppress(PermissionError), os.scandir(destination.parent) as entries:
        names = {each.name for each in entries if each.name.startswith(stem)}
        for name in names:
            match = _STATE.fullmatch(name, len(stem))
            if match is not None and f"{stem}{match['id']}.part" not in names:
                # A process was killed between moving its file and this one's end.
                destination.with_name(name).unlink(missing_ok=True)
        return [destination.with_name(name) for name in sorted(names) if _PARTIAL.fullmatch(name, len(stem))]
    return []


def new_partial_path(destination: Path) -> Path:
    """Return a name for a partial file that nobody can know before."""
    return destination.with_name(f".{_stem(destination)}.{_host()}{secrets.token_hex(8)}.part")


def state_path(partial: Path) -> Path:
    """Return the name of a partial file's state."""
    return partial.with_suffix(".json")


def remove_partial(partial: Path) -> None:
    """Remove a partial file and its state."""
    # Windows keeps what another process has open.
    with contextlib.suppress(PermissionError):
        partial.unlink(missing_ok=True)
        remove_state(state_path(partial))


def _stem(destination: Path) -> str:
    name = destination.name
    # A partial's name and its state's are up to 40 bytes longer, and some file systems take only 143.
    return name if len(os.fsencode(name)) <= 100 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _is_of_this_host(partial: Path) -> bool:
    return partial.suffixes[-2].startswith(f".{_host()}")


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
