"""Writing a journal: one writer at a time, and on the disk before what it announces is done."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CapacityLimiter, to_thread
from attrs import define, field

from datarobot_mlops_async._locks import sync_directory, try_lock, unlock
from datarobot_mlops_async.bulk._journal import Journal, header_line, read_journal
from datarobot_mlops_async.errors import JournalFileError

if TYPE_CHECKING:
    from datarobot_mlops_async.bulk._outcome import Outcome

# What a pipe or a device answers, on which nothing can be kept.
_NOT_FOR_DISKS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})


@define(eq=False)
class _Batch:
    """Lines that are written together, and what came of them."""

    lines: list[bytes] = field(factory=list)
    durable: bool = False
    done: bool = False
    failure: JournalFileError | None = None


class JournalWriter:
    """A journal that a run appends to.

    Lines are appended whole. Those who wait for a line to be on the disk wait for one `fdatasync` together: while
    it runs, further lines gather for the next one. A thread that outlives whoever waited for it harms nothing:
    writing and closing take turns.

    Attributes:
        failure: Why a line could not be written, the first time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.failure: JournalFileError | None = None
        self._path = Path(path)
        self._file: int | None = None
        self._torn = False
        self._batch = _Batch()
        self._gathering = threading.Lock()
        self._io = threading.Lock()
        self._flushing = anyio.Lock()
        self._limiter = CapacityLimiter(1)

    def open(self, *, action: str, endpoint: str) -> Journal:
        """Open and lock the file, in the calling thread, and return what earlier runs have written.

        A new one is made, and gets its header.

        Raises:
            JournalFileError: It cannot be opened or written, or another run has it open.
            JournalFormatError: It belongs to something else.
        """
        try:
            journal = self._open()
            journal.require(action=action, endpoint=endpoint)
            if journal.version is None:
                self._write([header_line(action=action, endpoint=endpoint).encode() + b"\n"], durable=True)
        except OSError as error:
            self.close()
            raise self._explained(error) from error
        except BaseException:
            self.close()
            raise
        return journal

    async def write(self, outcome: Outcome[Any, Any], *, durable: bool = False) -> None:
        """Append an outcome; a durable one is on the disk, and not just out of this process, when this returns.

        Raises:
            JournalFileError: It cannot be written.
        """
        line = outcome.to_json().encode() + b"\n"
        with self._gathering:
            batch = self._batch
            batch.lines.append(line)
            batch.durable |= durable
        with anyio.CancelScope(shield=True):
            while not batch.done:
                async with self._flushing:
                    if not batch.done:
                        await to_thread.run_sync(self._flush, limiter=self._limiter)
        if batch.failure is not None:
            raise batch.failure

    def close(self) -> None:
        """Let the disk have everything, and close the file; harmless when repeated."""
        with self._io:
            file, self._file = self._file, None
            if file is not None:
                # The outcomes of a run that ends are worth a moment; what was announced is on the disk already.
                with suppress(OSError):
                    _sync(file)
                unlock(file)
                os.close(file)

    def _open(self) -> Journal:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._path, flags, 0o666)
        if try_lock(self._file) is False:
            raise BlockingIOError(
                errno.EWOULDBLOCK,
                "another run is writing it; wait for that one's end, or give each a journal of its own",
            )
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            sync_directory(self._path.parent)
            return Journal(path=self._path)
        os.lseek(self._file, -1, os.SEEK_END)
        self._torn = os.read(self._file, 1) != b"\n"
        return read_journal(self._path)

    def _flush(self) -> None:
        with self._io:
            with self._gathering:
                batch, self._batch = self._batch, _Batch()
            try:
                self._write(batch.lines, durable=batch.durable)
            except OSError as error:
                batch.failure = self._explained(error)
                self.failure = self.failure or batch.failure
            finally:
                batch.done = True

    def _write(self, lines: list[bytes], *, durable: bool) -> None:
        if self._file is None:
            raise OSError(errno.EBADF, "it is closed")
        # Behind the half line that a crash or a full disk has left, the next one starts on its own.
        rest = memoryview(b"\n" * self._torn + b"".join(lines))
        while rest:
            written = os.write(self._file, rest)
            self._torn = rest[written - 1] != ord("\n")
            rest = rest[written:]
        if durable:
            _sync(self._file)

    def _explained(self, error: OSError) -> JournalFileError:
        message = f"the journal {self._path} cannot be used: {error.strerror}"
        return JournalFileError(message, path=self._path, errno=error.errno)


def _sync(file: int) -> None:
    try:
        getattr(os, "fdatasync", os.fsync)(file)
    except OSError as error:
        if error.errno not in _NOT_FOR_DISKS:
            raise  # pragma: no cover - a disk that breaks
