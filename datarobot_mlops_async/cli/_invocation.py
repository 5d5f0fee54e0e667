"""One run of the program: what its global options say, and the session they make."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
from attrs import field, frozen

from datarobot_mlops_async.cli._failures import ExitCode, Failure
from datarobot_mlops_async.cli._terminal import Terminal, plain
from datarobot_mlops_async.errors import ConfigError
from datarobot_mlops_async.session import DEFAULT_TIMEOUT, AsyncSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

T = TypeVar("T")
_LOGGER = logging.getLogger("datarobot_mlops_async")
_STDIN = "-"
_HALVES = {"endpoint": "DATAROBOT_ENDPOINT", "token": "DATAROBOT_API_TOKEN"}


@frozen(kw_only=True)
class Invocation:
    """The global options.

    Attributes:
        endpoint: Base URL; ``None`` for the session's own sources.
        token_file: File with the token, ``-`` for stdin's first line; ``None`` for the session's own sources.
        config_file: A ``drconfig.yaml``.
        verify: Whether to check certificates, or a CA file; ``None`` for the session's own sources.
        proxy: Proxy URL.
        timeout: Seconds for one attempt of a request; ``None`` for the session's own.
        retries: Attempts after a request's first; ``None`` for the session's own.
        strict: Whether to refuse answers that are not as the API page promises.
        terminal: Where output goes.
    """

    endpoint: str | None = None
    token_file: str | None = None
    config_file: Path | None = None
    verify: bool | Path | None = None
    proxy: str | None = None
    timeout: float | None = None
    retries: int | None = None
    strict: bool = False
    terminal: Terminal = field(factory=Terminal)

    def session(self) -> AsyncSession:
        """Return a session that is not open yet.

        Raises:
            ConfigError: Settings are missing, contradictory or unsafe.
        """
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

    def run(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        on_interrupt: Callable[[], str] = lambda: "",
    ) -> T:
        """Open a session, await the work, close the session.

        On asyncio alone: a program has one event loop and nobody to choose another, and Ctrl-C is asyncio's
        own there: it cancels the work, which then leaves what can be resumed.

        Args:
            work: What to do with the session.
            on_interrupt: Says how to go on after Ctrl-C; empty when there is nothing to go on with.

        Raises:
            Failure: It was interrupted.
        """

        async def main() -> T:
            async with self.session() as session:
                return await work(session)

        try:
            return anyio.run(main)
        except KeyboardInterrupt:
            advice = on_interrupt()
            raise Failure(
                f"interrupted; {advice}" if advice else "interrupted", ExitCode.INTERRUPTED
            ) from None

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
                Path(self.token_file).read_text("utf-8")
                if self.token_file != _STDIN
                else sys.stdin.readline()
            )
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"--token-file {self.token_file} cannot be read: {reason}") from None
        if not text.strip():
            raise ConfigError(f"--token-file {self.token_file} is empty")
        return text.strip()


class TerminalHandler(logging.Handler):
    """Log records on stderr, above whatever is drawn there."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record on one line."""
        self._terminal.err.print(plain(self.format(record), "quiet"), soft_wrap=True)


def show_log(terminal: Terminal) -> logging.Handler:
    """Show the library's log on stderr, until `hide_log`."""
    handler = TerminalHandler(terminal)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG)
    return handler


def hide_log(handler: logging.Handler) -> None:
    """Undo `show_log`."""
    _LOGGER.removeHandler(handler)
    _LOGGER.setLevel(logging.NOTSET)
