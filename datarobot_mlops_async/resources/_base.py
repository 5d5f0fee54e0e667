"""What resources are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from datarobot_mlops_async._api import rebase
from datarobot_mlops_async.operations import Operation
from datarobot_mlops_async.pagination import ListRequest, Paginator
from datarobot_mlops_async.resources._arguments import whole
from datarobot_mlops_async.resources._results import Results

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from datarobot_mlops_async._api import Api, Query, Response
    from datarobot_mlops_async.operations import Poller

T = TypeVar("T")


class Resource:
    """One family of routes."""

    def __init__(self, api: Api, poller: Poller) -> None:
        self._api = api
        self._poller = poller
        self._results = Results(api)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._api.settings.endpoint}>"

    def _operation(
        self,
        response: Response,
        resolve: Callable[[str | None], Awaitable[T]],
        *,
        status_id: str | None = None,
    ) -> Operation[T]:
        """Return the operation that an answer began.

        The sign is the ``Location`` and not the status code: 200, 201 and 202 all come with it. Without one
        (and without a status id in the body) the server finished at once.
        """
        location = response.headers.get("location")
        path = rebase(location) if location else f"status/{status_id}/" if status_id else None
        return Operation(self._poller, () if path is None else (path,), resolve)

    def _paginator(
        self,
        item_type: type[T],
        route: str,
        *,
        query: Query,
        key: Callable[[T], Hashable] | None,
        page_size: int,
        limit: int | None,
        ids: Mapping[str, str] | None = None,
        largest_page: int = 100,
    ) -> Paginator[T]:
        whole("page_size", page_size, lowest=1, highest=largest_page)
        whole("limit", limit)
        return Paginator(
            self._api,
            ListRequest(
                route=route,
                item_type=item_type,
                ids=ids or {},
                query=tuple(query),
                key=key,
                page_size=page_size,
                limit=limit,
            ),
        )


def by_id(item: Any) -> Hashable:
    """Identify an item by its id."""
    return item.id  # type: ignore[no-any-return] # ids are strings


async def nothing(_resource: str | None) -> None:
    """Resolve an operation that has no result."""
