"""One HTTP exchange, read whole: the transport of API calls (downloads have their own)."""

from __future__ import annotations

import builtins
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import anyio
import httpx
from attrs import frozen

from datarobot_mlops_async._transport._network import proxy_for, ssl_context
from datarobot_mlops_async._transport._pool import ConnectionPool
from datarobot_mlops_async._transport._quiet import quiet
from datarobot_mlops_async._transport._translate import translate_error, without_query
from datarobot_mlops_async.errors import (
    ConfigError,
    TimeoutError,  # noqa: A004 - ours
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datarobot_mlops_async._config import Settings


@frozen(kw_only=True)
class Response:
    """An answer, read whole.

    Attributes:
        status: The HTTP status code.
        headers: Header fields by case-insensitive name.
        content: The body, its content encoding undone.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class HTTPClient:
    """Exchanges with one origin. It follows no redirect, keeps no cookie and sends what it is told.

    It drives an httpx transport and not an `httpx.AsyncClient`: the client's own redirects, cookies and
    INFO log of whole URLs are the things that leak a token, and its request building is most of the
    cost of a small request.
    """

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self.foreign_transport = transport
        """The caller's own transport; downloads use it too, in place of connections of their own."""
        self._pool = None if transport else ConnectionPool(_transport_maker(settings))

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> Response:
        """Send one request and read its answer.

        Args:
            method: The HTTP method.
            url: An absolute URL, already encoded.
            headers: All header fields but those of the framing.
            content: The body; empty for none.
            timeout: Seconds for the whole exchange, connecting included.

        Raises:
            TransportError: No whole answer arrived.
        """
        request = httpx.Request(
            method,
            url,
            headers=headers,
            content=content or None,
            extensions={
                "timeout": {
                    "connect": min(timeout, self._settings.connect_timeout),
                    "read": timeout,
                    "write": timeout,
                    # The limiter before the pool keeps requests from ever waiting in it.
                    "pool": None,
                }
            },
        )
        try:
            with quiet(), anyio.fail_after(timeout):
                return await self._exchange(request)
        except httpx.HTTPError as error:
            raise translate_error(error, method=method, url=url) from error
        except builtins.TimeoutError as error:
            safe_url = without_query(url)
            raise TimeoutError(
                f"{method} {safe_url}: no whole answer within {timeout:g} s", method=method, url=safe_url
            ) from error

    async def aclose(self) -> None:
        """Close all connections."""
        with quiet():
            if self.foreign_transport is not None:
                await self.foreign_transport.aclose()
            if self._pool is not None:
                await self._pool.aclose()

    async def _exchange(self, request: httpx.Request) -> Response:
        if self._pool is None:
            assert self.foreign_transport is not None  # noqa: S101 - for the type checker: it is one or the other
            return await _exchange(self.foreign_transport, request)
        async with self._pool.connection() as transport:
            return await _exchange(transport, request)


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Response:
    response = await transport.handle_async_request(request)
    try:
        # Nothing else may fail while the stream is being read: its generators would stay unfinished.
        raw = b"".join([chunk async for chunk in cast("httpx.AsyncByteStream", response.stream)])
    finally:
        # Cancelled or not, the connection is kept for the next request or closed.
        with anyio.CancelScope(shield=True):
            await response.aclose()
    whole = httpx.Response(response.status_code, headers=response.headers, content=raw, request=request)
    return Response(status=whole.status_code, headers=whole.headers, content=whole.content)


def _transport_maker(settings: Settings) -> Callable[[], httpx.AsyncBaseTransport]:
    proxy = proxy_for(settings.endpoint, settings)
    # A plain-http endpoint never needs the 20 ms that reading the authorities takes.
    verify = ssl_context(settings.verify if settings.endpoint.startswith("https:") or proxy else False)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)

    def make() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=verify, proxy=proxy, trust_env=False, limits=limits)

    if proxy is not None and proxy.startswith("socks") and find_spec("socksio") is None:
        raise ConfigError("a SOCKS proxy needs an extra package: pip install 'httpx[socks]'")
    return make
