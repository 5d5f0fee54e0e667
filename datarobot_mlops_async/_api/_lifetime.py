"""Where and how long a session may be used."""

from __future__ import annotations

import asyncio

import anyio.lowlevel

from datarobot_mlops_async.errors import SessionStateError


class Lifetime:
    """Where and how long a session may be used: in the event loop that entered it, until it is closed."""

    def __init__(self) -> None:
        self._loop: object = None
        self._closed = False

    def enter(self) -> None:
        """Tie the session to the running event loop."""
        if self._loop is not None or self._closed:
            raise SessionStateError("a session can be entered once: make a new AsyncSession")
        self._loop = _event_loop()

    def close(self) -> None:
        """Forbid further use."""
        self._closed = True

    def check(self) -> None:
        """Raise unless the session can be used here and now.

        Raises:
            SessionStateError: The session was not entered, is closed, or belongs to another event loop.
        """
        if self._closed:
            raise SessionStateError(
                "the session is closed: use it inside its own 'async with AsyncSession()'"
            )
        if self._loop is None:
            raise SessionStateError("the session is not open: use 'async with AsyncSession() as session'")
        if self._loop != _event_loop():
            raise SessionStateError(
                "the session belongs to another event loop (a second asyncio.run() or another thread): "
                "make one AsyncSession in each"
            )


def _event_loop() -> object:
    try:
        # A tenth of the time that anyio's token takes.
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token()
