"""The partial file beside a destination: found, locked, filled, moved into place.

A process writes only to a file that it created, or that its own host left behind and a lock that was seen to work
now guards. Whatever else lies there (another host's, or where locks do nothing) is copied from, not written to:
so two processes on one destination may do the same work twice, and can never write into one another's file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import socket
from typing import TYPE_CHECKING

from datarobot_mlops_async._download._resume_state import ResumeState, read_state, remove_state, write_state
from datarobot_mlops_async._locks import lock_holds, try_lock, unlock
from datarobot_mlops_async.errors import DestinationExistsError, DownloadError, InsufficientSpaceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Partial:
    """An open partial file that no other process writes to."""

    def __init__(self, path: Path, descriptor: int, destination: Path) -> None:
        self._path = path
        self._descriptor = descriptor
        self._destination = destination
        self._source: int | None = None
        self._source_path: Path | None = None
        self.state = ResumeState()
        """What was found: how much of the object is here, or in the file it is copied from."""

    def read_found(self, view: memoryview, offset: int) -> int:
        """Read what was found at an offset, and bring it here when it is in another file."""
        count = _read_at(self._descriptor if self._source is None else self._source, view, offset)
        if self._source is not None:
            self.write_at(view[:count], offset)
        return count

    def read_at(self, view: memoryview, offset: int) -> int:
        """Read what was written at an offset."""
        return _read_at(self._descriptor, view, offset)

    def write_at(self, view: memoryview, offset: int) -> None:
        """Write bytes at an offset.

        Raises:
            InsufficientSpaceError: The disk is full.
        """
        left = view
        try:
            while left:
                count = os.pwrite(self._descriptor, left, offset)
                left, offset = left[count:], offset + count
        except OSError as error:
            if error.errno in _FULL:
                raise self._no_space(len(left)) from error
            raise

    def require_space(self, size: int) -> None:
        """Check that the rest of an object of this size fits on the disk.

        Raises:
            InsufficientSpaceError: It does not.
        """
        blocks = getattr(os.fstat(self._descriptor), "st_blocks", 0)
        required = size - min(size, blocks * 512)
        if required > self._available():
            raise self._no_space(required)

    def record(self, state: ResumeState) -> None:
        """Write the state."""
        try:
            write_state(_state_path(self._path), state)
        except OSError as error:
            if error.errno in _FULL:
                raise self._no_space(len(state.to_json())) from error
            raise

    def restart(self) -> None:
        """Forget everything that is here."""
        self._forget_source()
        self.state = ResumeState()
        os.ftruncate(self._descriptor, 0)
        remove_state(_state_path(self._path))

    def cut_to(self, good: int) -> None:
        """Keep only the first bytes of what was found, which are here by now."""
        self._forget_source()
        self.state = self.state.cut_to(good)
        self.record(self.state)

    def commit(self, size: int, *, overwrite: bool) -> None:
        """Move the file, which holds the verified object, into place; durable when this returns.

        Raises:
            DestinationExistsError: Something is there and ``overwrite`` is false.
        """
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)
        self._require_ours()
        if overwrite:
            self._path.replace(self._destination)
        else:
            self._move_without_replacing()
        _sync_directory(self._destination.parent)
        remove_state(_state_path(self._path))
        if self._source_path is not None:
            _remove(self._source_path)

    def discard(self) -> None:
        """Remove the partial file and its resume state: neither is to be resumed."""
        _remove(self._path)
        if self._source_path is not None:
            # Its owner may be alive; without the state nobody else goes on with it.
            remove_state(_state_path(self._source_path))

    def close(self) -> None:
        """Close the file and with it the lock. An empty one is removed."""
        self._forget_source(keep_path=True)
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_size == 0 and self._path.exists():
                self._require_ours()
                _remove(self._path)
        unlock(self._descriptor)
        os.close(self._descriptor)

    def adopt_from(self, path: Path, state: ResumeState) -> None:
        """Take what another file holds as found, to be copied from there."""
        self._source = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._source_path = path
        self.state = state

    def _forget_source(self, *, keep_path: bool = False) -> None:
        if self._source is not None:
            os.close(self._source)
            self._source = None
        if not keep_path:
            self._source_path = None

    def _require_ours(self) -> None:
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))  # noqa: PTH116 - a pair
        except FileNotFoundError:
            same = False
        if not same:
            raise DownloadError(
                f"the partial file {self._path} was taken away", destination=self._destination
            )

    def _move_without_replacing(self) -> None:
        try:
            # A link fails where a rename would replace what appeared there in the meantime.
            os.link(self._path, self._destination)
        except FileExistsError:
            raise exists_error(self._destination) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self._destination.exists():
                raise exists_error(self._destination) from None
            self._path.rename(self._destination)
        else:
            self._path.unlink()

    def _available(self) -> int:
        if not hasattr(os, "fstatvfs"):  # pragma: no cover - Windows
            import shutil  # noqa: PLC0415 - needed there only

            return shutil.disk_usage(self._path.parent).free
        figures = os.fstatvfs(self._descriptor)
        return figures.f_bavail * figures.f_frsize

    def _no_space(self, required: int) -> InsufficientSpaceError:
        available = self._available()
        return InsufficientSpaceError(
            f"{self._destination.parent} has {available} bytes free and {required} more are needed; "
            "what is there is kept and will be resumed",
            required=required,
            available=available,
            destination=self._destination,
        )


def exists_error(destination: Path) -> DestinationExistsError:
    """Return the error for a destination that is taken."""
    return DestinationExistsError(f"{destination} exists and is another file", destination=destination)


def open_partial(destination: Path, *, is_usable: Callable[[ResumeState], bool]) -> Partial | None:
    """Open the partial file for a destination, found or new.

    Args:
        destination: The file to be.
        is_usable: Tells whether what a state describes is worth going on with.

    Returns:
        ``None`` while another process of this host is downloading to the same destination.
    """
    path = _partial_path(destination, _host())
    descriptor = os.open(path, _FLAGS, 0o666)
    locked = try_lock(descriptor)
    if locked is False or not _is_at(path, descriptor):
        unlock(descriptor)
        os.close(descriptor)
        return None
    if not (locked and lock_holds(path)):
        unlock(descriptor)
        os.close(descriptor)
        path = _partial_path(destination, secrets.token_hex(4))
        descriptor = os.open(path, _FLAGS | os.O_EXCL, 0o666)
    partial = Partial(path, descriptor, destination)
    _find_prefix(partial, path, destination, is_usable)
    return partial


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def _find_prefix(
    partial: Partial, own: Path, destination: Path, is_usable: Callable[[ResumeState], bool]
) -> None:
    """Take the longest usable prefix, from the own file where that has any."""
    found = []
    for path in _partials_of(destination):
        state = read_state(_state_path(path))
        if state is not None and is_usable(state) and path.stat().st_size >= state.verified:
            found.append((path == own and state.verified > 0, state.verified, path, state))
    if not found:
        return
    is_own, verified, path, state = max(found, key=lambda each: each[:2])
    if is_own:
        partial.state = state
    elif verified:
        partial.adopt_from(path, state)


def _partials_of(destination: Path) -> list[Path]:
    stem = f".{_stem(destination)}."
    with os.scandir(destination.parent) as entries:
        names = [
            each.name
            for each in entries
            if each.name.startswith(stem)
            and each.name.endswith(".part")
            and "." not in each.name[len(stem) : -len(".part")]
            and each.is_file(follow_symlinks=False)
        ]
    return [destination.with_name(name) for name in sorted(names)]


def _partial_path(destination: Path, owner: str) -> Path:
    return destination.with_name(f".{_stem(destination)}.{owner}.part")


def _stem(destination: Path) -> str:
    name = destination.name
    # 255 bytes is what file systems take, and a partial's state needs room for its own ending.
    return name if len(os.fsencode(name)) <= 210 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _state_path(partial: Path) -> Path:
    return partial.with_suffix(".json")


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file still has its name: its last owner may have moved it into place."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - a pair
    except FileNotFoundError:
        return False


def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
    return os.preadv(descriptor, [view], offset)


def _remove(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    remove_state(_state_path(partial))


def _sync_directory(directory: Path) -> None:
    # Windows cannot open directories, and some network file systems cannot sync them.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
