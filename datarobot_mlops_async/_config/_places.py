"""Places that settings name: the endpoint and its origin, hosts, proxies, and files."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from datarobot_mlops_async.errors import ConfigError

if TYPE_CHECKING:
    import os

API_ROOT = "/api/v2"
DEFAULT_PORTS = {"http": 80, "https": 443}
_PROXY_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_HOST = 253
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f]")


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return an absolute URL's origin: scheme, host and port, the scheme's default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def ascii_host(host: str) -> str | None:
    """Return a host as it goes over the wire, in ASCII; ``None`` when no host can have that name."""
    if ":" in host:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return None
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = name.removesuffix(".").split(".")
    return name if len(name) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels)) else None


def check_proxy(proxy: str, source: str) -> str:
    """Return a proxy's URL as it is.

    Raises:
        ConfigError: It is none. The value is never echoed: an unquoted ``/`` or ``#`` in a password makes the
            password look like a port or a path.
    """
    with suppress(ValueError):
        parts = urlsplit(proxy)
        host = ascii_host(parts.hostname or "")
        more = parts.path.strip("/") or parts.query or parts.fragment or _UNSAFE.search(proxy)
        if host and parts.port != 0 and parts.scheme in _PROXY_SCHEMES and not more:
            return proxy
    raise ConfigError(
        f"the proxy from {source} is not the URL of an http, https or socks5 proxy; write special characters in "
        "its password as %XX (its value is not shown)"
    )


def normalize_endpoint(endpoint: str, source: str) -> str:
    """Return the endpoint ending in ``/api/v2``, a path prefix kept, without a trailing slash.

    Accepted are the forms people paste: with and without the suffix, with and without a slash.
    The value is never echoed, because a pasted URL can hold credentials.
    """
    try:
        parts = urlsplit(endpoint.strip())
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        raise ConfigError(f"the endpoint from {source} is not a valid URL") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise ConfigError(
            f"the endpoint from {source} is not an http(s) URL: write it whole, "
            "for example https://app.datarobot.com"
        )
    if parts.username is not None or parts.query or parts.fragment or _UNSAFE.search(endpoint.strip()):
        raise ConfigError(
            f"the endpoint from {source} holds more than scheme, host, port and path: remove user names, "
            "query, fragment and blanks"
        )
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != DEFAULT_PORTS[parts.scheme]:
        netloc = f"{netloc}:{port}"
    path = parts.path.rstrip("/").removesuffix(API_ROOT).rstrip("/")
    return urlunsplit((parts.scheme, netloc, path + API_ROOT, "", ""))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def home_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` replaced; that of a user who is not there stays, as in a shell."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)
