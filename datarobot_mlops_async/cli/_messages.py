"""What people read: errors with their exit codes, numbers in words, and text from outside made harmless."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING

import click
from attrs import frozen

from datarobot_mlops_async import errors
from datarobot_mlops_async._progress.words import duration, rate, size
from datarobot_mlops_async.errors import Hint, MLOpsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["duration", "rate", "size"]

GO_ON = "what is here was kept: the same command goes on from there"
# Escape sequences as a whole, so that none leaves its tail behind as text.
_SEQUENCE = re.compile(
    # Strings (OSC, DCS, SOS, PM, APC) up to their end, CSI sequences, all other escapes.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Characters that a terminal obeys, or that reorder or hide text on it; but for tab and line feed."""


class ExitCode(IntEnum):
    """The process's exit codes; the package's docstring says what each means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    OPERATION = 6
    DOWNLOAD = 7
    PARTIAL = 8
    INTERRUPTED = 130
    BROKEN_PIPE = 141


@frozen
class Failure(Exception):  # noqa: N818 - it is raised to end a command, with or without an error
    """Ends a command with a line for stderr and an exit code."""

    message: str
    code: ExitCode = ExitCode.FAILED


# The first match counts, so subclasses stand before their parents.
_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], ExitCode], ...] = (
    ((errors.ConfigError, errors.AuthenticationError, errors.PermissionDeniedError), ExitCode.SETTINGS),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.TransportError, ExitCode.UNREACHABLE),
    (errors.OperationError, ExitCode.OPERATION),
    (errors.DownloadError, ExitCode.DOWNLOAD),
    # Checks before anything is sent.
    (ValueError, ExitCode.USAGE),
    ((KeyboardInterrupt, click.Abort), ExitCode.INTERRUPTED),
    (BrokenPipeError, ExitCode.BROKEN_PIPE),
)
_PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")
# Hints that the command line words in its own terms; the others read the same everywhere.
_ADVICE = {
    Hint.CHECK_ENDPOINT: "check the endpoint; where the service is reached through a proxy, set HTTPS_PROXY or use "
    "--proxy",
    Hint.CHECK_PROXY: "check --proxy, or leave it out where the service is reached without one",
    Hint.GIVE_CREDENTIALS: "set DATAROBOT_ENDPOINT and DATAROBOT_API_TOKEN, or write both to "
    "~/.config/datarobot/drconfig.yaml (keys endpoint and token), or use --endpoint with --token-file",
    Hint.FREE_SPACE: "free space and give the same command again: what is there is kept and will be resumed",
    Hint.GIVE_CERTIFICATE: "use --cert FILE with the certificate that the server's owner gave you, or set ssl_cert "
    "in drconfig.yaml",
    Hint.NEW_TOKEN: f"{Hint.NEW_TOKEN.advice} and set DATAROBOT_API_TOKEN",
    Hint.OVERWRITE: "--overwrite replaces it",
    Hint.TRUST_AUTHORITY: "for an authority of your own, or a self-signed certificate, use --ca-file FILE or set "
    "ssl_verify in drconfig.yaml (--insecure trusts any server, and with it whoever listens)",
    Hint.WAIT_AGAIN: "to wait again: dr-mlops operations wait LOCATION",
}


def failure_of(error: BaseException, environ: Mapping[str, str] = os.environ) -> Failure:
    """Return the line and the exit code for an error; of several that came together, for the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Failure):
        return error
    code = next((code for class_, code in _CODES if isinstance(error, class_)), ExitCode.FAILED)
    return Failure(_message_of(error, environ), code)


def _message_of(error: BaseException, environ: Mapping[str, str]) -> str:
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted"
    if isinstance(error, BrokenPipeError):
        return ""
    if isinstance(error, MLOpsError):
        return "; ".join(filter(None, (error.summary, _advice(error.hint, environ))))
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(filter(None, (error.filename, error.strerror)))
    if is_expected(error):
        return str(error)
    what = f"{type(error).__name__}: {error}"
    return f"internal error: {what}; please report it (-v shows where it happened)"


def _advice(hint: Hint | None, environ: Mapping[str, str]) -> str:
    if hint is None:
        return ""
    variable = next((each for each in environ if each.lower() in _PROXY_VARIABLES and environ[each]), None)
    if hint in {Hint.CHECK_ENDPOINT, Hint.CHECK_PROXY} and variable is not None:
        # Not its value: a proxy's URL can hold a password.
        return (
            f"a proxy is set in {variable}: check it, or name the service's host in NO_PROXY if it is reached "
            "without one"
        )
    return _ADVICE.get(hint, hint.advice)


def is_expected(error: BaseException) -> bool:
    """Tell whether an error is worded for people: ours, an argument's, or the system's."""
    return isinstance(error, (Failure, MLOpsError, ValueError, OSError))


def usage(message: str) -> Failure:
    """Return what ends a command whose arguments make no sense; nothing was sent."""
    return Failure(message, ExitCode.USAGE)


def escaped(json_text: str) -> str:
    """Return JSON that means the same and holds nothing that a terminal obeys."""
    return UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], json_text)


def clean(text: object, *, keep_blanks: bool = False) -> str:
    """Return text from outside as one line that a terminal shows and does not obey.

    ``keep_blanks`` says that runs of blanks and tabs mean something, as in a log.
    """
    harmless = UNSAFE.sub(" ", _SEQUENCE.sub("", str(text)))
    return harmless.replace("\n", " ").rstrip() if keep_blanks else " ".join(harmless.split())


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Word how long ago a moment was: ``3 h ago``."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    for length, unit in ((365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= length:
            count = f"{abs(seconds) // length:.0f} {unit}"
            return f"{count} ago" if seconds > 0 else f"in {count}"
    return "just now"


def count(number: int, noun: str) -> str:
    """Word a number of things: ``1 deployment``, ``2,000 deployments``, ``3 capabilities``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
