"""Reading journals of bulk runs: the one parser, for the next run, the command line and people; and what a run
that goes on makes of them.

A journal is ASCII JSON, one object a line. The first line says what the run does, where and since when,
and in which format; all others are outcomes.
"""

from __future__ import annotations

import errno
import json
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, frozen

from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity
from datarobot_mlops_async.errors import JournalFileError, JournalFormatError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from datarobot_mlops_async.bulk._journal_writer import JournalWriter
    from datarobot_mlops_async.bulk._run import Run

_FORMAT = 1


@frozen(kw_only=True)
class Journal:
    """What a bulk run has written down, as `read_journal` finds it.

    Attributes:
        path: The file.
        action: Name of what is done with each item. This and the next three are ``None`` if nothing was written
            yet, or if the file is a plain list of outcomes.
        endpoint: URL of the endpoint that the run talks to.
        created: When the first run began.
        version: Number of the file's format.
        outcomes: The last word about each item, in the order in which the items were first written; a success
            is final. An item that was announced, and of which nothing else is known, is ``unknown``.
    """

    path: Path
    action: str | None = None
    endpoint: str | None = None
    created: datetime | None = None
    version: int | None = None
    outcomes: tuple[Outcome[Any, Any], ...] = ()

    @property
    def counts(self) -> Counter[OutcomeState]:
        """How many items there are in each state."""
        return Counter(each.state for each in self.outcomes)

    @property
    def left(self) -> tuple[Outcome[Any, Any], ...]:
        """What did not succeed: it failed, or is unknown. With a location an unknown item can be asked."""
        return tuple(each for each in self.outcomes if each.state is not OutcomeState.SUCCEEDED)

    def require(self, *, action: str, endpoint: str) -> None:
        """Refuse a journal of something else.

        Raises:
            JournalFormatError: It names another action or another endpoint.
        """
        if self.version is None and self.outcomes:
            logger.warning(
                "%s names neither action nor endpoint: its outcomes are taken for those of %s at %s",
                *(self.path, action, endpoint),
            )
        for what, theirs, ours in (("action", self.action, action), ("endpoint", self.endpoint, endpoint)):
            if theirs not in {None, ours}:
                raise JournalFormatError(
                    f"{self.path} is the journal of another {what}, {theirs}, not of {ours}: "
                    "give each its own; nothing was sent",
                    path=self.path,
                )


def read_journal(path: str | os.PathLike[str]) -> Journal:
    """Read what a bulk run has written down, also while it runs or after it was killed.

    ::

        journal = read_journal("deactivate.jsonl")
        print(journal.action, journal.counts, [each.item for each in journal.left])

    The file is read at once, in the calling thread. A line that was cut short, by a crash or a full disk, is
    not counted: what it would have announced was not done.

    Args:
        path: The file given as ``journal=`` or ``resume_from=``, or to ``--resume`` on the command line.

    Raises:
        JournalFileError: It cannot be read (an ``OSError`` too).
        JournalFormatError: It is no journal, or one of a newer format (a ``ValueError`` too).
    """
    path = Path(path)
    try:
        # Not splitlines(): a line ends at "\n" and nowhere else.
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise JournalFileError(message, path=path, errno=error.errno) from error
    return journal_of(lines, path)


def journal_of(lines: Iterable[Outcome[Any, Any] | str | bytes], path: Path) -> Journal:
    """Read lines, or outcomes that were read before; messages call them by ``path``.

    Raises:
        JournalFormatError: They are something else.
    """
    journal, outcomes, torn = Journal(path=path), [], 0
    for number, line in enumerate(lines, start=1):
        try:
            data = line if isinstance(line, Outcome) else _decode(line)
            if isinstance(data, dict) and "journal" in data:
                journal = _with_header(journal, data)
            elif data is not None:
                outcomes.append(data if isinstance(data, Outcome) else Outcome.from_data(data))
            elif line.strip():  # type: ignore[union-attr] # an outcome is no None
                torn += 1
                logger.warning("%s: line %d is cut short and not counted", path, number)
        except ValueError as error:
            raise JournalFormatError(f"{path}, line {number}: {error}", path=path) from error
    if torn and not outcomes and journal.version is None:
        raise JournalFormatError(f"{path} holds no outcomes of a bulk run", path=path)
    return evolve(journal, outcomes=tuple(last_words(outcomes).values()))


def last_words(outcomes: Iterable[Outcome[Any, Any]]) -> dict[str, Outcome[Any, Any]]:
    """Return the last word about each item, by its identity, except that a success is final."""
    words: dict[str, Outcome[Any, Any]] = {}
    for each in outcomes:
        key = identity(each.item)
        if key not in words or words[key].state is not OutcomeState.SUCCEEDED:
            words[key] = each
    return words


def header_line(*, action: str, endpoint: str) -> str:
    """Return a new journal's first line."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"journal": _FORMAT, "action": action, "endpoint": endpoint, "created": created})


class Earlier:
    """What earlier runs found out: as the record of the run that goes on, or just as what the caller knows.

    Items are known by their value, so that a list whose order has changed, or that lacks what is
    done, goes on where it was; for the same reason all occurrences of an item share its outcome.
    """

    def __init__(self, outcomes: Iterable[Outcome[Any, Any]] = (), *, is_record: bool = False) -> None:
        self._outcomes = last_words(outcomes)
        self._unnamed = dict(self._outcomes)
        self._is_record = is_record

    @classmethod
    async def read(cls, run: Run[Any], writer: JournalWriter | None = None) -> Earlier:
        """Read what a run resumes from, and open its journal.

        Raises:
            JournalError: One of its files cannot be used.
        """
        if run.record is not None:
            journal = await run_interruptible(partial(_open, run, writer))
            return cls(journal.outcomes, is_record=True)
        lines: Any = run.options.get("resume_from")
        known = journal_of(lines or (), Path("resume_from"))
        if writer is not None:
            await run_interruptible(partial(_open, run, writer))
        return cls(known.outcomes)

    def of(self, item: object) -> Outcome[Any, Any] | None:
        """Return what is known of an item that the input names."""
        if not self._outcomes:
            return None
        key = identity(item)
        self._unnamed.pop(key, None)
        return self._outcomes.get(key)

    def unnamed(self) -> list[Outcome[Any, Any]]:
        """Return what the run has to account for although the input did not name it."""
        return [each for each in self._unnamed.values() if self._is_record or location_of(each)]


def location_of(earlier: Outcome[Any, Any] | None) -> str | None:
    """Return where to ask about what was begun and is not known to be over."""
    return earlier.location if earlier is not None and earlier.state is OutcomeState.UNKNOWN else None


def is_settled(run: Run[Any], earlier: Outcome[Any, Any], *, asked_for: bool) -> bool:
    """Tell whether nothing is left to do for an item, or may be done."""
    if location_of(earlier) is not None:
        return False
    if earlier.state is OutcomeState.UNKNOWN:
        return not (asked_for and run.options.get("repeat_unknown"))
    return earlier.state is OutcomeState.SUCCEEDED or not asked_for


def _open(run: Run[Any], writer: JournalWriter | None) -> Journal:
    """Open the journal to write, and return the one to resume from."""
    journal = None
    if writer is not None:
        journal = writer.open(action=run.action_name, endpoint=run.endpoint)
    if journal is None or (run.record is not None and Path(run.record) != journal.path):
        path = Path(cast("str | os.PathLike[str]", run.record))
        try:
            journal = read_journal(path)
        except JournalFileError as error:
            if error.errno != errno.ENOENT:
                raise
            # The first of the runs that are called alike.
            journal = Journal(path=path)
        journal.require(action=run.action_name, endpoint=run.endpoint)
    return journal


def _decode(line: str | bytes) -> Any:
    """Return what a line holds, ``None`` if it is not whole."""
    try:
        return json.loads(line.decode() if isinstance(line, bytes) else line)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _with_header(journal: Journal, data: dict[str, Any]) -> Journal:
    version, action, endpoint = data["journal"], data.get("action"), data.get("endpoint")
    if isinstance(version, int) and version > _FORMAT:
        raise ValueError(f"written by a newer release, in format {version}: this one reads up to {_FORMAT}")
    if version != _FORMAT or not isinstance(action, str) or not isinstance(endpoint, str):
        raise ValueError("not the header of a journal")
    try:
        created = datetime.fromisoformat(data["created"])
    except (KeyError, TypeError) as error:
        raise ValueError("not the header of a journal") from error
    return evolve(journal, version=version, action=action, endpoint=endpoint, created=created)
