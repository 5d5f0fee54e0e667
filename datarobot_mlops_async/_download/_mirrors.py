"""The same object from several places: mirrors first, the service where they fail.

Nobody vouches for a mirror, so they are used only where a digest of the whole decides. They never get the token. A
mirror that fails, is slow or has an object of another size is not asked again.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from datarobot_mlops_async._download._ranges import is_encoded, parse_content_range
from datarobot_mlops_async.errors import APIStatusError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datarobot_mlops_async._download._remote import RemoteObject
    from datarobot_mlops_async._streaming import Sink, StreamingResponse

# Two copies of one object have different ones.
_VALIDATORS = frozenset({"etag", "last-modified"})
_REQUESTED = re.compile(r"bytes=(\d+)-(\d+)")


class MirroredObject:
    """An object on the service that others have too.

    Args:
        service: The object on the service.
        mirrors: The others.
        size: Bytes, as the metadata say; ``None`` if unknown.
    """

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
