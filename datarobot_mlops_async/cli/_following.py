"""Waiting for a long-running operation with something to look at."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from attrs import define

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._terminal import clean, plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.operations import Operation, OperationStatus
    from datarobot_mlops_async.session import AsyncSession

T = TypeVar("T")
DEFAULT_PATIENCE = 3600.0
Patience = Annotated[
    float, typer.Option("--patience", min=0, metavar="SECONDS", help="How long to wait for the operation.")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="Wait for the operation, or print its location and leave it alone."
    ),
]


@define
class Following:
    """Runs work that waits for operations, and says how to go on when it is interrupted.

    Attributes:
        invocation: The options.
        patience: Seconds to wait for one operation.
        waiting_for: The location of the operation that is waited for; ``None`` before and after.
    """

    invocation: Invocation
    patience: float = DEFAULT_PATIENCE
    waiting_for: str | None = None

    def run(self, work: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Carry out the work."""
        self.invocation.run(work, on_interrupt=self._how_to_go_on)

    async def wait(self, operation: Operation[T], what: str) -> T:
        """Wait for an operation and return its result.

        Args:
            operation: The operation.
            what: What it does, for people.
        """
        terminal = self.invocation.terminal
        self.waiting_for = operation.location
        started = time.monotonic()
        view = _LiveStatus(terminal, what) if terminal.live else _LoggedStatus(terminal, what)
        with view:
            result = await operation.wait(timeout=self.patience, on_update=view.update)
        self.waiting_for = None
        terminal.say(f"{what}: done in {wording.duration(time.monotonic() - started)}")
        return result

    def leave(self, operation: Operation[Any]) -> None:
        """Print the location of an operation that nobody waits for."""
        if operation.location is None:
            self.invocation.terminal.say("done: the server had finished at once")
        else:
            self.invocation.terminal.write(clean(operation.location))

    def _how_to_go_on(self) -> str:
        if self.waiting_for is None:
            return ""
        # It is the server's text, and will be pasted into a shell.
        location = shlex.quote(clean(self.waiting_for))
        return f"the server goes on with it; to wait again: dr-mlops operations wait {location}"


class _LoggedStatus:
    """A line whenever the server's word changes."""

    def __init__(self, terminal: Terminal, what: str) -> None:
        self._terminal = terminal
        self._what = what
        self._word = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exception: object) -> None:
        pass

    def update(self, status: OperationStatus) -> None:
        if status.status != self._word:
            self._word = status.status
            self._terminal.say(f"{self._what}: {self._word}")


class _LiveStatus:
    """A spinner with the server's word."""

    def __init__(self, terminal: Terminal, what: str) -> None:
        self._what = what
        self._status = terminal.err.status(plain(what))

    def __enter__(self) -> None:
        self._status.start()

    def __exit__(self, *_exception: object) -> None:
        self._status.stop()

    def update(self, status: OperationStatus) -> None:
        self._status.update(plain(f"{self._what}: {status.status}"))
