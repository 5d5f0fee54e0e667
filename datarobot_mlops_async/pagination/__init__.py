"""Lists that come in pages.

A `Paginator` is lazy and can be used any number of times; each use starts at the first page. The
rules for all of them:

- Of a page's ``next`` only the query is used, on our own endpoint, whatever host it names.
- Pages are fetched ahead at the offsets where they are foreseen, and taken only if a ``next`` leads to them.
- ``null`` and ``""`` end the list; an empty page that has a ``next`` does not.
- An item that was seen already is dropped: rows shift while a list that is being changed is read.
- A server that repeats itself, or sends nothing but empty pages, raises `PaginationError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from datarobot_mlops_async._api import route_path
from datarobot_mlops_async.pagination._plan import ListRequest as ListRequest  # noqa: TC001 - for resources
from datarobot_mlops_async.pagination._reading import ItemIterator, Page, PageIterator, Prefetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from datarobot_mlops_async._api import Api

__all__ = ["Page", "Paginator", "Prefetch"]

T = TypeVar("T")


class Paginator(Generic[T]):
    """A list that is read page by page.

    ``async for item in paginator`` reads one page after the other and leaves nothing behind when it is
    broken out of. `collect` and `prefetch` read pages concurrently.
    """

    def __init__(self, api: Api, request: ListRequest[T]) -> None:
        self._api = api
        self._request = request

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._request.item_type.__name__} at /{self._request.route}>"

    @property
    def path(self) -> str:
        """Where the list is: path and query relative to the API's root, filters included, pages not."""
        request = self._request
        return route_path(request.route, request.ids, request.query)

    def __aiter__(self) -> AsyncIterator[T]:
        return ItemIterator(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over the pages, one request each."""
        return PageIterator(self._api, self._request)

    async def first_page(self) -> Page[T]:
        """Return the first page, with the total count where the server tells it.

        A list with a limit of 0 asks the server nothing.
        """
        async for page in self.pages():
            return page
        return Page(items=(), total_count=None)

    async def collect(self, *, max_concurrency: int = 16) -> list[T]:
        """Return all items in order, pages fetched concurrently once the first one has told the total.

        When the total moves while the pages are read, those that told another total are read again, at
        most 5 times: then what was read last is returned and a warning logged.

        Args:
            max_concurrency: Pages to fetch at a time; the session's own limit holds besides.

        Raises:
            ValueError: ``max_concurrency`` is below 1.
        """
        _check_concurrency(max_concurrency)
        async with Prefetch(self._api, self._request, max_concurrency, keep=True) as reading:
            return await reading.rest()

    def prefetch(self, pages: int = 4, *, reread: bool = True) -> Prefetch[T]:
        """Read ahead of the consumer: ``async with paginator.prefetch(4) as items: async for item in items: ...``

        Items come in the list's order; when the total has moved while the list was read, the pages that told
        another one are read again, and what had slipped past comes at the end. Lists without a total are
        read one page after the other.

        Args:
            pages: How many pages to fetch concurrently and hold in memory.
            reread: Whether to read pages again when the total has moved.

        Raises:
            ValueError: ``pages`` is below 1.
        """
        _check_concurrency(pages)
        return Prefetch(self._api, self._request, pages, reread=reread)


def _check_concurrency(value: int) -> None:
    if value < 1:
        raise ValueError(f"the number of pages to fetch at a time must be at least 1, not {value}")
