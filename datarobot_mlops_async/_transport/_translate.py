"""httpx's exceptions as ours."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx

from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeoutError,
    ProtocolError,
    ReadError,
    TimeoutError,  # noqa: A004 - ours
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first match counts, so subclasses stand before their parents.
_CLASSES: tuple[tuple[type[Exception], type[TransportError], str], ...] = (
    (httpx.ConnectTimeout, ConnectTimeoutError, "no connection in time"),
    (httpx.TimeoutException, TimeoutError, "no answer in time"),
    (httpx.ConnectError, ConnectError, "cannot connect"),
    (httpx.ProxyError, ConnectError, "the proxy refused"),
    (httpx.UnsupportedProtocol, ConnectError, "cannot connect"),
    (httpx.NetworkError, ReadError, "the connection broke"),
    (httpx.RemoteProtocolError, ReadError, "the connection broke"),
    (httpx.HTTPError, ProtocolError, "the answer is not valid HTTP"),
)


def without_query(url: str) -> str:
    """Return a URL fit for messages and logs: no user name, password, query or fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def translate_error(error: httpx.HTTPError, *, method: str, url: str) -> TransportError:
    """Return ours for an httpx exception; the caller raises it from the original."""
    safe_url = without_query(url)
    detail = str(without_quotes(error))
    if _is_certificate_failure(error):
        return CertificateError(
            f"{method} {safe_url}: the server's certificate is not trusted ({detail})",
            method=method,
            url=safe_url,
        )
    class_, what = next((ours, what) for theirs, ours, what in _CLASSES if isinstance(error, theirs))
    message = f"{method} {safe_url}: {what}" + (f" ({detail})" if detail else "")
    return class_(message, method=method, url=safe_url)


E = TypeVar("E", bound=BaseException)


def without_quotes(error: E) -> E:
    """Cut out of an exception and its causes what h11 quotes of a broken head: it can be a signed ``Location``."""
    for each in _chain(error):
        if each.args and isinstance(each.args[0], str) and "bytearray(" in each.args[0]:
            each.args = (each.args[0].partition(": bytearray(")[0], *each.args[1:])
    return error


def _is_certificate_failure(error: BaseException) -> bool:
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _chain(error)) or (
        # httpx keeps the text but, over some backends, not the cause.
        isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
