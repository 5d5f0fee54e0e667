"""What httpx raises, as errors of ours; and what it logs, which must stay secret.

httpcore logs the headers of every response at DEBUG, and the ``Location`` of an artifact's redirect is a
signed URL. Inside `quiet` such records are dropped; other users of httpx in the process are not touched.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import httpx

from datarobot_mlops_async._transport._failures import chain, handshake_failed, name_request, without_quotes
from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeoutError,
    ProtocolError,
    ReadError,
    TimeoutError,
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
    # With TLS 1.3 a server may refuse as late as in the place of its answer, where no transport expects it.
    (ssl.SSLError, ReadError, "the connection broke"),
)
_ours: ContextVar[bool] = ContextVar("datarobot_mlops_async_request", default=False)


def translate_error(error: httpx.HTTPError | ssl.SSLError, *, method: str, url: str) -> TransportError:
    """Return ours for what an httpx transport raised; the caller raises it from the original."""
    return name_request(_translated(error), method, url)


def _translated(error: httpx.HTTPError | ssl.SSLError) -> TransportError:
    detail = str(without_quotes(error))
    for each in chain(error):
        if isinstance(each, ssl.SSLError):
            ours = handshake_failed(each, "the server")
            if isinstance(ours, CertificateError) or isinstance(error, httpx.ConnectError):
                return ours
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in detail:
        # httpx keeps the text but, over some backends, not the cause.
        return CertificateError(f"the server's certificate is not trusted ({detail})")
    class_, what = next((ours, what) for theirs, ours, what in _CLASSES if isinstance(error, theirs))
    return class_(what + (f" ({detail})" if detail else ""))


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what httpx and httpcore log in this context."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def _is_foreign(_record: logging.LogRecord) -> bool:
    return not _ours.get()


# Named and not imported: httpx itself loads httpcore, and with it trio, with the first connection only.
_HTTPCORE = httpx.__name__.replace("httpx", "httpcore")
for _name in (
    httpx.__name__,
    *(f"{_HTTPCORE}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
):
    logging.getLogger(_name).addFilter(_is_foreign)
