"""What a connection needs to know before it is made: trusted authorities and proxies."""

from __future__ import annotations

import os
import ssl
import urllib.request
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from datarobot_mlops_async._config import check_proxy
from datarobot_mlops_async.errors import ConfigError

if TYPE_CHECKING:
    from datarobot_mlops_async._config import Settings


def ssl_context(verify: bool | str) -> ssl.SSLContext:
    """Return the TLS context for a `Settings.verify`; one is made per process and set of authorities."""
    # Reading the system's authorities takes 10 to 20 ms: too long for every session of a service.
    return _ssl_context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=16)
def _ssl_context(verify: bool | str, *_environment: str | None) -> ssl.SSLContext:
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)
    try:
        if Path(verify).is_dir():
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"verify: {verify} is not a usable CA file: {error}") from error


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
