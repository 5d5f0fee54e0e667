"""What went wrong, as one line and an exit code, with a word on the mistakes that everyone makes first."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING

from attrs import frozen

from datarobot_mlops_async.errors import (
    AuthenticationError,
    ConfigError,
    DownloadError,
    Hint,
    MLOpsError,
    NotFoundError,
    OperationError,
    PermissionDeniedError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    code: ExitCode


# The first match counts, so subclasses stand before their parents.
_CODES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], ExitCode], ...] = (
    ((ConfigError, AuthenticationError, PermissionDeniedError), ExitCode.SETTINGS),
    (NotFoundError, ExitCode.NOT_FOUND),
    (TransportError, ExitCode.UNREACHABLE),
    (OperationError, ExitCode.OPERATION),
    (DownloadError, ExitCode.DOWNLOAD),
    # Checks before anything is sent.
    (ValueError, ExitCode.USAGE),
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


def failure_of(error: Exception, environ: Mapping[str, str] = os.environ) -> Failure:
    """Return the line and the exit code for an error."""
    if isinstance(error, Failure):
        return error
    if not is_expected(error):
        bug = (
            f"internal error: {type(error).__name__}: {error}; please report it (-v shows where it happened)"
        )
        return Failure(bug, ExitCode.FAILED)
    code = next((code for class_, code in _CODES if isinstance(error, class_)), ExitCode.FAILED)
    if isinstance(error, MLOpsError):
        return Failure("; ".join(filter(None, (error.summary, _advice(error.hint, environ)))), code)
    if isinstance(error, OSError) and error.strerror:
        return Failure(": ".join(filter(None, (error.filename, error.strerror))), code)
    return Failure(str(error), code)


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


def is_expected(error: Exception) -> bool:
    """Tell whether an error is worded for people: ours, an argument's, or the system's."""
    return isinstance(error, (Failure, MLOpsError, ValueError, OSError))


def usage(message: str) -> Failure:
    """Return what ends a command whose arguments make no sense; nothing was sent."""
    return Failure(message, ExitCode.USAGE)
