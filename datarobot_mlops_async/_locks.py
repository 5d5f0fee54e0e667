"""Advisory locks on open files, where the system has any, and names of files that outlive a power cut.

A lock belongs to the open file, which a fork shares: without more, a child that lives on would hold what its
parent, killed or done, has let go. So a forked child gets the null device in the place of each locked file.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def _system_locks() -> ModuleType | None:
    try:
        import fcntl  # Windows has none: served like a file system without locks
    except ImportError:
        return None
    return fcntl


_fcntl = _system_locks()
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK})
_locked: set[int] = set()
# Held over a fork too, so that no descriptor is closed between the fork and the child's look at it.
_guard = threading.RLock()


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file, until `unlock`.

    Returns:
        ``True`` when it is ours, ``False`` while somebody else holds it, ``None`` when the file system does
        not lock.
    """
    if _fcntl is None:
        return None
    with _guard:
        try:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        except OSError as error:
            return False if error.errno in _HELD else None
        _locked.add(descriptor)
    return True


def unlock(descriptor: int) -> None:
    """Release a file's lock, if there is one. To be called before the file is closed."""
    with _guard:
        if _fcntl is not None and descriptor in _locked:
            _locked.remove(descriptor)
            _fcntl.flock(descriptor, _fcntl.LOCK_UN)


def lock_holds(path: Path) -> bool:
    """Tell whether the lock on a file keeps others out: on some network file systems it does not."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        return try_lock(descriptor) is False
    finally:
        unlock(descriptor)
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make a new file, or a rename, durable, where the system can."""
    # Windows cannot open directories, and some network file systems cannot sync them.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _leave_locks_to_the_parent() -> None:  # pragma: no cover - a forked child writes no coverage
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in _locked:
        os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _locked.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_leave_locks_to_the_parent
    )
