"""Where an object is: from an API path to one resolved URL that all pieces share, and other places that have it.

The token goes to the endpoint's origin only, at most 10 hops are followed and none leads from https to http. What
the last hop names is normally a signed URL, which expires: the first request that is refused asks the API
again, the others wait for it.

Nobody vouches for a mirror, so mirrors are used only where a digest of the whole decides. They never get the token. A
mirror that fails, is slow or has an object of another size is not asked again.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from datarobot_mlops_async._api import USER_AGENT, RequestInfo, route_of, status_error
from datarobot_mlops_async._download._probe import is_encoded, parse_content_range
from datarobot_mlops_async._streaming import Address, resolve_location
from datarobot_mlops_async._transport import without_query
from datarobot_mlops_async.errors import APIStatusError, ConnectError, ProtocolError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datarobot_mlops_async._api import Api
    from datarobot_mlops_async._streaming import Sink, StreamingClient, StreamingResponse

_MAX_HOPS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# 400 is how Google's storage words an expired token, and S3 one that came with other credentials.
_REFUSALS = frozenset({400, 401, 403, 404, 410})
_ERROR_BODY = 64 * 1024
# Two copies of one object have different ones.
_VALIDATORS = frozenset({"etag", "last-modified"})
_REQUESTED = re.compile(r"bytes=(\d+)-(\d+)")


class RemoteObject:
    """One object on the server, found again whenever its address expires."""

    def __init__(self, api: Api, path: str, client: StreamingClient) -> None:
        self._api = api
        self._start = api.url_of_bytes(path)
        # A whole URL is somebody else's business, wherever it leads: it gets nothing of ours.
        self._is_api = self._start != path
        self._client = client
        self._route = f"/{route_of(path)}" if self._is_api else ""
        self._resolved: str | None = None
        self._lock = anyio.Lock()
        self.resolutions = 0
        """How many times the API was asked for the address."""

    @property
    def url(self) -> str:
        """The address without its query, for messages."""
        return without_query(self._resolved or self._start)

    async def get(self, headers: Mapping[str, str]) -> StreamingResponse:
        """GET the object, or a range of it.

        Returns:
            An answer with status 200, 206 or 416; the body is unread.

        Raises:
            TransportError: No answer, or a redirect that may not be followed.
            APIStatusError: Any other status, after the address was resolved again where that could help.
        """
        tried = self._resolved
        response = None if tried is None else await self._try_resolved(tried, headers)
        if response is None:
            async with self._lock:
                # Another piece may have resolved it meanwhile.
                if self._resolved in {None, tried}:
                    self._resolved = None
                    response = await self._resolve(headers)
        if response is None:
            response = await self._follow(self._resolved or self._start, headers)
        return await self._accept(response)

    async def _try_resolved(self, url: str, headers: Mapping[str, str]) -> StreamingResponse | None:
        """Return the answer of a resolved address; ``None`` when it has to be resolved again."""
        if url == self._start:
            return await self._follow(url, headers)
        try:
            response = await self._follow(url, headers)
        except ConnectError:
            return None
        if response.status in _REFUSALS:
            await response.aclose()
            return None
        return response

    async def _resolve(self, headers: Mapping[str, str]) -> StreamingResponse:
        self.resolutions += 1
        response = await self._follow(self._start, headers)
        if response.status < 300:
            self._resolved = response.url
        return response

    async def _follow(self, url: str, headers: Mapping[str, str]) -> StreamingResponse:
        for _ in range(_MAX_HOPS + 1):
            response = await self._ask(url, headers)
            if response.status not in _REDIRECTS:
                return response
            location = response.headers.get("location", "")
            await response.aclose()
            url = self._next_hop(url, location)
        raise ProtocolError(f"{without_query(self._start)}: more than {_MAX_HOPS} redirects")

    async def _ask(self, url: str, headers: Mapping[str, str]) -> StreamingResponse:
        # Size and digest are of the bytes on the connection.
        fields = {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity", **headers}
        if not self._is_api or not self._api.owns(url):
            return await self._send(url, fields)
        ours = await self._api.headers_for_bytes()
        response = await self._send(url, {**fields, **ours})
        if response.status == 401:
            try:
                renewed = await self._api.credentials.renew(ours["authorization"], self._api.options.timeout)
            except BaseException:
                await response.aclose()
                raise
            if renewed:
                await response.aclose()
                response = await self._send(url, {**fields, **await self._api.headers_for_bytes()})
        return response

    async def _send(self, url: str, headers: Mapping[str, str]) -> StreamingResponse:
        hooks = self._api.hooks
        if not hooks.heard:
            return await self._client.get(url, headers)
        response: StreamingResponse | None = None

        async def send() -> StreamingResponse:
            nonlocal response
            response = await self._client.get(url, headers)
            return response

        request = RequestInfo(method="GET", route=self._route, url=without_query(url), attempt=1)
        try:
            return await hooks.watch(request, send)
        except BaseException:
            # Cancelled in a hook.
            if response is not None:
                await response.aclose()
            raise

    def _next_hop(self, url: str, location: str) -> str:
        if not location:
            raise ProtocolError(f"{without_query(url)}: a redirect to nowhere")
        target = resolve_location(url, location)
        if Address.parse(url).scheme == "https" != Address.parse(target).scheme:
            raise ProtocolError(f"{without_query(url)}: a redirect from https to http, which is not followed")
        return target

    async def _accept(self, response: StreamingResponse) -> StreamingResponse:
        if response.status in {200, 206, 416}:
            return response
        sink = _ErrorBody()
        try:
            # The status says enough; a body that breaks off or trickles is read as far as it came.
            with anyio.move_on_after(self._api.options.timeout), suppress(TransportError):
                await response.drain(sink)
        finally:
            await response.aclose()
        raise status_error(
            status=response.status,
            headers=response.headers,
            body=sink.content(),
            method="GET",
            url=response.url,
            redactor=self._api.redactor,
        )


class _ErrorBody:
    """Keeps the beginning of a body."""

    def __init__(self) -> None:
        self._buffer = bytearray(_ERROR_BODY)
        self._length = 0

    def get_buffer(self) -> memoryview:
        return memoryview(self._buffer)[self._length :]

    def buffer_updated(self, count: int) -> None:
        self._length += count

    def abandon(self) -> None:
        """Nothing here ever waits."""

    def content(self) -> bytes:
        return bytes(self._buffer[: self._length])


class MirroredObject:
    """An object on the service that others have too; its size in bytes, where the metadata name it."""

    def __init__(self, service: RemoteObject, mirrors: list[RemoteObject], size: int | None) -> None:
        self._service = service
        self._mirrors = mirrors
        self._size = size
        self._turn = 0

    @property
    def url(self) -> str:
        """The service's address without its query, for messages."""
        return self._service.url

    def drop_mirrors(self) -> bool:
        """Use the service only from now on; tell whether that makes a difference."""
        used = self._turn > 0
        self._mirrors.clear()
        self._turn = 0
        return used

    async def get(self, headers: Mapping[str, str]) -> StreamingResponse:
        """GET the object, or a range of it, from whoever has it; mirrors in turn, then the service."""
        fields = {name: value for name, value in headers.items() if name != "If-Range"}
        while self._mirrors and "Range" in fields:
            self._turn += 1
            mirror = self._mirrors[self._turn % len(self._mirrors)]
            try:
                response = await mirror.get(fields)
            except (TransportError, APIStatusError):
                self._forget(mirror)
                continue
            if self._is_right(response, fields["Range"]):
                return _Copy(response, partial(self._forget, mirror))
            await response.aclose()
            self._forget(mirror)
        return _Copy(await self._service.get(fields), lambda: None)

    def _forget(self, mirror: RemoteObject) -> None:
        if mirror in self._mirrors:
            self._mirrors.remove(mirror)

    def _is_right(self, response: StreamingResponse, wanted: str) -> bool:
        found = parse_content_range(response.headers.get("content-range", ""))
        asked = _REQUESTED.fullmatch(wanted)
        if response.status != 206 or found is None or asked is None or is_encoded(response.headers):
            return False
        if self._size is None:
            self._size = found.total
        end = min(int(asked[2]) + 1, found.total or 0)
        return (found.start, found.end, found.total) == (int(asked[1]), end, self._size)


class _Copy:
    """An answer from one of several places."""

    def __init__(self, response: StreamingResponse, failed: Callable[[], None]) -> None:
        self.status = response.status
        self.url = response.url
        self.headers: Mapping[str, str] = {
            name: value for name, value in response.headers.items() if name not in _VALIDATORS
        }
        self.interrupt = response.interrupt
        self.aclose = response.aclose
        self._response = response
        self._failed = failed

    async def drain(self, sink: Sink) -> None:
        try:
            await self._response.drain(sink)
        except TransportError:
            self._failed()
            raise
