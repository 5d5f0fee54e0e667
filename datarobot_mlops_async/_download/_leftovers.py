"""What earlier downloads left beside a destination: found, checked, and locked where nobody else works on it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from datarobot_mlops_async._download._disk import is_at, open_own
from datarobot_mlops_async._download._resume_state import ResumeState, read_state, remove_state
from datarobot_mlops_async._locks import try_lock, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Whoever holds a directory for longer is none of ours, or stopped: nothing but double work depends on this lock.
_TRIES = 100
_PAUSE = 0.01
_PARTIAL = re.compile(r"[^.]+\.part")
_STATE = re.compile(r"(?P<id>[0-9a-f]{24})\.json(\.[0-9a-f]{8})?")


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
