"""One HTTP exchange, read whole, and what connecting needs. The only importer of httpx, httpcore and httptools."""

from __future__ import annotations

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
from datarobot_mlops_async._transport._proxies import proxy_for
from datarobot_mlops_async._transport._route import Address, Route
from datarobot_mlops_async._transport._tunnel import Handshake

if TYPE_CHECKING:
    from datarobot_mlops_async._transport._quiet import quiet
    from datarobot_mlops_async._transport._translate import translate_error

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
    if name == "quiet":
        from datarobot_mlops_async._transport._quiet import quiet

        return quiet
    if name == "translate_error":
        from datarobot_mlops_async._transport._translate import translate_error

        return translate_error
    raise AttributeError(name)
