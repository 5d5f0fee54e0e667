"""The status line: what is waited for, on a terminal, as long as it is waited for."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field
from rich.text import Text

from datarobot_mlops_async.cli._messages import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.status import Status

_BLANK_SECONDS = 0.5
"""How long the screen may stay blank before it says that the server is waited for."""


@define
class StatusLine:
    """A spinner with what goes on, or for a while with why it does not."""

    console: Console
    live: bool
    is_blank: bool = field(init=False, default=True)
    """Whether nothing has been shown yet, here or by others."""
    _what: str = field(init=False, default="")
    _why: str = field(init=False, default="")
    _spinner: Status | None = field(init=False, default=None)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show what goes on."""
        self.say_what(what)
        try:
            yield
        finally:
            self.say_what("")

    def say_what(self, what: str) -> None:
        """Say what goes on; nothing any more with an empty text."""
        self._what = what
        self._draw()

    def say_why(self, why: str) -> None:
        """Say why it stands still; it goes on with an empty text."""
        self._why = why
        self._draw()

    def hide(self) -> None:
        """Make room for other output, until there is something new to say."""
        self.is_blank = False
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _draw(self) -> None:
        text = self._why or self._what
        self.is_blank = self.is_blank and not text
        if not self.live or not text:
            self.hide()
        elif self._spinner is None:
            self._spinner = self.console.status(Text(clean(text)))
            self._spinner.start()
        else:
            self._spinner.update(Text(clean(text)))


class WaitingHandler(logging.Handler):
    """Shows on the status line what the library logs of waiting: records with a ``delay`` and a ``reason``.

    Before any of them it says that the server is waited for, when the screen has been blank for a while.
    """

    def __init__(self, status: StatusLine, server: str) -> None:
        super().__init__(logging.INFO)
        self._status = status
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_BLANK_SECONDS, self._end_silence, f"waiting for {server}")
        self._until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record until its delay is over."""
        if (delay := getattr(record, "delay", None)) is not None:
            # The library's threads log too.
            self._loop.call_soon_threadsafe(self._wait, delay, getattr(record, "reason", ""))

    def close(self) -> None:
        """Leave the screen as it was."""
        self._timer.cancel()
        self._status.hide()
        super().close()

    def _end_silence(self, what: str) -> None:
        if self._status.is_blank:
            self._status.say_what(what)

    def _wait(self, delay: float, reason: str) -> None:
        self._status.say_why(reason)
        end = self._loop.time() + delay
        if end > self._until:
            self._until = end
            self._timer.cancel()
            self._timer = self._loop.call_later(delay, self._status.say_why, "")
