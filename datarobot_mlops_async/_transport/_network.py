"""What a connection needs to know before it is made: trusted authorities and proxies."""

from __future__ import annotations

import os
import ssl
import urllib.request
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datarobot_mlops_async._config import check_proxy
from datarobot_mlops_async.errors import ConfigError

if TYPE_CHECKING:
    from datarobot_mlops_async._config import Settings


def tls_context(settings: Settings, url: str) -> ssl.SSLContext:  # noqa: ARG001 - the authorities of one URL are not another's
    """Return the TLS context for a URL; it may take 20 to 40 ms the first time."""
    return ssl_context(settings.verify)


def ssl_context(verify: bool | str) -> ssl.SSLContext:
    """Return the TLS context for a `Settings.verify`; one is made per process and set of authorities."""
    # Reading the system's authorities takes 10 to 20 ms: too long for every session of a service.
    return _ssl_context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=16)
def _ssl_context(verify: bool | str, *_environment: str | None) -> ssl.SSLContext:
    if isinstance(verify, bool):
        import httpx  # noqa: PLC0415

        return httpx.create_ssl_context(verify=verify)
    try:
        if Path(verify).is_dir():
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{verify} is not a usable CA file: {getattr(error, 'reason', None) or error.strerror}"
        ) from error


def check_network(settings: Settings) -> None:
    """Look at what can be seen to be wrong before anything is sent.

    Raises:
        ConfigError: A proxy that needs a package which is not installed, or an unusable CA file.
    """
    proxy = proxy_for(settings.endpoint, settings)
    if proxy is not None and proxy.startswith("socks") and find_spec("socksio") is None:
        raise ConfigError("a SOCKS proxy needs an extra package: pip install 'httpx[socks]'")
    if settings.endpoint.startswith("https:") and isinstance(settings.verify, str):
        tls_context(settings, settings.endpoint)


def proxy_for(url: str, settings: Settings) -> str | None:
    """Return the proxy for a URL: the settings' own, else the environment's, else ``None``.

    The environment's are ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` unless ``NO_PROXY`` names the
    host; on macOS and Windows also the system's.

    Raises:
        ConfigError: The environment's is no proxy's URL.
    """
    if settings.proxy is not None:
        return settings.proxy
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return check_proxy(proxy if "://" in proxy else f"http://{proxy}", "the environment")
