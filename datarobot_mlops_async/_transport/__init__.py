"""One HTTP exchange, read whole, and what connecting needs. The only importer of httpx, httpcore and httptools."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._transport._certificates import tls_context
from datarobot_mlops_async._transport._client import HTTPClient, Response
from datarobot_mlops_async._transport._dialing import dial_route
from datarobot_mlops_async._transport._failures import (
    handshake_failed,
    name_request,
    refused_certificate,
    without_query,
    without_quotes,
)
from datarobot_mlops_async._transport._route import Address, Route, proxy_for
from datarobot_mlops_async._transport._tunnel import Handshake

if TYPE_CHECKING:
    from datarobot_mlops_async._transport._translate import quiet, translate_error

__all__ = [
    "Address",
    "HTTPClient",
    "Handshake",
    "Response",
    "Route",
    "dial_route",
    "handshake_failed",
    "name_request",
    "proxy_for",
    "quiet",
    "refused_certificate",
    "tls_context",
    "translate_error",
    "without_query",
    "without_quotes",
]


def __getattr__(name: str) -> Any:
    # They bring httpx, which only its own transports need.
    if name in {"quiet", "translate_error"}:
        return getattr(import_module(f"{__name__}._translate"), name)
    raise AttributeError(name)
