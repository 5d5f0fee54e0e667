"""What a command acts on, as the user names it, and whether the user means it."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import anyio.lowlevel
import typer

from datarobot_mlops_async.cli._failures import ExitCode, Failure, usage
from datarobot_mlops_async.cli._terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from datarobot_mlops_async.cli._terminal import Terminal

_STDIN = "-"
DeploymentId = Annotated[str, typer.Argument(metavar="ID", help="The deployment's id.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def named_ids(arguments: Sequence[str]) -> list[str]:
    """Return the ids on the command line, each once; a lone ``-`` stands for stdin's lines.

    Of a line the first field counts, so that the lines of ``deployments list`` can be piped in.

    Raises:
        Failure: ``-`` together with ids.
    """
    if _STDIN not in arguments:
        return list(dict.fromkeys(arguments))
    if len(arguments) > 1:
        raise usage("- for stdin and ids exclude each other")
    return ids_in(sys.stdin)


def ids_in(lines: Iterable[str]) -> list[str]:
    """Return the first field of each line that has one, each once."""
    return list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))


async def confirm(terminal: Terminal, question: str, *, yes: bool) -> None:
    """Go on only if the user means it.

    Raises:
        Failure: The user does not, or nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise usage("nobody can be asked, because stdin is not a terminal: say --yes (or --dry-run)")
    with _interruptible():
        # A Ctrl-C that asyncio has taken note of before counts here.
        await anyio.lowlevel.checkpoint()
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
