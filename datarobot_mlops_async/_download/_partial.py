"""The partial file beside a destination: filled, described, moved into place.

A process writes only to a file that it created, or that its own host left behind and a lock that was seen to work
now guards. Whatever else lies there (another host's, or where locks do nothing) is copied from, not written to:
so two processes on one destination may do the same work twice, and can never write into one another's file.
Names cannot be known before, links are not followed, and what has another owner or a second name is not touched.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datarobot_mlops_async._download._disk import (
    PositionedFile,
    create,
    destination_error,
    is_at,
    keep_mode,
    system_errors,
)
from datarobot_mlops_async._download._resume_state import (
    BusyError,
    ResumeState,
    alone_in,
    leftovers,
    new_partial_path,
    remove_partial,
    remove_state,
    state_path,
    write_state,
)
from datarobot_mlops_async._locks import lock_holds, sync_directory, try_lock, unlock
from datarobot_mlops_async.errors import DestinationExistsError, DownloadError, MLOpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from datarobot_mlops_async._download._resume_state import Leftover

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class Partial:
    """A partial file that no other process writes to. Reading and writing may be done by many threads."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._path = new_partial_path(destination)
        self._file: PositionedFile | None = None
        self._source: PositionedFile | None = None
        self._source_path: Path | None = None
        self._is_locked = False
        self._size = 0
        self.state = ResumeState()
        """What was found: how much of the object is here, or in the file it is copied from."""

    def open(self, *, is_usable: Callable[[ResumeState], bool]) -> bool:
        """Open the file, found or new.

        Args:
            is_usable: Tells whether what a state describes is worth going on with.

        Returns:
            Whether it is open; ``False`` while another process of this host downloads to the same destination.

        Raises:
            DestinationError: The system lets nothing be created there.
        """
        with system_errors(self._destination), alone_in(self._destination.parent):
            self._path = new_partial_path(self._destination)
            self._file = PositionedFile(create(self._path))
            try:
                self._take_over(is_usable)
            except BusyError:
                self._remove_own()
                return False
            except BaseException:
                self._remove_own()
                raise
        return True

    def _remove_own(self) -> None:
        self.close()  # before, since Windows removes no open file
        remove_partial(self._path)

    def _take_over(self, is_usable: Callable[[ResumeState], bool]) -> None:
        """Go on with the longest usable leftover, in its own file where that can be locked."""
        descriptor = self._open_file.descriptor
        self._is_locked = bool(try_lock(descriptor)) and lock_holds(self._path)
        owner = os.fstat(descriptor).st_uid
        with leftovers(self._destination, but=self._path, owner=owner, lock=self._is_locked) as found:
            best = max(
                (each for each in found if each.state.verified and is_usable(each.state)),
                key=lambda each: (each.is_locked, each.state.verified),
                default=None,
            )
            for each in found[:]:
                if each is best:
                    found.remove(each)
                    self._continue(each)
                elif each.is_locked:
                    # Nobody works on it, and it belongs to another object, or to less of this one.
                    remove_partial(each.path)

    def _continue(self, best: Leftover) -> None:
        self.state = best.state
        if best.is_locked:
            self._remove_own()
            self._path, self._file = best.path, PositionedFile(best.descriptor)
        else:
            self._source_path, self._source = best.path, PositionedFile(best.descriptor)

    def read_found(self, view: memoryview, offset: int) -> int:
        """Read what was found at an offset, and bring it here when it is in another file."""
        if self._source is None:
            return self.read_at(view, offset)
        count = self._source.read_at(view, offset)
        self.write_at(view[:count], offset)
        return count

    def read_at(self, view: memoryview, offset: int) -> int:
        """Read what was written at an offset."""
        with self._errors():
            return self._open_file.read_at(view, offset)

    def write_at(self, view: memoryview, offset: int) -> None:
        """Write bytes at an offset.

        Raises:
            InsufficientSpaceError: The disk is full.
            DestinationError: The system refuses for another reason.
        """
        left = view
        while left:
            with self._errors(len(left)):
                count = self._open_file.write_at(left, offset)
            left, offset = left[count:], offset + count

    def require_space(self, size: int) -> None:
        """Check that the rest of an object of this size fits on the disk.

        Raises:
            InsufficientSpaceError: It does not.
        """
        self._size = size
        required, available = self._space(0)
        if required > available:
            full = OSError(errno.ENOSPC, "")
            raise destination_error(full, self._destination, required=required, available=available)

    def record(self, state: ResumeState, *, cached: int | None = None) -> None:
        """Write down what the file holds.

        Args:
            cached: How many bytes of it may stay in the system's memory, the last ones: 14 GB would push out all
                else. ``None`` for all.
        """
        with self._errors(len(state.to_json())):
            write_state(state_path(self._path), state)
        if cached is not None and state.verified > cached:
            self._open_file.give_back(state.verified - cached)

    def restart(self) -> None:
        """Forget everything that is here."""
        self._forget_source()
        self._source_path = None
        self.state = ResumeState()
        with self._errors():
            os.ftruncate(self._open_file.descriptor, 0)
            remove_state(state_path(self._path))

    def cut_to(self, good: int) -> None:
        """Keep only the first bytes of what was found, which are here by now."""
        self._forget_source()
        self._source_path = None
        self.state = self.state.cut_to(good)
        self.record(self.state)

    def commit(self, size: int, *, overwrite: bool, withdrawn: Callable[[], bool] = lambda: False) -> None:
        """Move the file, which holds the verified object, into place; durable when this returns.

        Args:
            withdrawn: Tells, when everything is on the disk, whether nobody wants it any more; it is kept to be
                resumed then.

        Raises:
            DestinationExistsError: Something is there and ``overwrite`` is false.
            DestinationError: The system refuses.
        """
        descriptor = self._open_file.descriptor
        with self._errors():
            os.ftruncate(descriptor, size)
            if overwrite:
                keep_mode(descriptor, self._destination)
            os.fsync(descriptor)
            if withdrawn():
                return
            self._require_ours()
            if not self._is_locked:
                self.close()  # Windows, which has no locks, moves no open file
            self._move(overwrite=overwrite)
            remove_state(state_path(self._path))
            if self._source_path is not None:
                remove_partial(self._source_path)
            sync_directory(self._destination.parent)

    def discard(self) -> None:
        """Remove the partial file and its state: neither is to be resumed."""
        remove_partial(self._path)
        if self._source_path is not None:
            # Its owner may be alive; without the state nobody else goes on with it.
            remove_state(state_path(self._source_path))

    def tidy(self) -> None:
        """Remove the file if there is nothing in it."""
        descriptor = None if self._file is None else self._file.descriptor
        if descriptor is not None and os.fstat(descriptor).st_size == 0 and is_at(self._path, descriptor):
            self._remove_own()

    def close(self) -> None:
        """Close the file and with it the lock. Never waits."""
        self._forget_source()
        file, self._file = self._file, None
        if file is not None:
            unlock(file.descriptor)
            os.close(file.descriptor)

    @property
    def is_open(self) -> bool:
        """Whether there is a file to read and write."""
        return self._file is not None

    @property
    def _open_file(self) -> PositionedFile:
        if self._file is None:
            raise DownloadError(f"the partial file {self._path} is closed", destination=self._destination)
        return self._file

    def _forget_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            os.close(source.descriptor)

    def _require_ours(self) -> None:
        if not is_at(self._path, self._open_file.descriptor):
            raise DownloadError(
                f"the partial file {self._path} was taken away", destination=self._destination
            )

    def _move(self, *, overwrite: bool) -> None:
        if overwrite:
            self._path.replace(self._destination)
            return
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
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, left: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, MLOpsError):
                raise
            required, available = self._space(left)
            # Where the system says that it is full, what seems to be enough is not for us (a quota, no inodes).
            free = available if available < required else 0
            raise destination_error(error, self._destination, required=required, available=free) from error

    def _space(self, left: int) -> tuple[int, int]:
        """Return how many bytes the whole object still needs, and how many are free."""
        if self._file is None:
            return left, 0
        descriptor = self._file.descriptor
        required = max(left, self._size - getattr(os.fstat(descriptor), "st_blocks", 0) * 512)
        if not hasattr(os, "fstatvfs"):
            import shutil  # needed on Windows only

            return required, shutil.disk_usage(self._path.parent).free
        figures = os.fstatvfs(descriptor)
        return required, figures.f_bavail * figures.f_frsize


def exists_error(destination: Path) -> DestinationExistsError:
    """Return the error for a destination that is taken."""
    return DestinationExistsError(
        f"{destination} exists and is another file", errno=errno.EEXIST, destination=destination
    )
