"""One command: its global options, the session that they make, and its output."""

from __future__ import annotations

import logging
import shlex
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk import BulkAction
from datarobot_mlops_async.cli._credentials import credentials
from datarobot_mlops_async.cli._downloading import (
    GO_ON,
    download_to,
    print_log,
    stream_to_stdout,
    verify_here,
)
from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._listing import OutputFormat
from datarobot_mlops_async.cli._options import STDOUT
from datarobot_mlops_async.cli._printing import Printer
from datarobot_mlops_async.cli._status import WaitingHandler
from datarobot_mlops_async.cli._terminal import Terminal, plain
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.cli._watch import watch_deployments
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.operations import Operation, OperationStatus

T = TypeVar("T")
_LOGGER = logging.getLogger("datarobot_mlops_async")


@define
class Invocation:
    """One command: its global options, its session while it runs, and its output."""

    given: dict[str, Any]
    terminal: Terminal = field(factory=Terminal)
    session: AsyncSession = field(init=False)
    go_on: Callable[[], str] = field(init=False, default=lambda: "")

    def run(self, work: Callable[[Self], Awaitable[None]], *, with_session: bool = True) -> None:
        """Open a session if the work needs one, await the work, close the session.

        On asyncio alone: a program has one event loop and nobody to choose another, and Ctrl-C is asyncio's
        own there: it cancels the work, which then leaves what can be resumed.

        Raises:
            Failure: It was interrupted.
        """

        async def main() -> None:
            if not with_session:
                await work(self)
                return
            async with self._session() as self.session:
                server = urlsplit(self.session.settings.endpoint).netloc
                handlers: list[logging.Handler] = [WaitingHandler(self.terminal.status, server)]
                with _log_shown(*handlers, *([_LogHandler(self.terminal)] if self.given["verbose"] else ())):
                    await work(self)

        try:
            anyio.run(main)
        except BrokenPipeError:
            raise Failure(self.go_on(), ExitCode.BROKEN_PIPE) from None
        except KeyboardInterrupt:
            raise Failure(
                "; ".join(filter(None, ("interrupted", self.go_on()))), ExitCode.INTERRUPTED
            ) from None

    def printer(self, view: str, output: OutputFormat | None = None) -> Printer:
        """Return what prints one kind of thing."""
        return Printer(self.terminal, VIEWS[view], output or OutputFormat())

    async def follow(self, operation: Operation[T], what: str, patience: float) -> T:
        """Wait for an operation, in seconds, and return its result; meanwhile the server's word is shown."""
        started, word = time.monotonic(), ""

        def update(status: OperationStatus) -> None:
            nonlocal word
            if status.status != word:
                word = status.status
                say = self.terminal.status.say_what if self.terminal.live else self.terminal.say
                say(f"{what}: {word}")

        if operation.location is not None:
            self.go_on = partial(how_to_wait_again, operation.location)
        with self.terminal.status.busy(what):
            result = await operation.wait(timeout=patience, on_update=update)
        self.go_on = lambda: ""
        self.terminal.say(f"{what}: done in {messages.duration(time.monotonic() - started)}")
        return result

    def leave(self, operation: Operation[Any]) -> None:
        """Print the location of an operation that nobody waits for."""
        if operation.location is None:
            self.terminal.say("done: the server had finished at once")
        else:
            self.terminal.write(messages.clean(operation.location))

    async def download(self, artifact: Artifact, destination: str, **how: Any) -> DownloadResult | None:
        """Download to where the user says, stdout included, which has no result."""
        if destination == STDOUT:
            await stream_to_stdout(self.terminal, artifact, **how)
            return None
        if how.get("resume"):
            self.go_on = lambda: GO_ON
        return await download_to(self.terminal, artifact, destination, **how)

    async def verify_file(self, path: Path, **what: Any) -> VerifiedFile:
        """Check a file again; ``what`` are further arguments of `verify_file`."""
        return await verify_here(self.terminal, path, **what)

    async def watch(self, **options: Any) -> None:
        """Print changes of deployments as they come; see `watch_deployments`."""
        await watch_deployments(self.terminal, self.session, **options)

    async def print_log(self, artifact: Artifact) -> None:
        """Write a log to stdout."""
        await print_log(self.terminal, artifact)

    async def bulk(self, **action: Any) -> None:
        """Carry out one action for many deployments."""
        await BulkAction(self, **action).run()

    def _session(self) -> AsyncSession:
        options = {name: value for name, value in self.given.items() if value is not None}
        del options["verbose"]
        names = ("endpoint", "token_file", "token_command")
        endpoint, token = credentials(*(options.pop(name, None) for name in names))
        return AsyncSession(endpoint, token, **options)


class _LogHandler(logging.Handler):
    """Log records on stderr, above whatever is drawn there."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.DEBUG)
        self._terminal = terminal
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record on one line."""
        self._terminal.err.print(plain(self.format(record), "quiet"), soft_wrap=True)


@contextmanager
def _log_shown(*handlers: logging.Handler) -> Iterator[None]:
    """Show the library's log."""
    for handler in handlers:
        _LOGGER.addHandler(handler)
    _LOGGER.setLevel(min(handler.level for handler in handlers))
    try:
        yield
    finally:
        for handler in handlers:
            _LOGGER.removeHandler(handler)
            handler.close()
        _LOGGER.setLevel(logging.NOTSET)


def how_to_wait_again(location: str) -> str:
    """Word how to go on after an interrupted wait."""
    # It is the server's text, and will be pasted into a shell.
    safe = shlex.quote(messages.clean(location))
    return f"the server goes on with it; to wait again: dr-mlops operations wait {safe}"
