"""Advisory locks, where the file system has any."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK})

if sys.platform == "win32":  # pragma: no cover - served like a file system without locks

    def try_lock(descriptor: int) -> bool | None:  # noqa: ARG001 - the other system's signature
        return None

else:
    import fcntl

    def try_lock(descriptor: int) -> bool | None:
        """Lock an open file for this process.

        Returns:
            ``True`` when it is ours, ``False`` while another process holds it, ``None`` when the file system
            does not lock.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return False if error.errno in _HELD else None
        return True


def lock_holds(path: Path) -> bool:
    """Tell whether a lock on a file keeps others out: on some network file systems it does not."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return try_lock(descriptor) is False
    finally:
        os.close(descriptor)
