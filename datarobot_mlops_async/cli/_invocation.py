"""One command: its global options, the session that they make, and its output."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from datarobot_mlops_async._config import TokenCommand
from datarobot_mlops_async._progress.rich_bars import RichBars
from datarobot_mlops_async._progress.words import LogLines
from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async.artifacts import verify_file
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._bulk import BulkAction
from datarobot_mlops_async.cli._options import STDIN, STDOUT
from datarobot_mlops_async.cli._printing import Printer, described, field_text, flat, to_json
from datarobot_mlops_async.cli._terminal import CleanLines, LogHandler, Terminal, can_redraw
from datarobot_mlops_async.cli._views import VIEWS
from datarobot_mlops_async.errors import ConfigError, IntegrityError, ObjectChangedError
from datarobot_mlops_async.session import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.operations import Operation, OperationStatus

    R = TypeVar("R", DownloadResult, VerifiedFile)

T = TypeVar("T")
_VARIABLES = {"--endpoint": "DATAROBOT_ENDPOINT", "--token-file": "DATAROBOT_API_TOKEN"}


@define
class Invocation:
    """One command: its global options, its session while that is open, and its output."""

    given: dict[str, Any]
    terminal: Terminal = field(init=False, factory=Terminal)
    session: AsyncSession = field(init=False)
    go_on: Callable[[], str] = field(init=False, default=lambda: "")
    """Words what to do after an interruption."""

    def run(self, work: Callable[[Self], Awaitable[T]], *, opened: bool) -> T:
        """Await the work, with the session ``opened`` meanwhile or left to it.

        On asyncio alone: a program has one event loop and nobody to choose another, and Ctrl-C is asyncio's
        own there: it cancels the work, which then leaves what can be resumed.

        Raises:
            Failure: It was interrupted.
        """

        async def main() -> T:
            async with self.opened() if opened else nullcontext():
                return await work(self)

        try:
            return anyio.run(main)
        except (BrokenPipeError, KeyboardInterrupt) as error:
            end = messages.failure_of(error)
            raise messages.Failure("; ".join(filter(None, (end.message, self.go_on()))), end.code) from None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the session, and show the library's log: why it waits, and all of it where that is asked for."""
        options = {name: value for name, value in self.given.items() if value is not None}
        verbose = options.pop("verbose")
        names = ("endpoint", "token_file", "token_command")
        endpoint, token = _credentials(*(options.pop(name, None) for name in names))
        async with AsyncSession(endpoint, token, **options) as self.session:
            server = urlsplit(self.session.settings.endpoint).netloc
            handler = LogHandler(self.terminal, server, verbose=verbose)
            logger.addHandler(handler)
            logger.setLevel(handler.level)
            try:
                yield
            finally:
                logger.removeHandler(handler)
                logger.setLevel(logging.NOTSET)
                handler.close()

    def printer(self, method: str, *, columns: Sequence[str] = (), **output: Any) -> Printer:
        """Return what prints the list that a method of `VIEWS` returns, or only these attributes of its things."""
        return Printer(self.terminal, VIEWS[method].choose(columns), fit=not columns, **output)

    def show(self, thing: Any, *, as_json: bool) -> None:
        """Print one thing with everything there is of it."""
        if as_json:
            self.terminal.write(to_json(thing, indent=2))
        elif not self.terminal.for_people:
            for name, value in flat(thing):
                self.terminal.write(f"{name}\t{field_text(value)}")
        else:
            self.terminal.print(described(flat(thing), self.terminal.out.width))

    async def follow(self, operation: Operation[T], what: str, patience: float) -> T:
        """Wait for an operation, in seconds, and return its result; meanwhile the server's word is shown."""
        started, word = time.monotonic(), ""

        def update(status: OperationStatus) -> None:
            nonlocal word
            if status.status != word:
                word = status.status
                say = self.terminal.spin if self.terminal.live else self.terminal.say
                say(f"{what}: {word}")

        if operation.location is not None:
            # It is the server's text, and will be pasted into a shell.
            again = f"dr-mlops operations wait {shlex.quote(messages.clean(operation.location))}"
            self.go_on = lambda: f"the server goes on with it; to wait again: {again}"
        with self.terminal.busy(what):
            result = await operation.wait(timeout=patience, on_update=update)
        self.go_on = lambda: ""
        self.terminal.say(f"{what}: done in {messages.duration(time.monotonic() - started)}")
        return result

    async def finish(self, operation: Operation[Any], what: str, *, wait: bool, patience: float) -> None:
        if wait:
            await self.follow(operation, what, patience)
        elif operation.location is None:
            self.terminal.say("done: the server had finished at once")
        else:
            self.terminal.write(messages.clean(operation.location))

    async def download(self, artifact: Artifact, destination: str, **how: Any) -> DownloadResult:
        """Download to where the user says, show how far it is, and print the file's path as the result.

        Stdout gets the bytes in order: verification comes with the last one, and the exit code tells the reader
        whether to keep what it got.
        """
        terminal, live = self.terminal, self.terminal.live
        target: Any = destination
        if destination == STDOUT:
            # What was closed when the program began (`>&-`) is the null device now.
            is_closed = getattr(terminal.out.file, "name", "") == os.devnull
            if is_closed or terminal.for_people:
                state = "closed" if is_closed else "a terminal"
                raise messages.usage(f"stdout is {state}: redirect it, or name a file")
            live, target = can_redraw(terminal.err), sys.stdout.buffer
        else:
            if how.get("resume"):
                self.go_on = lambda: messages.GO_ON
            if artifact.filename:
                terminal.say(
                    artifact.filename + (f", {messages.size(artifact.size)}" if artifact.size else "")
                )
        try:
            result = await self._drawn(partial(artifact.download, target, **how), live=live)
        except (IntegrityError, ObjectChangedError) as error:
            if destination != STDOUT:
                raise
            wrong = f"{error.summary}; what was written to stdout is wrong: throw it away"
            raise messages.Failure(wrong, messages.ExitCode.DOWNLOAD) from error
        if destination == STDOUT:
            sys.stdout.buffer.flush()
        terminal.say(verdict(result))
        # Stdout, a pipe or a device has the bytes, and no path worth telling.
        if result.path is not None:
            terminal.write_path(result.path)
        return result

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
        verified = await self._drawn(partial(verify_file, path, **what), live=self.terminal.live)
        self.terminal.say(f"SHA-256 verified by {', '.join(verified.verified_by)}: {verified.sha256}")
        self.terminal.write_path(path)
        return verified

    async def _drawn(self, work: Callable[..., Awaitable[R]], *, live: bool) -> R:
        """Await what takes an ``on_progress``, and show how far it is: a bar, or now and then a line."""
        with RichBars(console=self.terminal.err, disable=not live) as bars:
            bar = bars.add_bar()
            show = partial(bars.draw_progress, bar) if live else LogLines(self.terminal.say).show
            result = await work(on_progress=show)
            rest = "[green]✓ verified[/]" if result.verified_by else "[yellow]done[/]"
            bars.update(bar, completed=result.size, total=result.size, rest=rest, refresh=True)
        return result

    async def bulk(self, verb: str, call: Callable[[str], Awaitable[Any]], **options: Any) -> None:
        await BulkAction(self, verb, call, **options).run()


def verdict(result: DownloadResult) -> str:
    if result.already_present:
        return f"already here, SHA-256 verified: {result.sha256}"
    checked = f"SHA-256 verified: {result.sha256}" if result.verified_by else f"SHA-256 {result.sha256}"
    resumed = f" after {messages.size(result.resumed_from)} from before" if result.resumed_from else ""
    fetched = result.size - result.resumed_from
    speed = f" ({messages.rate(fetched / result.elapsed)})" if result.elapsed > 0 else ""
    return f"{messages.size(result.size)} in {messages.duration(result.elapsed)}{resumed}{speed}, {checked}"


def _credentials(
    endpoint: str | None, token_file: str | None, token_command: str | None
) -> tuple[str | None, str | TokenCommand | None]:
    """Return endpoint and token, or ``None`` for both where the session has to look for them.

    The environment may complete one given half, but never with half of its own pair: that token belongs
    to that endpoint.
    """
    token = TokenCommand(token_command) if token_command else _read_token(token_file)
    if (endpoint is None) == (token is None):
        return endpoint, token
    present, missing = _VARIABLES if token is None else reversed(_VARIABLES)
    here = os.environ.get(_VARIABLES[missing])
    if not here or os.environ.get(_VARIABLES[present]):
        raise ConfigError(
            f"{present} is given and {missing} is not: give both, so that a token never travels to another "
            f"source's endpoint (or set {_VARIABLES[missing]} and not {_VARIABLES[present]})"
        )
    return endpoint or here, token or here


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
