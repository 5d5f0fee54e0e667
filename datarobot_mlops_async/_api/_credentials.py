"""The token of a session, asked for again when it is about to expire or was refused."""

from __future__ import annotations

import builtins
import inspect
import math
import time
from datetime import datetime
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async._config import check_token
from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async.errors import ConfigError, MLOpsError, TimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._redaction import Redactor

_EARLY = 30.0
_TRY_AGAIN = 5.0
_SOURCE = "token="


class Credentials:
    """The ``Authorization`` header's value.

    A source of tokens is asked by one task at a time; the others wait for its answer. Every token it
    ever gave is taken out of what servers say.
    """

    def __init__(
        self, settings: Settings, redactor: Redactor, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._redactor = redactor
        self._source = settings.token_source
        self._value = "" if settings.token is None else settings.authorization
        self._renew_at = self._expires_at = math.inf if self._source is None else -math.inf
        self._lock = anyio.Lock()

    @property
    def known(self) -> str | None:
        """The value, if it need not be asked for."""
        return self._value if self._clock() < self._renew_at else None

    async def get(self, timeout: float) -> str:
        """Return the value, asked for where there is none that is good for a while.

        The timeout counts for the source, and for whoever asks it already.

        Raises:
            ConfigError: The source has failed, or gave no token.
            TimeoutError: It gave none in time.
        """
        try:
            await self._ask_in_turn(lambda: self.known is None, timeout)
        except MLOpsError as error:
            if self._clock() >= self._expires_at:
                raise
            logger.warning("the token was not renewed, the old one is still good: %s", error.message)
            self._renew_at = min(self._clock() + _TRY_AGAIN, self._expires_at)
        return self._value

    async def renew(self, refused: str, timeout: float) -> bool:
        """Ask for another token after one was refused; ``False`` where there is nobody to ask.

        If another one than the refused one is known by now, nobody is asked.
        """
        if self._source is None:
            return False
        await self._ask_in_turn(lambda: self._value == refused, timeout)
        return True

    async def _ask_in_turn(self, is_needed: Callable[[], bool], timeout: float) -> None:
        try:
            with anyio.fail_after(timeout):
                async with self._lock:
                    if is_needed():
                        await self._ask()
        except builtins.TimeoutError:
            name = getattr(self._source, "what", "the callable given as token=")
            raise TimeoutError(
                f"{name} gave no token within {timeout:g} s, the request's timeout: run it by itself to see what it "
                "waits for, or give requests a longer timeout"
            ) from None

    async def _ask(self) -> None:
        assert self._source is not None  # the only one who has no moment to renew
        try:
            answer = self._source()
            answer = await answer if inspect.isawaitable(answer) else answer
        except MLOpsError:
            raise
        except Exception as error:
            raise ConfigError(f"the source of the token has failed with {type(error).__name__}") from error
        token, expires = answer if isinstance(answer, tuple) else (answer, math.inf)
        self._value = f"{self._settings.token_type} {check_token(token, _SOURCE)}"
        self._redactor.add(token)
        self._expires_at = expires.timestamp() if isinstance(expires, datetime) else float(expires)
        now = self._clock()
        self._renew_at = self._expires_at - min(_EARLY, max(0.0, self._expires_at - now) / 10)
