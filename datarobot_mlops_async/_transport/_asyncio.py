"""The httpx transport of API calls on asyncio: HTTP/1.1 without what a general client needs."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, cast

import httpx

from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport._certificates import tls_context
from datarobot_mlops_async._transport._pool import ConnectionPool
from datarobot_mlops_async._transport._route import Address, Route, proxy_for
from datarobot_mlops_async.errors import ConfigError, ProtocolError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from datarobot_mlops_async._config import Settings

_Origin = tuple[bytes, bytes, int | None]
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_NO_TIMEOUT = 86_400.0  # event loops know no infinity
_TARGET = re.compile(rb"[\x21-\x7e]+")


class AsyncioTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 on asyncio and uvloop: direct, or through HTTP proxies. Answers come read whole.

    It raises this library's errors. Of a request's ``timeout`` extension ``connect`` bounds connecting and
    ``read`` the whole exchange; ``target`` takes the place of the URL's path and query. `exchange` asks the
    endpoint's origin, with each httpx object made in the cheapest way.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[_Origin, ConnectionPool] = {}
        self._tls_lock = asyncio.Lock()
        address = Address.parse(settings.endpoint)
        self._origin = f"{address.scheme}://{address.authority}"
        # Parsed once, and not for each request: its path is the request's "target".
        self._url = httpx.URL(self._origin)
        self._host = {"host": address.authority}
        self._seen: tuple[Mapping[str, str] | None, httpx.Headers] = None, httpx.Headers()

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Return status, header fields and the body, its encoding not undone."""
        if self._seen[0] is not headers:
            self._seen = headers, httpx.Headers({**self._host, **headers})
        request = httpx.Request(
            method,
            self._url,
            headers=self._seen[1],
            # What httpx would add for "content" costs more than all else here.
            stream=httpx.ByteStream(content),
            extensions={
                "timeout": {"connect": self._settings.connect_timeout, "read": timeout},
                "target": url.removeprefix(self._origin).encode(),
            },
        )
        if content or method in _WITH_LENGTH:
            request.headers["content-length"] = str(len(content))
        response = await self.handle_async_request(request)
        return response.status_code, response.headers, b"".join(cast("httpx.ByteStream", response.stream))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        origin = url.raw_scheme, url.raw_host, url.port
        pool = self._pools.get(origin) or self._add_pool(origin, str(url))
        if isinstance(request.stream, httpx.ByteStream):
            content = b"".join(request.stream)
        else:
            content = await request.aread()
            request.headers.pop("transfer-encoding", None)
            request.headers["content-length"] = str(len(content))
        timeout = request.extensions.get("timeout", {})
        status, headers, body = await pool.exchange(
            request.method,
            _head(request, pool.route),
            content,
            connect_timeout=timeout.get("connect") or _NO_TIMEOUT,
            timeout=timeout.get("read") or _NO_TIMEOUT,
        )
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _add_pool(self, origin: _Origin, url: str) -> ConnectionPool:
        route = Route.find(url, proxy_for(url, self._settings))
        if route.proxy is not None and route.proxy.speaks_tls:
            raise ConfigError("only httpx's own transport knows proxies that are spoken to under TLS")
        pool = self._pools[origin] = ConnectionPool(route, partial(self._tls_context, url))
        return pool

    async def _tls_context(self, url: str) -> ssl.SSLContext:
        # Reading the system's authorities takes 20 to 40 ms, once.
        async with self._tls_lock:
            return await run_interruptible(partial(tls_context, self._settings, url))


def _head(request: httpx.Request, route: Route) -> bytes:
    target = request.extensions.get("target") or request.url.raw_path
    fields = request.headers.raw
    if route.forwards:
        target = f"{route.address.scheme}://{route.address.authority}".encode() + target
        if route.proxy_authorization:
            fields = [*fields, (b"Proxy-Authorization", route.proxy_authorization.encode())]
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    # Outside of what is checked nobody may begin a line.
    if (
        not _TARGET.fullmatch(target)
        or lines.count(b"\n") != len(fields)
        or lines.count(b"\r") != len(fields)
        or b"\0" in lines
    ):
        raise ProtocolError("the request's address or header fields hold characters that cannot be sent")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode("ascii"), target, lines)
