"""One command: its global options, the session that they make, and its output."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from datarobot_mlops_async.cli._bulk import BulkAction
from datarobot_mlops_async.cli._confirm import confirm
from datarobot_mlops_async.cli._credentials import credentials
from datarobot_mlops_async.cli._downloading import (
    GO_ON,
    download_to,
    print_log,
    stream_to_stdout,
    verify_here,
)
from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._options import STDOUT, OutputFormat
from datarobot_mlops_async.cli._printing import Printer
from datarobot_mlops_async.cli._status import WaitingHandler
from datarobot_mlops_async.cli._terminal import Terminal, plain
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.cli._wait import how_to_wait_again, leave, wait_for
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.operations import Operation

T = TypeVar("T")
_LOGGER = logging.getLogger("datarobot_mlops_async")


@define(kw_only=True)
class Invocation:
    """One command: its global options, its session while it runs, and its output.

    Attributes:
        endpoint: Base URL; ``None`` for the session's own sources.
        token_file: File with the token, ``-`` for stdin's first line.
        token_command: Command that prints the token.
        options: Further arguments of `AsyncSession`.
        verbose: Whether to show the library's log.
        terminal: Where output goes.
        session: Open while the command's work runs.
        go_on: Words how to go on after Ctrl-C; empty when there is nothing to go on with.
    """

    endpoint: str | None
    token_file: str | None
    token_command: str | None
    options: dict[str, Any]
    verbose: bool
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
                with _log_shown(*handlers, *([_LogHandler(self.terminal)] if self.verbose else ())):
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
        """Return what prints one kind of thing.

        Args:
            view: Its name in `_views`.
            output: The output format.
        """
        return Printer(self.terminal, VIEWS[view], output or OutputFormat())

    async def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the user means it, or has said so before with ``yes``."""
        await confirm(self.terminal, question, yes=yes)

    async def wait(self, operation: Operation[T], what: str, patience: float) -> T:
        """Wait for an operation; after Ctrl-C say how to wait for it again."""
        self.go_on = lambda: how_to_wait_again(operation.location)
        result = await wait_for(self.terminal, operation, what, patience=patience)
        self.go_on = lambda: ""
        return result

    def leave(self, operation: Operation[Any]) -> None:
        """Print the location of an operation that nobody waits for."""
        leave(self.terminal, operation)

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

    async def print_log(self, artifact: Artifact) -> None:
        """Write a log to stdout."""
        await print_log(self.terminal, artifact)

    async def bulk(self, **action: Any) -> None:
        """Carry out one action for many deployments."""
        await BulkAction(self, **action).run()

    def _session(self) -> AsyncSession:
        endpoint, token = credentials(self.endpoint, self.token_file, self.token_command)
        return AsyncSession(endpoint, token, **self.options)


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
