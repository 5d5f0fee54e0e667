"""Why a server hung up before it had answered anything: the wrong scheme, or a certificate that it wants.

TLS servers drop a connection that begins with a plain request, many without a word; and with TLS 1.3 a server says
only behind the handshake that it wants a certificate, which is lost when the request arrives at a closed socket.
So it is asked again, with a handshake and nothing else: no token, no request.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport._certificates import tls_context
from datarobot_mlops_async._transport._dialing import dial_route
from datarobot_mlops_async._transport._failures import refused_certificate, speaks_tls
from datarobot_mlops_async._transport._route import Route, proxy_for
from datarobot_mlops_async.errors import ConnectError, TransportError

if TYPE_CHECKING:
    from datarobot_mlops_async._config import Settings

_PATIENCE = 1.0


async def diagnose(settings: Settings) -> ConnectError | None:
    """Return what is wrong with the endpoint's scheme or with the client's certificate; ``None`` if neither is."""
    route = Route.find(settings.endpoint, proxy_for(settings.endpoint, settings))
    if route.forwards or (route.proxy is not None and route.proxy.speaks_tls):
        return None
    plain = route.address.scheme == "http"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else tls_context(settings, settings.endpoint)
    try:
        with anyio.move_on_after(_PATIENCE):
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
