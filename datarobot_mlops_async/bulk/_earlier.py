"""What earlier runs found out, and what a run that goes on makes of it."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async.bulk._journal import Journal, journal_of, last_words, read_journal
from datarobot_mlops_async.bulk._outcome import Outcome, OutcomeState, identity
from datarobot_mlops_async.errors import JournalFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from datarobot_mlops_async.bulk._journal_writer import JournalWriter
    from datarobot_mlops_async.bulk._run import Run


class Earlier:
    """What earlier runs found out.

    Items are known by their value, so that a list whose order has changed, or that lacks what is
    done, goes on where it was; for the same reason all occurrences of an item share its outcome.

    Args:
        outcomes: What they found out.
        is_record: Whether that is the record of the run that goes on, and not just what the caller knows.
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
        journal = _read_if_there(cast("str | os.PathLike[str]", run.record))
        journal.require(action=run.action_name, endpoint=run.endpoint)
    return journal


def _read_if_there(path: str | os.PathLike[str]) -> Journal:
    try:
        return read_journal(path)
    except JournalFileError as error:
        if error.errno == errno.ENOENT:
            # The first of the runs that are called alike.
            return Journal(path=Path(path))
        raise
