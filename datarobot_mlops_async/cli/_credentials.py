"""Endpoint and token as far as the command line gives them. The token itself is never an argument."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._options import STDIN
from datarobot_mlops_async.errors import ConfigError

_HALVES = {"endpoint": "DATAROBOT_ENDPOINT", "token": "DATAROBOT_API_TOKEN"}
_OPTIONS = {"endpoint": "--endpoint", "token": "--token-file"}


def credentials(
    endpoint: str | None, token_file: str | None, token_command: str | None
) -> tuple[str | None, str | None]:
    """Return endpoint and token, or ``None`` for both where the session has to look for them.

    The environment may complete one given half, but never with half of its own pair: that token belongs
    to that endpoint.

    Raises:
        ConfigError: One half is missing, or there is no token where it was said to be.
    """
    given = {"endpoint": endpoint, "token": _read(token_file) or _ask(token_command)}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        (name,) = missing
        if not all(os.environ.get(variable) for variable in _HALVES.values()):
            given[name] = os.environ.get(_HALVES[name]) or None
        if given[name] is None:
            (other,) = given.keys() - missing
            raise ConfigError(
                f"{_OPTIONS[other]} is given and {_OPTIONS[name]} is not: give both, so that a token never travels "
                f"to another source's endpoint (or set {_HALVES[name]} and not {_HALVES[other]})"
            )
    return given["endpoint"], given["token"]


def _read(token_file: str | None) -> str | None:
    if token_file is None:
        return None
    try:
        text = Path(token_file).read_text("utf-8") if token_file != STDIN else sys.stdin.readline()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--token-file {token_file} cannot be read: {reason}") from None
    return _not_empty(text, f"--token-file {token_file}")


def _ask(token_command: str | None) -> str | None:
    if token_command is None:
        return None
    try:
        words = shlex.split(token_command)
        # What it says on stderr, a question for a password among it, is for the person.
        asked = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - the user's own
    except (OSError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or clean(error)
        raise ConfigError(f"--token-command cannot be run: {reason}") from None
    if asked.returncode:
        raise ConfigError(f"--token-command {words[0]} failed with exit code {asked.returncode}")
    return _not_empty(asked.stdout, f"the output of --token-command {words[0]}")


def _not_empty(text: str, what: str) -> str:
    if not text.strip():
        raise ConfigError(f"{what} is empty")
    return text.strip()
