"""Tokens that change: where they come from, and how one looks that can be sent."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from subprocess import CalledProcessError
from typing import ClassVar

import anyio
from anyio import CapacityLimiter, to_thread
from attrs import frozen

from datarobot_mlops_async._config._places import home_path
from datarobot_mlops_async.errors import ConfigError

Token = str | tuple[str, float | datetime]
"""A token; or a token and when it expires: seconds since the epoch, or an aware ``datetime``."""
TokenSource = Callable[[], Token | Awaitable[Token]]
"""What returns a token when it is called, at once or awaited."""

_LOOK_AGAIN = 5.0


def check_token(token: object, source: str, what: str = "token") -> str:
    """Return a token, or another part of a header, that can be sent.

    Raises:
        ConfigError: It is no text, or would not stay inside of its header.
    """
    if not isinstance(token, str):
        raise ConfigError(f"{source}: {what} must be a string, not {type(token).__name__}")
    # Header injection, and a classic: the text of a "newline in header" error prints the token.
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"the {what} from {source} holds a line break, blank, control or non-ASCII character: "
            "copy it again without surrounding white space (its value is not shown)"
        )
    return token


@frozen
class TokenFile:
    """The token in a file that something else replaces now and then, such as a mounted secret.

    Looked at again after 5 s, and after the server has refused the token.
    """

    path: str

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"the token file {self.path}"

    async def __call__(self) -> tuple[str, float]:
        try:
            # A file that cannot be read to its end, such as a pipe, keeps its thread and nobody else.
            text = await to_thread.run_sync(
                lambda: home_path(self.path).read_text("utf-8"),
                limiter=CapacityLimiter(1),
                abandon_on_cancel=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"{self.what} cannot be read: {reason}") from None
        return text.strip(), time.time() + _LOOK_AGAIN


@frozen
class TokenCommand:
    """The token that a command prints, such as ``vault read -field=token secret/datarobot``.

    Run without a shell: once, and again after the server has refused the token.
    """

    command: str
    what: ClassVar[str] = "the token command"

    async def __call__(self) -> str:
        command = self.command if os.name == "nt" else shlex.split(self.command)
        try:
            result = await anyio.run_process(command, stderr=None)
        except CalledProcessError as error:
            raise ConfigError(f"{self.what} ended with status {error.returncode}") from None
        except OSError as error:
            raise ConfigError(f"{self.what} cannot be run: {error.strerror}") from None
        token = result.stdout.decode("utf-8", "replace").strip()
        if not token:
            raise ConfigError(f"{self.what} printed nothing")
        return token
