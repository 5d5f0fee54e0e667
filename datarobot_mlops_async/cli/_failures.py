"""What went wrong, as one line and an exit code, with a word on the mistakes that everyone makes first."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING

from attrs import frozen

from datarobot_mlops_async.errors import (
    APIStatusError,
    AuthenticationError,
    CertificateError,
    ConfigError,
    ConnectError,
    DecodeError,
    DownloadError,
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
    """Ends a command with a line for stderr and an exit code.

    Attributes:
        message: The line; empty when everything has been said.
        code: The exit code.
    """

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

_LISTS = ("/deployments/", "/deletedDeployments/", "/customModelDeployments/", "/mlops/compute/bundles/")
_PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")
_PYTHON_WORDS = {
    "pass endpoint= and token=": "use --endpoint with --token-file",
    "for an authority of your own pass verify='/path/of/ca.pem' or set ssl_verify in drconfig.yaml": (
        "for an authority of your own, or a self-signed certificate, use --ca-file FILE or set ssl_verify in "
        "drconfig.yaml (--insecure trusts any server, and with it whoever listens)"
    ),
    "await it again, or resume it with session.operation(location)": (
        "to wait again: dr-mlops operations wait LOCATION"
    ),
    "(for a newer server pass RawValue(...))": "",
}


def failure_of(error: Exception, environ: Mapping[str, str] = os.environ) -> Failure:
    """Return the line and the exit code for an error.

    Args:
        error: What a command raised.
        environ: The environment, for advice on proxies.
    """
    code = next((code for class_, code in _CODES if isinstance(error, class_)), ExitCode.FAILED)
    message = str(error)
    for python, here in _PYTHON_WORDS.items():
        message = message.replace(python, here)
    advice = _advice(error, environ)
    return Failure(f"{message}; {advice}" if advice else message, code)


def _advice(error: Exception, environ: Mapping[str, str]) -> str:
    if isinstance(error, AuthenticationError):
        return (
            "the token is wrong, has expired or was revoked: make a new one in DataRobot under "
            "'API keys and tools' and set DATAROBOT_API_TOKEN"
        )
    if isinstance(error, ConnectError) and not isinstance(error, CertificateError):
        return _advice_on_connecting(environ)
    return _WRONG_ENDPOINT if _is_another_server(error) else ""


_WRONG_ENDPOINT = (
    "is this DataRobot? The endpoint is the address of its user interface, with or without /api/v2"
)


def _is_another_server(error: Exception) -> bool:
    """Tell whether an answer looks like one that DataRobot's API would not give."""
    if isinstance(error, APIStatusError):
        # A list is always there.
        return error.status == 405 or (error.status == 404 and error.url.endswith(_LISTS))
    return isinstance(error, DecodeError) and error.path == "$" and error.text.lstrip().startswith("<")


def _advice_on_connecting(environ: Mapping[str, str]) -> str:
    named = [name for name in environ if name.lower() in _PROXY_VARIABLES and environ[name]]
    if named:
        # Not its value: a proxy's URL can hold a password.
        return (
            f"a proxy is set in {named[0]}: check it, or name the service's host in NO_PROXY if it is reached "
            "without one"
        )
    return "check the endpoint; where the service is reached through a proxy, set HTTPS_PROXY or use --proxy"


def is_expected(error: Exception) -> bool:
    """Tell whether an error is worded for people: ours, an argument's, or the system's."""
    return isinstance(error, (MLOpsError, ValueError, OSError))


def usage(message: str) -> Failure:
    """Return what ends a command whose arguments make no sense; nothing was sent."""
    return Failure(message, ExitCode.USAGE)
