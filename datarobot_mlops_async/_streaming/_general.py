"""Bodies through an httpx transport that the caller brought.

Slower (each chunk passes the event loop), and otherwise the same.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext, suppress
from typing import TYPE_CHECKING, cast

import anyio
import httpx

from datarobot_mlops_async._streaming._http import pour
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import Address, quiet, translate_error
from datarobot_mlops_async.errors import ProtocolError, ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio import CapacityLimiter

    from datarobot_mlops_async._streaming._http import Sink

# A hop to a thread costs what reading this many bytes costs.
_GATHER = 1024 * 1024


class GeneralResponse:
    """An answer from an httpx transport."""

    def __init__(self, response: httpx.Response, url: str, limiter: CapacityLimiter) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.url = url
        self._response = response
        self._limiter = limiter
        self._scope = anyio.CancelScope()
        self._interrupted = False

    async def drain(self, sink: Sink) -> None:
        with self._scope:
            await self._drain(sink)
        if self._interrupted:
            raise ReadError("the connection was dropped")

    async def _drain(self, sink: Sink) -> None:
        gathered = bytearray()
        # As the body is on the connection; also of an answer that a mock transport has read already.
        chunks = aiter(cast("httpx.AsyncByteStream", self._response.stream))
        # Left to the garbage collector, a generator would be finished on whatever loop runs then.
        closing = aclosing(chunks) if isinstance(chunks, AsyncGenerator) else nullcontext()
        try:
            with quiet():
                async with closing:
                    async for chunk in chunks:
                        gathered += chunk
                        if len(gathered) >= _GATHER and not await self._pour(gathered, sink):
                            return
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise translate_error(error, method="GET", url=self.url) from error
        finally:
            # What came before a break counts: the next attempt starts behind it.
            if gathered and not self._interrupted:
                await self._pour(gathered, sink)

    async def _pour(self, gathered: bytearray, sink: Sink) -> bool:
        data = bytes(gathered)
        gathered.clear()
        return await run_interruptible(
            lambda: pour(data, sink), interrupt=sink.abandon, limiter=self._limiter
        )

    def interrupt(self) -> None:
        """Make `drain` raise at once; called in the event loop."""
        self._interrupted = True
        self._scope.cancel()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), quiet():
            await self._response.aclose()


async def send_general(
    transport: httpx.AsyncBaseTransport,
    url: str,
    headers: Mapping[str, str],
    *,
    timeouts: dict[str, float | None],
    limiter: CapacityLimiter,
) -> GeneralResponse:
    """GET a URL, byte for byte, over an httpx transport."""
    request = httpx.Request(
        "GET",
        _known_to_httpx(url),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        extensions={"timeout": timeouts, "target": Address.parse(url).target.encode()},
    )
    try:
        with quiet():
            response = await transport.handle_async_request(request)
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise translate_error(error, method="GET", url=url) from error
    response.request = request
    return GeneralResponse(response, url, limiter)


def _known_to_httpx(url: str) -> httpx.URL:
    with suppress(httpx.InvalidURL):
        return httpx.URL(url)
    # Outside a handler: the cause would quote the URL.
    raise ProtocolError("the server named an address that is not a URL")
