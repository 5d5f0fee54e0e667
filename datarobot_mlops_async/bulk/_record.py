"""The record of a run: what earlier runs found out, and the journal that this one writes."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("datarobot_mlops_async")


class History:
    """The last word about each item, except that a success is final.

    Items are known by their value, so that a list whose order has changed, or that lacks what is
    done, goes on where it was; for the same reason all occurrences of an item share its outcome.
    """

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome[Any, Any]] = {}

    @classmethod
    async def read(cls, source: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str]) -> History:
        """Read outcomes, lines, or a file of lines.

        Raises:
            OSError: The file cannot be read.
            ValueError: What it holds are no outcomes.
        """
        history = cls()
        if isinstance(source, (str, os.PathLike)):
            await anyio.to_thread.run_sync(history._read_file, Path(source))
            return history
        for each in source:
            history._add(Outcome.from_json(each) if isinstance(each, str) else each)
        return history

    def of(self, item: object) -> Outcome[Any, Any] | None:
        """Return what is known of an item."""
        return self._outcomes.get(identity(item)) if self._outcomes else None

    def _add(self, outcome: Outcome[Any, Any]) -> None:
        key = identity(outcome.item)
        known = self._outcomes.get(key)
        if known is None or known.state is not OutcomeState.SUCCEEDED:
            self._outcomes[key] = outcome

    def _read_file(self, path: Path) -> None:
        torn = 0
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                try:
                    self._add(Outcome.from_json(line))
                except json.JSONDecodeError:
                    # The end of a process that was killed while it wrote. Nothing is lost by it: a line is
                    # whole before what it announces is done, and the one before it stays true.
                    torn += bool(line.strip())
                    logger.warning("%s: line %d is cut short and not counted", path, number)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error
        if torn and not self._outcomes:
            raise ValueError(f"{path} holds no outcomes of a bulk run")


class Journal:
    """A file to which a run writes what it is about to do and what came of it, one JSON line each.

    Lines are appended whole and reach the operating system before the request that they announce
    is sent: they outlive the process, however it dies.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file: int
        self._writing = anyio.Lock()
        self.failure: OSError | None = None

    async def open(self) -> None:
        """Open the file for appending, made if it is not there.

        Raises:
            OSError: It cannot be opened.
        """
        await anyio.to_thread.run_sync(self._open)

    async def write(self, outcome: Outcome[Any, Any]) -> None:
        """Append a line.

        Raises:
            OSError: It cannot be written.
        """
        line = outcome.to_json().encode() + b"\n"
        # A line that was begun is written to its end, and one at a time.
        with anyio.CancelScope(shield=True):
            async with self._writing:
                try:
                    await anyio.to_thread.run_sync(self._write, line)
                except OSError as error:
                    self.failure = error
                    raise

    async def aclose(self) -> None:
        """Close the file."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(os.close, self._file)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._path, flags, 0o666)
        if os.fstat(self._file).st_size:
            os.lseek(self._file, -1, os.SEEK_END)
            if os.read(self._file, 1) != b"\n":
                # The line of a process that was killed must not run into the next one.
                self._write(b"\n")

    def _write(self, line: bytes) -> None:
        if os.write(self._file, line) != len(
            line
        ):  # pragma: no cover - a disk that fills up inside of a line
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self._path))
