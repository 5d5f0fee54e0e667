"""One HTTP exchange, read whole: the transport of API calls (downloads have their own)."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx
from attrs import frozen

from datarobot_mlops_async._transport._network import proxy_for, ssl_context
from datarobot_mlops_async._transport._quiet import quiet
from datarobot_mlops_async._transport._translate import translate_error, without_query
from datarobot_mlops_async.errors import (
    ConfigError,
    TimeoutError,  # noqa: A004 - ours
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def __init__(
        self,
        settings: Settings,
        *,
        max_connections: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._max_connections = max_connections
        self.foreign_transport = transport
        """The caller's own transport; downloads use it too, in place of connections of their own."""
        self._transport: httpx.AsyncBaseTransport | None = transport

    async def open(self) -> None:
        """Prepare for exchanges; no connection is made yet."""
        if self._transport is None:
            # Reading the trusted authorities blocks for 10 to 20 ms the first time.
            self._transport = await anyio.to_thread.run_sync(
                _transport, self._settings, self._max_connections
            )

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
        if self._transport is not None:
            with quiet():
                await self._transport.aclose()

    async def _exchange(self, request: httpx.Request) -> Response:
        assert self._transport is not None  # noqa: S101 - the session's lifetime is checked before
        response = await self._transport.handle_async_request(request)
        try:
            # Nothing else may fail while the stream is being read: its generators would stay unfinished.
            raw = b"".join([chunk async for chunk in response.stream])
        finally:
            # Cancelled or not, the connection goes back to the pool or is closed.
            with anyio.CancelScope(shield=True):
                await response.aclose()
        whole = httpx.Response(response.status_code, headers=response.headers, content=raw, request=request)
        return Response(status=whole.status_code, headers=whole.headers, content=whole.content)


def _transport(settings: Settings, max_connections: int) -> httpx.AsyncBaseTransport:
    proxy = proxy_for(settings.endpoint, settings)
    try:
        return httpx.AsyncHTTPTransport(
            # A plain-http endpoint never needs the 20 ms that reading the authorities takes.
            verify=ssl_context(settings.verify if settings.endpoint.startswith("https:") or proxy else False),
            proxy=proxy,
            trust_env=False,
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        )
    except ImportError as error:
        raise ConfigError("a SOCKS proxy needs an extra package: pip install 'httpx[socks]'") from error
