"""One command: its global options, the session that they make, and its output."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from datarobot_mlops_async.cli._bulk import BulkAction
from datarobot_mlops_async.cli._confirm import confirm
from datarobot_mlops_async.cli._downloading import (
    GO_ON,
    download_to,
    print_log,
    stream_to_stdout,
    verify_here,
)
from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._options import STDIN, STDOUT, OutputFormat
from datarobot_mlops_async.cli._printing import Printer
from datarobot_mlops_async.cli._status import WaitingHandler
from datarobot_mlops_async.cli._terminal import Terminal, plain
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.cli._wait import how_to_wait_again, leave, wait_for
from datarobot_mlops_async.errors import ConfigError
from datarobot_mlops_async.session import DEFAULT_TIMEOUT, AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.operations import Operation

T = TypeVar("T")
_LOGGER = logging.getLogger("datarobot_mlops_async")
_HALVES = {"endpoint": "DATAROBOT_ENDPOINT", "token": "DATAROBOT_API_TOKEN"}


@define(kw_only=True)
class Invocation:
    """One command: its global options, its session while it runs, and its output.

    Attributes:
        endpoint: Base URL; ``None`` for the session's own sources.
        token_file: File with the token, ``-`` for stdin's first line; ``None`` for the session's own sources.
        config_file: A ``drconfig.yaml``.
        verify: Whether to check certificates, or a CA file; ``None`` for the session's own sources.
        proxy: Proxy URL.
        timeout: Seconds for one attempt of a request; ``None`` for the session's own.
        retries: Attempts after a request's first; ``None`` for the session's own.
        strict: Whether to refuse answers that are not as the API page promises.
        verbose: Whether to show the library's log.
        terminal: Where output goes.
        session: Open while the command's work runs.
        go_on: Words how to go on after Ctrl-C; empty when there is nothing to go on with.
    """

    endpoint: str | None
    token_file: str | None
    config_file: Path | None
    verify: bool | Path | None
    proxy: str | None
    timeout: float | None
    retries: int | None
    strict: bool
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
        endpoint, token = self._credentials(os.environ)
        return AsyncSession(
            endpoint,
            token,
            config_file=self.config_file,
            verify=self.verify,
            proxy=self.proxy,
            retry=self.retries,
            strict=self.strict,
            timeout=DEFAULT_TIMEOUT if self.timeout is None else self.timeout,
        )

    def _credentials(self, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return endpoint and token as far as the command line gives them.

        The environment may complete one given half, but never with half of its own pair: that token belongs
        to that endpoint.
        """
        given = {"endpoint": self.endpoint, "token": self._read_token()}
        missing = [name for name, value in given.items() if value is None]
        if len(missing) == 1:
            (name,) = missing
            if not all(environ.get(variable) for variable in _HALVES.values()):
                given[name] = environ.get(_HALVES[name]) or None
            if given[name] is None:
                option = {"endpoint": "--endpoint", "token": "--token-file"}
                (other,) = given.keys() - missing
                raise ConfigError(
                    f"{option[other]} is given and {option[name]} is not: give both, so that a token never "
                    f"travels to another source's endpoint (or set {_HALVES[name]} and not {_HALVES[other]})"
                )
        return given["endpoint"], given["token"]

    def _read_token(self) -> str | None:
        if self.token_file is None:
            return None
        try:
            text = (
                Path(self.token_file).read_text("utf-8") if self.token_file != STDIN else sys.stdin.readline()
            )
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"--token-file {self.token_file} cannot be read: {reason}") from None
        if not text.strip():
            raise ConfigError(f"--token-file {self.token_file} is empty")
        return text.strip()


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
