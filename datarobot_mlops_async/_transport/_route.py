"""The way to a URL: direct, through a forwarding proxy, through a proxy's tunnel or a SOCKS proxy; and which."""

from __future__ import annotations

import base64
import ipaddress
import re
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlsplit

from attrs import field, frozen

from datarobot_mlops_async._config import DEFAULT_PORTS, ascii_host, check_proxy, origin_of
from datarobot_mlops_async._transport._failures import without_query
from datarobot_mlops_async.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from datarobot_mlops_async._config import Settings

_PROXY_PORTS = {**DEFAULT_PORTS, "socks5": 1080, "socks5h": 1080}
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f]")


@frozen(kw_only=True)
class Address:
    """An absolute http(s) URL, taken apart without changing a byte of it.

    The host stands without brackets; the port is the scheme's default where the URL has none; the authority is the
    value of the ``Host`` header, the target path and query as they came.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart.

        Raises:
            ProtocolError: It is not an absolute http(s) URL, or holds characters that cannot be sent.
        """
        taken = None
        with suppress(ValueError):
            parts = urlsplit(url)
            taken = parts, ascii_host(parts.hostname or ""), parts.port
        if taken is None:
            # Outside a handler: the cause would quote what may be a secret.
            raise ProtocolError("the server named an address that is not a URL")
        parts, host, port = taken
        if parts.scheme not in DEFAULT_PORTS or not host or _UNSENDABLE.search(url):
            raise ProtocolError(f"not an http(s) URL: {without_query(url)!r}")
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port or DEFAULT_PORTS[parts.scheme],
            authority=_authority(parts, host),
            target=_target(url, parts),
        )


def _authority(parts: SplitResult, host: str) -> str:
    authority = parts.netloc.rpartition("@")[2]
    if authority.isascii():
        return authority
    return host if parts.port is None else f"{host}:{parts.port}"


def _target(url: str, parts: SplitResult) -> str:
    # Not rebuilt from its parts, which would lose an empty query: a signature covers every byte.
    behind = url.partition("#")[0].split("://", 1)[1][len(parts.netloc) :]
    # Only what no request line can carry is encoded; whatever is encoded already stays as it is.
    target = quote(behind, safe="/?%:@!$&'()*+,;=-._~[]|^`{}\"<>\\")
    return target if target.startswith("/") else f"/{target}"


@frozen(kw_only=True)
class Proxy:
    """A proxy: ``http``, ``https``, ``socks5`` or ``socks5h``; with both of the last the proxy resolves names."""

    scheme: str
    host: str
    port: int
    credentials: tuple[bytes, bytes] | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        parts = urlsplit(url)
        return cls(
            scheme=parts.scheme,
            host=ascii_host(parts.hostname or "") or "",
            port=parts.port or _PROXY_PORTS[parts.scheme],
            credentials=(unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))
            if parts.username is not None
            else None,
        )

    @property
    def speaks_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def speaks_tls(self) -> bool:
        """Whether it is spoken to under TLS."""
        return self.scheme == "https"

    @property
    def authorization(self) -> str | None:
        """Value of ``Proxy-Authorization``; ``None`` for none."""
        if self.credentials is None:
            return None
        return "Basic " + base64.b64encode(b":".join(self.credentials)).decode()


@frozen(kw_only=True)
class Route:
    """How to reach an address."""

    address: Address
    proxy: Proxy | None = None

    @classmethod
    def find(cls, url: str, proxy_url: str | None) -> Route:
        return cls(address=Address.parse(url), proxy=None if proxy_url is None else Proxy.parse(proxy_url))

    @property
    def forwards(self) -> bool:
        """Whether the proxy is asked for the whole URL, rather than for a tunnel."""
        return self.proxy is not None and not self.proxy.speaks_socks and self.address.scheme == "http"

    @property
    def proxy_authorization(self) -> str | None:
        """Value of ``Proxy-Authorization`` in each request to the server; ``None`` for none."""
        return self.proxy.authorization if self.proxy is not None and self.forwards else None

    @property
    def target(self) -> str:
        """The request target: path and query, or the whole URL for a forwarding proxy."""
        address = self.address
        return f"{address.scheme}://{address.authority}{address.target}" if self.forwards else address.target

    @property
    def key(self) -> tuple[str, str, int]:
        """What two URLs must have in common to share a connection."""
        hop = self.proxy if self.forwards and self.proxy else self.address
        return self.address.scheme, hop.host, hop.port

    def request_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the header fields of a request along this route."""
        added = {"Host": self.address.authority}
        if self.proxy_authorization:
            added["Proxy-Authorization"] = self.proxy_authorization
        return {**added, **headers}

    def connect_request(self) -> bytes:
        """Return the request that asks the proxy for a tunnel."""
        host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
        authority = f"{host}:{self.address.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.proxy is not None and self.proxy.authorization:
            lines.append(f"Proxy-Authorization: {self.proxy.authorization}")
        return "\r\n".join([*lines, "", ""]).encode()


def proxy_for(url: str, settings: Settings) -> str | None:
    """Return the proxy for a URL: the settings' own, else the environment's, else ``None``.

    The environment's are ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` unless ``NO_PROXY`` excepts the
    host; on macOS and Windows also the system's.

    Raises:
        ConfigError: The environment's is no proxy's URL.
    """
    return settings.proxy or _environments_proxy(url)


def _environments_proxy(url: str) -> str | None:
    scheme, host, port = origin_of(url)
    proxies = urllib.request.getproxies_environment()
    if proxies:
        excepted = is_excepted(host, port, proxies.get("no", ""))
    else:
        proxies, excepted = urllib.request.getproxies(), urllib.request.proxy_bypass(host)
    proxy = proxies.get(scheme) or proxies.get("all")
    if excepted or not proxy:
        return None
    return check_proxy(proxy if "://" in proxy else f"http://{proxy}", "the environment")


def is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Tell whether ``NO_PROXY`` excepts a host.

    Its entries, separated by commas or blanks, are a host name (which stands for the names below it too), an IP
    address, a block of them (``10.0.0.0/8``), each of these with a port, or ``*`` for all.
    """
    host = host.lower().rstrip(".")
    for entry in exceptions.lower().replace(",", " ").split():
        name, its_port = _split_port(entry)
        if its_port in {"", str(port)} and (name == "*" or _stands_for(name, host)):
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = entry.partition(":")
    # More than one colon: an IPv6 address without brackets.
    return (entry, "") if ":" in port else (name, port)


def _stands_for(name: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
