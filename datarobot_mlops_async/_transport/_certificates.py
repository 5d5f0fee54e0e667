"""Whom a TLS connection trusts, and what it shows of itself."""

from __future__ import annotations

import os
import ssl
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from datarobot_mlops_async._config import origin_of
from datarobot_mlops_async.errors import ConfigError

if TYPE_CHECKING:
    from datarobot_mlops_async._config import Certificate, Settings

_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Where systems keep their authorities that OpenSSL was not built for.
_PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


def tls_context(settings: Settings, url: str, *, proxy: bool = False) -> ssl.SSLContext:
    """Return the TLS context for a URL; it takes 20 to 40 ms for the first session of a process.

    ``verify`` decides for the endpoint's origin alone; for other hosts what it names is added to the
    system's authorities. A client certificate goes to the endpoint's origin and, asked for it, to the proxy.

    Raises:
        ConfigError: A file cannot be used.
    """
    own = origin_of(url) == settings.origin
    verify, cert = settings.verify, settings.cert if own or proxy else None
    if isinstance(verify, ssl.SSLContext) and own:
        return verify
    files = [each for each in (verify, *(cert or ())) if isinstance(each, str)]
    # Read again when a file or the environment has changed: certificates are renewed while services run.
    return _context(verify, cert, own, tuple(map(_stamp, files)), tuple(map(os.environ.get, _VARIABLES)))


def _stamp(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=16)
def _context(
    verify: bool | str | ssl.SSLContext, cert: Certificate | None, own: bool, *_changes: object
) -> ssl.SSLContext:
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif isinstance(verify, ssl.SSLContext):
        context = _with_authorities_of(verify)
    elif isinstance(verify, str) and own:
        context = _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), verify, "")
    else:
        context = _system_context()
        if isinstance(verify, str):
            _loaded(context, verify, "")
    if cert is not None:
        _show(context, cert)
    return context


def _with_authorities_of(given: ssl.SSLContext) -> ssl.SSLContext:
    context = _system_context()
    for each in given.get_ca_certs(binary_form=True):
        context.load_verify_locations(cadata=each)
    context.check_hostname = given.check_hostname
    context.verify_mode = given.verify_mode
    return context


def _system_context() -> ssl.SSLContext:
    named = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    if named:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name, path in named.items():
            _loaded(context, path, f" ({name})")
        return context
    if sys.platform in {"darwin", "win32"}:  # pragma: no cover - they have functions for their stores
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What truststore does here too, but it would do it again for each connection.
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # pragma: no cover - a Python built for another system
        import certifi

        _loaded(context, next((each for each in _PLACES if Path(each).is_file()), certifi.where()), "")
    return context


def _loaded(context: ssl.SSLContext, path: str, source: str) -> ssl.SSLContext:
    try:
        is_directory = Path(path).is_dir()
        context.load_verify_locations(None if is_directory else path, path if is_directory else None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}{source} is not a usable CA file: {_reason(error)}") from error
    return context


def _show(context: ssl.SSLContext, cert: Certificate) -> None:
    certificate, key, password = cert[0], *(*cert[1:], None, None)[:2]
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password or "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{' and '.join(filter(None, (certificate, key)))} cannot be used as the client's certificate and key: "
            f"{_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
