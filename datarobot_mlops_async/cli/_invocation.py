"""One command: its global options, the session that they make, and its output."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from datarobot_mlops_async._config import TokenCommand
from datarobot_mlops_async.artifacts import verify_file
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk import BulkAction
from datarobot_mlops_async.cli._exits import ExitCode, Failure, usage
from datarobot_mlops_async.cli._options import STDIN, STDOUT, BulkOptions, OutputFormat
from datarobot_mlops_async.cli._printing import Printer, to_json
from datarobot_mlops_async.cli._progress import DownloadView, verdict
from datarobot_mlops_async.cli._terminal import CleanLines, LogHandler, Terminal, WaitingHandler, can_redraw
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.cli._watch import watch_deployments
from datarobot_mlops_async.errors import ConfigError, IntegrityError, ObjectChangedError
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.operations import Operation, OperationStatus

T = TypeVar("T")
_LOGGER = logging.getLogger("datarobot_mlops_async")


@define
class Invocation:
    """One command: its global options, its session while it runs, and its output.

    Attributes:
        given: The global options.
        terminal: Where output goes.
        session: The session, while the command runs.
        go_on: Words what to do after an interruption.
    """

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
                if self.given["verbose"]:
                    handlers.append(LogHandler(self.terminal))
                with _log_shown(*handlers):
                    await work(self)

        try:
            anyio.run(main)
        except BrokenPipeError:
            raise Failure(self.go_on(), ExitCode.BROKEN_PIPE) from None
        except KeyboardInterrupt:
            raise Failure(
                "; ".join(filter(None, ("interrupted", self.go_on()))), ExitCode.INTERRUPTED
            ) from None

    def _session(self) -> AsyncSession:
        options = {name: value for name, value in self.given.items() if value is not None}
        del options["verbose"]
        names = ("endpoint", "token_file", "token_command")
        endpoint, token = _credentials(*(options.pop(name, None) for name in names))
        return AsyncSession(endpoint, token, **options)

    def printer(self, method: str, output: OutputFormat) -> Printer:
        """Return what prints what a method returns; see `VIEWS`."""
        return Printer(self.terminal, VIEWS[method], output)

    def write_json(self, thing: object) -> None:
        """Print one thing as a JSON document."""
        self.terminal.write(to_json(thing, indent=2))

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
            self.go_on = partial(_how_to_wait_again, operation.location)
        with self.terminal.status.busy(what):
            result = await operation.wait(timeout=patience, on_update=update)
        self.go_on = lambda: ""
        self.terminal.say(f"{what}: done in {messages.duration(time.monotonic() - started)}")
        return result

    async def finish(self, operation: Operation[Any], what: str, *, wait: bool, patience: float) -> None:
        """Wait for an operation, or print its location and leave it alone."""
        if wait:
            await self.follow(operation, what, patience)
        elif operation.location is None:
            self.terminal.say("done: the server had finished at once")
        else:
            self.terminal.write(messages.clean(operation.location))

    async def download(self, artifact: Artifact, destination: str, **how: Any) -> DownloadResult | None:
        """Download to where the user says, show how far it is, and print the file's path as the result.

        Stdout gets the bytes in order, and there is no result then: verification comes with the last byte, and
        the exit code tells the reader whether to keep what it got.

        Raises:
            Failure: Stdout is a terminal or closed, or the bytes are wrong.
        """
        if destination == STDOUT:
            await self._stream(artifact, **how)
            return None
        if how.get("resume"):
            self.go_on = lambda: messages.GO_ON
        terminal = self.terminal
        if artifact.filename:
            terminal.say(artifact.filename + (f", {messages.size(artifact.size)}" if artifact.size else ""))
        with DownloadView(terminal.err, live=terminal.live) as view:
            result = await artifact.download(destination, on_progress=view.show, **how)
            view.finish(result)
        terminal.say(verdict(result))
        # A pipe or a device has the bytes, and no path worth telling.
        if result.path is not None:
            terminal.write_path(result.path)
        return result

    async def _stream(self, artifact: Artifact, **how: Any) -> None:
        terminal = self.terminal
        if terminal.is_closed or terminal.for_people:
            state = "closed" if terminal.is_closed else "a terminal"
            raise usage(f"stdout is {state}: redirect it, or name a file")
        with DownloadView(terminal.err, live=can_redraw(terminal.err)) as view:
            try:
                result = await artifact.download(sys.stdout.buffer, on_progress=view.show, **how)
            except (IntegrityError, ObjectChangedError) as error:
                raise Failure(
                    f"{error.summary}; what was written to stdout is wrong: throw it away", ExitCode.DOWNLOAD
                ) from error
            sys.stdout.buffer.flush()
            view.finish(result)
        terminal.say(verdict(result))

    async def deliver_log(self, log: Artifact, destination: str, *, overwrite: bool) -> None:
        """Download a log to a file, or show it: as it is in a pipe, and made harmless on a terminal."""
        if destination != STDOUT:
            await self.download(log, destination, overwrite=overwrite)
        elif self.terminal.for_people:
            lines = CleanLines(self.terminal)
            await log.download(lines)
            lines.write(b"", final=True)
        else:
            await log.download(sys.stdout.buffer)
            sys.stdout.buffer.flush()

    async def verify_file(self, path: Path, **what: Any) -> VerifiedFile:
        """Check a file again, show how far it is, and print its path; ``what`` are arguments of `verify_file`."""
        with DownloadView(self.terminal.err, live=self.terminal.live) as view:
            verified = await verify_file(path, on_progress=view.show, **what)
            view.finish(verified)
        self.terminal.say(f"SHA-256 verified by {', '.join(verified.verified_by)}: {verified.sha256}")
        self.terminal.write_path(path)
        return verified

    async def watch(self, **options: Any) -> None:
        """Print changes of deployments as they come; see `watch_deployments`."""
        await watch_deployments(self.terminal, self.session, **options)

    async def bulk(self, verb: str, call: Callable[[str], Awaitable[Any]], options: BulkOptions) -> None:
        """Carry out one action for many deployments."""
        await BulkAction(self, verb, call, options).run()


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


def _how_to_wait_again(location: str) -> str:
    """Word how to go on after an interrupted wait."""
    # It is the server's text, and will be pasted into a shell.
    safe = shlex.quote(messages.clean(location))
    return f"the server goes on with it; to wait again: dr-mlops operations wait {safe}"


def _credentials(
    endpoint: str | None, token_file: str | None, token_command: str | None
) -> tuple[str | None, str | TokenCommand | None]:
    """Return endpoint and token, or ``None`` for both where the session has to look for them.

    The environment may complete one given half, but never with half of its own pair: that token belongs
    to that endpoint.

    Raises:
        ConfigError: One half is missing, or there is no token where it was said to be.
    """
    token = TokenCommand(token_command) if token_command else _read_token(token_file)
    if (endpoint is None) == (token is None):
        return endpoint, token
    here = {name: os.environ.get(name) for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN")}
    ours, theirs = here if endpoint is None else reversed(here)
    if all(here.values()) or not here[ours]:
        options = ("--endpoint", "--token-file")
        missing, present = options if endpoint is None else reversed(options)
        raise ConfigError(
            f"{present} is given and {missing} is not: give both, so that a token never travels to another "
            f"source's endpoint (or set {ours} and not {theirs})"
        )
    return (here[ours], token) if endpoint is None else (endpoint, here[ours])


def _read_token(token_file: str | None) -> str | None:
    if token_file is None:
        return None
    try:
        text = Path(token_file).read_text("utf-8") if token_file != STDIN else sys.stdin.readline()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--token-file {token_file} cannot be read: {reason}") from None
    if not text.strip():
        raise ConfigError(f"--token-file {token_file} is empty")
    return text.strip()
