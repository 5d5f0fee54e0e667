"""What the operating system and TLS report, as errors of ours. A request's method and URL are added by the client."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from datarobot_mlops_async.errors import CertificateError, ConnectError, Hint, ReadError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

E = TypeVar("E", bound=BaseException)
T = TypeVar("T", bound=TransportError)
_WRONG_NAME = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
# What OpenSSL calls bytes that are no TLS record.
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
# Alerts with which a server refuses the client's certificate, or that it has none.
_WANTS_CERTIFICATE = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "CERTIFICATE_UNKNOWN",
)


class UnansweredError(ReadError):
    """Not a byte of an answer came. It stays in this room: the client looks for the reason."""


def without_query(url: str) -> str:
    """Return a URL fit for messages and logs: no user name, password, query or fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def name_request(error: T, method: str, url: str) -> T:
    """Give an error the request that it belongs to, unless it knows."""
    if error.url:
        return error
    error.method, error.url = method, without_query(url)
    error.message = f"{method} {error.url}: {error.message}"
    error.args = (error.message,)
    return error


def handshake_failed(error: Exception, host: str) -> ConnectError:
    """Return ours for an exception of a TLS handshake."""
    refused = refused_certificate(error)
    if refused is not None:
        return refused
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateError(
            f"the server's certificate is not trusted ({error.verify_message})",
            hint=Hint.USE_CERTIFIED_NAME if error.verify_code in _WRONG_NAME else None,
        )
    reason = getattr(error, "reason", None)
    return ConnectError(
        f"{host}: the TLS handshake failed ({reason or _words(error)})",
        hint=Hint.USE_HTTP if reason in _NO_TLS else None,
    )


def speaks_tls() -> ConnectError:
    """Return the error for a plain request to a server that wants TLS."""
    return ConnectError("the server speaks TLS", hint=Hint.USE_HTTPS)


def broken(error: Exception | None, *, begun: bool) -> TransportError:
    """Return ours for what ended a connection.

    Args:
        error: What the system or TLS says; ``None`` when the server closed the connection.
        begun: Whether a part of the answer had come.
    """
    class_ = ReadError if begun else UnansweredError
    if error is None:
        return class_("the server closed the connection before its answer was whole")
    # With TLS 1.3 a server says only behind the handshake that it wants a certificate.
    return refused_certificate(error) or class_(f"the connection broke ({_words(error)})")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def refused_certificate(error: Exception | None) -> CertificateError | None:
    """Return ours for a refusal of the client's certificate, ``None`` for anything else."""
    reason = str(getattr(error, "reason", None))
    if isinstance(error, ssl.SSLError) and reason.endswith(_WANTS_CERTIFICATE):
        return CertificateError(
            f"the server does not accept the client's certificate, or wants one ({reason})",
            hint=Hint.GIVE_CERTIFICATE,
        )
    return None


def without_quotes(error: E) -> E:
    """Cut out of an exception and its causes what h11 quotes of a broken head: it can be a signed ``Location``."""
    for each in chain(error):
        if each.args and isinstance(each.args[0], str) and "bytearray(" in each.args[0]:
            each.args = (each.args[0].partition(": bytearray(")[0], *each.args[1:])
    return error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
