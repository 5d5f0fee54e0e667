"""Endpoint and token as far as the command line gives them. The token itself is never an argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from datarobot_mlops_async._config import TokenCommand
from datarobot_mlops_async.cli._options import STDIN
from datarobot_mlops_async.errors import ConfigError

_HALVES = {"endpoint": "DATAROBOT_ENDPOINT", "token": "DATAROBOT_API_TOKEN"}
_OPTIONS = {"endpoint": "--endpoint", "token": "--token-file"}


def credentials(
    endpoint: str | None, token_file: str | None, token_command: str | None
) -> tuple[str | None, str | TokenCommand | None]:
    """Return endpoint and token, or ``None`` for both where the session has to look for them.

    The environment may complete one given half, but never with half of its own pair: that token belongs
    to that endpoint.

    Raises:
        ConfigError: One half is missing, or there is no token where it was said to be.
    """
    token = TokenCommand(token_command) if token_command else _read(token_file)
    if (endpoint is None) == (token is None):
        return endpoint, token
    other, name = ("endpoint", "token") if token is None else ("token", "endpoint")
    has_both = all(os.environ.get(variable) for variable in _HALVES.values())
    found = None if has_both else os.environ.get(_HALVES[name])
    if not found:
        raise ConfigError(
            f"{_OPTIONS[other]} is given and {_OPTIONS[name]} is not: give both, so that a token never travels "
            f"to another source's endpoint (or set {_HALVES[name]} and not {_HALVES[other]})"
        )
    return (endpoint, found) if token is None else (found, token)


def _read(token_file: str | None) -> str | None:
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
