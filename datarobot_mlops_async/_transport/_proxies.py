"""Which proxy a URL is reached through."""

from __future__ import annotations

import ipaddress
import urllib.request
from typing import TYPE_CHECKING

from datarobot_mlops_async._config import check_proxy, origin_of

if TYPE_CHECKING:
    from datarobot_mlops_async._config import Settings


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
