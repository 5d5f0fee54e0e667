"""Waiting for a long-running operation with something to look at."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any, TypeVar

from datarobot_mlops_async.cli import _messages as messages

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.operations import Operation, OperationStatus

T = TypeVar("T")


async def wait_for(terminal: Terminal, operation: Operation[T], what: str, *, patience: float) -> T:
    """Wait for an operation and return its result.

    Args:
        terminal: Where the server's word for its status is shown: beside a spinner, or a line whenever it changes.
        operation: The operation.
        what: What it does, for people.
        patience: Seconds to wait.
    """
    started = time.monotonic()
    word = ""

    def update(status: OperationStatus) -> None:
        nonlocal word
        if status.status != word:
            word = status.status
            (terminal.status.say_what if terminal.live else terminal.say)(f"{what}: {word}")

    with terminal.status.busy(what):
        result = await operation.wait(timeout=patience, on_update=update)
    terminal.say(f"{what}: done in {messages.duration(time.monotonic() - started)}")
    return result


def leave(terminal: Terminal, operation: Operation[Any]) -> None:
    """Print the location of an operation that nobody waits for."""
    if operation.location is None:
        terminal.say("done: the server had finished at once")
    else:
        terminal.write(messages.clean(operation.location))


def how_to_wait_again(location: str | None) -> str:
    """Word how to go on after an interrupted wait; empty without an operation."""
    if location is None:
        return ""
    # It is the server's text, and will be pasted into a shell.
    safe = shlex.quote(messages.clean(location))
    return f"the server goes on with it; to wait again: dr-mlops operations wait {safe}"
