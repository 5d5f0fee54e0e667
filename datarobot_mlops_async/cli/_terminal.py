"""The terminal: where output goes, and what text from outside may put there."""

from __future__ import annotations

import asyncio
import codecs
import io
import logging
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.lowlevel
from attrs import define, field
from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from datarobot_mlops_async.cli._messages import UNSAFE, Failure, clean, usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import RenderableType
    from rich.status import Status
    from rich.style import Style

_BLANK_SECONDS = 0.5
"""How long the screen may stay blank before it says that the server is waited for."""

_THEME = Theme({"bar.complete": "cyan", "bar.finished": "green"})


def plain(text: object, style: str | Style = "") -> Text:
    """Return text from outside for a console: cleaned, and with brackets that are no markup."""
    return Text(clean(text), style=style)


@define
class Terminal:
    """Both output streams of one invocation, and a spinner with what goes on, or why for a while it does not."""

    out: Console = field(factory=lambda: _console(stderr=False))
    err: Console = field(factory=lambda: _console(stderr=True))
    spins: bool = True
    """Whether the spinner may be drawn at all."""
    is_blank: bool = field(init=False, default=True)
    """Whether nothing has been shown yet, here or by others."""
    _what: str = field(init=False, default="")
    _why: str = field(init=False, default="")
    _spinner: Status | None = field(init=False, default=None)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        self.spin(what)
        try:
            yield
        finally:
            self.spin("")

    def spin(self, what: str | None = None, *, why: str | None = None) -> None:
        """Show what goes on, or why it stands still; with an empty text that is over."""
        self._what = self._what if what is None else what
        self._why = self._why if why is None else why
        text = plain(self._why or self._what)
        self.is_blank = False
        if not (self.spins and self.live and text):
            self.hide()
        elif self._spinner is None:
            self._spinner = self.err.status(text)
            self._spinner.start()
        else:
            self._spinner.update(text)

    def hide(self) -> None:
        """Make room for other output, until there is something new to say."""
        self.is_blank = False
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    @property
    def for_people(self) -> bool:
        """Whether a person reads the results.

        Not rich's own word: it says yes to any stream when FORCE_COLOR is set, which asks for colours and not for
        tables in pipes.
        """
        return self.out.file.isatty()

    @property
    def live(self) -> bool:
        """Whether progress may be drawn and redrawn: only for a person who sees both streams."""
        return can_redraw(self.out) and can_redraw(self.err)

    def print(self, result: RenderableType) -> None:
        self.hide()
        self.out.print(result)

    def say(self, text: str) -> None:
        """Tell the person something that is no result, on one line."""
        self.is_blank = False
        self.err.print(Text(clean(text, keep_blanks=True)), soft_wrap=True)

    async def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the user means it, or has said so before with ``yes``.

        Raises:
            Failure: The user does not, or nobody can be asked.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise usage("nobody can be asked, because stdin is not a terminal: say --yes (or --dry-run)")
        # Ctrl-C ends a blocking read at once: asyncio's own handler waits for the event loop, which waits here.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            # One that asyncio has taken note of before counts here.
            await anyio.lowlevel.checkpoint()
            self.hide()
            self.err.print(f"{clean(question)} [y/N] ", end="", markup=False)
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            self.err.print()
            raise
        finally:
            signal.signal(signal.SIGINT, before)
        if answer.strip().lower() not in {"y", "yes"}:
            raise Failure("nothing was done")

    def write(self, line: str) -> None:
        """Write a line of results for machines, as it is and at once."""
        self.hide()
        self.out.file.write(line + "\n")
        self.out.file.flush()

    def write_path(self, path: Path) -> None:
        """Write a path as a result: as it is for programs, and harmless for a person."""
        self.write(UNSAFE.sub("?", str(path)) if self.for_people else str(path))


def can_redraw(console: Console) -> bool:
    return console.file.isatty() and not console.is_dumb_terminal


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the caller end in its own way, where rich would exit."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A terminal without UTF-8 must show a question mark and not end the program.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return _Console(stderr=stderr, theme=_THEME, highlight=False, markup=True, emoji=False)


class LogHandler(logging.Handler):
    """Shows what the library logs: on the status line why it waits, and where that is asked for all of it above.

    Records of waiting have a ``delay`` and a ``reason``. Before any of them it says that the server is waited for,
    when the screen has been blank for a while.
    """

    def __init__(self, terminal: Terminal, server: str, *, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._terminal = terminal
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_BLANK_SECONDS, self._end_silence, server)
        self._until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if self.level == logging.DEBUG:
            self._terminal.err.print(plain(self.format(record), "dim"), soft_wrap=True)
        if (delay := getattr(record, "delay", None)) is not None:
            # The library's threads log too.
            self._loop.call_soon_threadsafe(self._wait, delay, getattr(record, "reason", ""))

    def close(self) -> None:
        self._timer.cancel()
        self._terminal.hide()
        super().close()

    def _end_silence(self, server: str) -> None:
        if self._terminal.is_blank:
            self._terminal.spin(f"waiting for {server}")

    def _wait(self, delay: float, reason: str) -> None:
        self._terminal.spin(why=reason)
        end = self._loop.time() + delay
        if end > self._until:
            self._until = end
            self._timer.cancel()
            self._timer = self._loop.call_later(delay, lambda: self._terminal.spin(why=""))


class CleanLines:
    """A binary file object that shows text on a terminal which obeys nothing in it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def write(self, data: bytes, /, *, final: bool = False) -> None:
        """Show the lines that are whole, and in the end what stands behind the last one."""
        *lines, self._rest = (self._rest + self._decoder.decode(data, final)).split("\n")
        for line in [*lines, self._rest] if final and self._rest else lines:
            self._terminal.write(clean(line, keep_blanks=True))
