"""Routes that have no method of their own: the same retries, limits, token and errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, overload

from datarobot_mlops_async._api import Api, Response, is_whole_url, own_path, query_pairs, rebase
from datarobot_mlops_async.operations import Operation, Poller
from datarobot_mlops_async.pagination import ListRequest, Paginator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datarobot_mlops_async.artifacts import Artifact

T = TypeVar("T")
_HTTP_URL = re.compile(r"https?://", re.IGNORECASE)


class Routes:
    """Any route of the API, and any operation, by its address."""

    def __init__(self, api: Api, poller: Poller) -> None:
        self._api = api
        self._poller = poller

    @overload
    async def request(
        self, method: str, path: str, *, query: Mapping[str, object] | None = None, json: object = None
    ) -> Any: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type_: type[T],
        query: Mapping[str, object] | None = None,
        json: object = None,
    ) -> T: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        type_: Any = Any,
        query: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Any:
        """Send a request to a route that has no method of its own here.

        ::

            version = await session.request("GET", "version/")
            answer = await session.request("GET", "deployments/", type_=Response, query={"limit": 5})

        It has the retries, limits, token and errors of all others.

        Args:
            method: The HTTP method. Only GET, HEAD, PUT, DELETE and OPTIONS are repeated after a lost answer.
            path: Relative to ``/api/v2/``.
            type_: What the body decodes to: an attrs class (fields in snake_case), a list of them, ``Any`` for
                JSON as it is, or `Response` for status, headers, body and request id.
            query: Names and values; ``None`` is left out, a list repeats its name.
            json: The body; ``None`` for none.

        Returns:
            What ``type_`` says; ``None`` for an empty body with ``Any``.

        Raises:
            APIStatusError: The server refused.
            DecodeError: The body is not what ``type_`` says.
            TransportError: No answer arrived.
            ValueError: The path is a URL, or names nothing below ``/api/v2/``.
        """
        return await self._api.call(method, path, type_, query=query, json=json)

    def paginate(
        self, path: str, *, type_: type[T] | Any = Any, query: Mapping[str, object] | None = None
    ) -> Paginator[T]:
        """Return the list at a route that has no method of its own here.

        Args:
            path: Relative to ``/api/v2/``.
            type_: What each item decodes to, as for `request`.
            query: Filters and order; ``limit`` is the number of items to ask for at a time, 100 unless given.

        Raises:
            ValueError: The path is a URL, names nothing below ``/api/v2/``, or ``limit`` is no number.
        """
        pairs = query_pairs(query)
        limits = [int(value) for name, value in pairs if name == "limit"]
        rest = tuple(pair for pair in pairs if pair[0] not in {"limit", "offset"})
        request = ListRequest(
            route=own_path(path),
            item_type=type_,
            ids={},
            query=rest,
            key=None,
            page_size=limits[-1] if limits else 100,
        )
        return Paginator(self._api, request)

    async def begin(
        self, method: str, path: str, *, json: object = None, query: Mapping[str, object] | None = None
    ) -> Operation[Any]:
        """Begin a long-running operation at a route that has no method of its own here.

        The answer's ``Location`` names it; without one it was over at once. Its result is that of `operation`.

        Args:
            method: The HTTP method.
            path: Relative to ``/api/v2/``.
            json: The body; ``None`` for none.
            query: As for `request`.

        Raises:
            APIStatusError: The server refused.
            ValueError: The path is a URL, or names nothing below ``/api/v2/``.
        """
        answer = await self._api.call(method, path, Response, query=query, json=json)
        self._api.require_ok(answer, f"{method} /{path}")
        location = answer.headers.get("location")
        return Operation(self._poller, (rebase(location),) if location else (), self._result)

    def artifact(
        self,
        path_or_urls: str | Sequence[str],
        *,
        filename: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
    ) -> Artifact:
        """Return something to download that no method here names.

        Args:
            path_or_urls: A path relative to ``/api/v2/``; or an absolute URL, which gets no token and no header of
                the session, wherever it leads; or several addresses of the same bytes, which are asked in place of
                the first where ``sha256`` can judge what they send.
            filename: Its file name; ``None`` to take the server's.
            size: Its size in bytes, where known.
            sha256: Its SHA-256 in hexadecimal, where known.

        Raises:
            ValueError: The address is none.
        """
        address, *mirrors = [path_or_urls] if isinstance(path_or_urls, str) else path_or_urls or [""]
        whole = is_whole_url(address)
        if not all(_HTTP_URL.match(each) for each in (mirrors if not whole else [address, *mirrors])):
            raise ValueError("artifact: an address is no http(s) URL, and only the first may be a path")
        from datarobot_mlops_async.artifacts import Artifact  # with the engine behind it

        return Artifact(
            self._api,
            address if whole else own_path(address),
            filename=filename,
            size=size,
            sha256=sha256,
            mirrors=tuple(mirrors),
        )

    def operation(self, location: str) -> Operation[Any]:
        """Return the operation at a stored `Operation.location`, also one begun by another process.

        Its result is what its kind has: the refreshed `Deployment`, an `Artifact`, or ``None``.

        Args:
            location: As stored, or as a server sent it. Only the part behind ``/api/v2/`` counts.

        Raises:
            ProtocolError: It names nothing of this API.
            TypeError: It is not a string: an operation that was over at once has no location.
        """
        if not isinstance(location, str):
            raise TypeError(f"location must be a string, not {type(location).__name__}")
        locations = tuple(rebase(each) for each in location.split() or [""])
        return Operation(self._poller, locations, self._result)

    async def _result(self, resource: str | None) -> Any:
        from datarobot_mlops_async.resources import result_at

        return await result_at(self._api, resource)
