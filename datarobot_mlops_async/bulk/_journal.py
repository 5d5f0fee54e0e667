"""Reading journals of bulk runs: the one parser, for the next run, the command line and people.

A journal is ASCII JSON, one object a line. The first line says what the run does, where and since when,
and in which format; all others are outcomes.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity
from datarobot_mlops_async.errors import JournalFileError, JournalFormatError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

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
