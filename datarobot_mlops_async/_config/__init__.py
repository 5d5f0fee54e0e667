"""Settings: validated, frozen, and read from every source that DataRobot users already have."""

from datarobot_mlops_async._config._places import (
    API_ROOT,
    DEFAULT_PORTS,
    ascii_host,
    check_proxy,
    normalize_endpoint,
    origin_of,
)
from datarobot_mlops_async._config._settings import Certificate, Settings
from datarobot_mlops_async._config._tokens import TokenCommand, TokenFile, TokenSource, check_token

__all__ = [
    "API_ROOT",
    "DEFAULT_PORTS",
    "Certificate",
    "Settings",
    "TokenCommand",
    "TokenFile",
    "TokenSource",
    "ascii_host",
    "check_proxy",
    "check_token",
    "normalize_endpoint",
    "origin_of",
]
