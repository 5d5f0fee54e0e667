"""One HTTP exchange, read whole: the transport of API calls (downloads have their own); and why none came."""

from __future__ import annotations

import os
import re
import socket
import ssl
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import sniffio
from attrs import field, frozen

from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport._answer import decode_content
from datarobot_mlops_async._transport._certificates import tls_context
from datarobot_mlops_async._transport._dialing import dial_route
from datarobot_mlops_async._transport._failures import (
    UnansweredError,
    name_request,
    refused_certificate,
    speaks_tls,
)
from datarobot_mlops_async._transport._route import Proxy, Route, proxy_for
from datarobot_mlops_async.errors import ConnectError, ReadError, SessionStateError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import httpx

    from datarobot_mlops_async._config import Settings


_loaded: dict[str, Any] = {}
_HANDSHAKE_TIMEOUT = 1.0
# What nginx, Go and Apache say to a plain request at a port that wants TLS.
_WANTS_TLS = re.compile(rb"sent to HTTPS port|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled")


@frozen(kw_only=True)
class Response:
    """An answer, read whole.

    Attributes:
        status: The HTTP status code.
        headers: Header fields by case-insensitive name.
        content: The body, its content encoding undone.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The server's id for the request; ``None`` if it sent none."""
        return self.headers.get("x-request-id") or self.headers.get("x-datarobot-request-id") or None


class _Exchanger(Protocol):
    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> tuple[int, httpx.Headers, bytes]: ...

    async def aclose(self) -> None: ...


class HTTPClient:
    """Exchanges with one origin. It follows no redirect, keeps no cookie and sends what it is told.

    It drives an httpx transport and not an `httpx.AsyncClient`: the client's own redirects, cookies and
    INFO log of whole URLs are the things that leak a token, and its request building is most of the
    cost of a small request. On asyncio the transport is our own; trio and proxies that are spoken to under TLS
    have httpx's, and so has everything if ``DATAROBOT_MLOPS_TRANSPORT`` is ``httpx``.
    """

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self.foreign_transport = transport
        """The caller's own transport; downloads use it too, in place of connections of their own."""
        self._exchanger: _Exchanger | None = None
        self._opening = anyio.Lock()
        self._guard = self._closing()
        self._answered = False
        self._closed = False
        if transport is None:
            # What can be seen to be wrong is said before anything is sent.
            proxy_for(settings.endpoint, settings)
            if settings.endpoint.startswith("https:") and (isinstance(settings.verify, str) or settings.cert):
                tls_context(settings, settings.endpoint)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> Response:
        """Send one request and read its answer.

        Args:
            url: An absolute URL of the endpoint's origin, already encoded.
            headers: All header fields but those of the framing. An object that was passed before is taken to
                hold what it held then.
            timeout: Seconds for the whole exchange, connecting included.

        Raises:
            TransportError: No whole answer arrived.
            SessionStateError: The client was closed meanwhile.
        """
        if self._closed:
            raise SessionStateError("the session is closed")
        try:
            exchanger = self._exchanger or await self._open()
            status, fields, body = await exchanger.exchange(method, url, headers, content, timeout)
            encoding = fields.get("content-encoding")
            if encoding is not None:
                body = await decode_content(body, encoding)
        except TransportError as error:
            if self._closed:
                raise SessionStateError("the session was closed while the request was on its way") from None
            if isinstance(error, UnansweredError):
                raise name_request(await self._reason(error), method, url) from error
            raise name_request(error, method, url)  # noqa: B904 - the same error
        if not self._answered and status == 400 and url.startswith("http:") and _WANTS_TLS.search(body):
            raise name_request(speaks_tls(), method, url)
        self._answered = True
        return Response(status=status, headers=fields, content=body)

    async def _reason(self, error: UnansweredError) -> TransportError:
        found = None if self._answered else await _diagnose(self._settings)
        return found or ReadError(error.message, method=error.method, url=error.url)

    async def aclose(self) -> None:
        """Close all connections; requests on their way end with `SessionStateError`."""
        self._closed = True
        await self._guard.aclose()
        if self._exchanger is None and self.foreign_transport is not None:
            await self.foreign_transport.aclose()

    async def _open(self) -> _Exchanger:
        # Of many first calls one loads what it takes, and not each in a thread of its own.
        async with self._opening:
            if (exchanger := self._exchanger) is None:
                direct = self.foreign_transport is None and self._is_direct()
                module = await _load(f"{__package__}.{'_asyncio' if direct else '_httpx'}")
                if self._closed:
                    raise SessionStateError("the session is closed")
                exchanger = self._exchanger = (
                    module.AsyncioTransport(self._settings)
                    if direct
                    else module.HttpxExchanger(self._settings, self.foreign_transport)
                )
                await anext(self._guard)
            return exchanger

    async def _closing(self) -> AsyncGenerator[None, None]:
        # Once begun it is ended by `aclose`, or by its event loop, which ends asynchronous generators as long as
        # it can still close their sockets.
        try:
            yield
        finally:
            if self._exchanger is not None:
                await self._exchanger.aclose()

    def _is_direct(self) -> bool:
        if os.environ.get("DATAROBOT_MLOPS_TRANSPORT") == "httpx":
            return False
        if sniffio.current_async_library() != "asyncio":
            return False
        proxy = proxy_for(self._settings.endpoint, self._settings)
        return proxy is None or not Proxy.parse(proxy).speaks_tls


async def _load(name: str) -> Any:
    # Not at the top: httpx takes 0.2 s, which nobody waits for who only imports this library; and off the loop.
    if name not in _loaded:
        _loaded[name] = await run_interruptible(partial(import_module, name))
    return _loaded[name]


async def _diagnose(settings: Settings) -> ConnectError | None:
    """Return what is wrong with the endpoint's scheme or with the client's certificate; ``None`` if neither is.

    TLS servers drop a connection that begins with a plain request, many without a word; and with TLS 1.3 a server
    says only behind the handshake that it wants a certificate, which is lost when the request arrives at a closed
    socket. So it is asked again, with a handshake and nothing else: no token, no request.
    """
    route = Route.find(settings.endpoint, proxy_for(settings.endpoint, settings))
    if route.forwards or (route.proxy is not None and route.proxy.speaks_tls):
        return None
    plain = route.address.scheme == "http"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else tls_context(settings, settings.endpoint)
    try:
        with anyio.move_on_after(_HANDSHAKE_TIMEOUT):
            sock = await dial_route(route)
            sock.setblocking(True)
            wrapped = context.wrap_socket(
                sock, server_hostname=route.address.host, do_handshake_on_connect=False
            )
            with wrapped:
                error = await run_interruptible(
                    partial(_shake_hands, wrapped), interrupt=partial(_shut_down, wrapped)
                )
            return _speaks_tls(error) if plain else refused_certificate(error)
    except (TransportError, OSError, ValueError):
        pass
    return None


def _shake_hands(wrapped: ssl.SSLSocket) -> Exception | None:
    try:
        wrapped.do_handshake()
        wrapped.recv(1)
    except (OSError, ValueError) as error:
        return error
    return None


def _shut_down(wrapped: ssl.SSLSocket) -> None:
    # Not its own method, which would take the TLS object from under the thread.
    with suppress(OSError):
        socket.socket.shutdown(wrapped, socket.SHUT_RDWR)


def _speaks_tls(error: Exception | None) -> ConnectError | None:
    told = isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason)
    return speaks_tls() if error is None or told or isinstance(error, ssl.SSLCertVerificationError) else None
