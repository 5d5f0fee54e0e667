"""Whether the user means it."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.lowlevel

from datarobot_mlops_async.cli._exits import ExitCode, Failure, usage
from datarobot_mlops_async.cli._messages import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datarobot_mlops_async.cli._terminal import Terminal


async def confirm(terminal: Terminal, question: str, *, yes: bool) -> None:
    """Go on only if the user means it.

    Raises:
        Failure: The user does not, or nobody can be asked.
    """
    if yes:
        return
    if not terminal.can_ask:
        raise usage("nobody can be asked, because stdin is not a terminal: say --yes (or --dry-run)")
    with _interruptible():
        # A Ctrl-C that asyncio has taken note of before counts here.
        await anyio.lowlevel.checkpoint()
        terminal.status.hide()
        terminal.err.print(f"{clean(question)} [y/N] ", end="", markup=False)
        try:
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            terminal.err.print()
            raise
    if answer.strip().lower() not in {"y", "yes"}:
        raise Failure("nothing was done", ExitCode.FAILED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a blocking read at once: asyncio's own handler waits for the event loop, which waits here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
