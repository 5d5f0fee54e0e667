"""Bytes in and out, and connection errors as ours. Only this package imports httpx and httpcore."""

from datarobot_mlops_async._transport._client import HTTPClient, Response
from datarobot_mlops_async._transport._network import proxy_for, ssl_context
from datarobot_mlops_async._transport._pool import ConnectionPool
from datarobot_mlops_async._transport._quiet import quiet
from datarobot_mlops_async._transport._translate import translate_error, without_query, without_quotes

__all__ = [
    "ConnectionPool",
    "HTTPClient",
    "Response",
    "proxy_for",
    "quiet",
    "ssl_context",
    "translate_error",
    "without_query",
    "without_quotes",
]
