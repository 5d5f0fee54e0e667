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

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

import anyio
from attrs import frozen

from datarobot_mlops_async._api import route_path
from datarobot_mlops_async.errors import PaginationError
from datarobot_mlops_async.pagination._plan import ListQuery, Plan
from datarobot_mlops_async.pagination._plan import ListRequest as ListRequest

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from datarobot_mlops_async._api import Api, Response

__all__ = ["Page", "Paginator", "Prefetch"]

T = TypeVar("T")


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: The page's items, in the list's order, without those that an earlier page had.
        total_count: How many items the server says there are in all; ``None`` where it does not say.
    """

    items: tuple[T, ...]
    total_count: int | None


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
        return _ItemIterator(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over the pages, one request each."""
        return _PageIterator(self._api, self._request)

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


async def _fetch(api: Api, request: ListRequest[T], query: ListQuery) -> Response:
    return await api.send("GET", request.route, ids=request.ids, query=query)


class _PageIterator(AsyncIterator[Page[T]]):
    """The pages of one reading, by ``next``. No generator: there is nothing to finalise after a break."""

    def __init__(self, api: Api, request: ListRequest[T]) -> None:
        self._api = api
        self._request = request
        self._plan = Plan(request)

    async def __anext__(self) -> Page[T]:
        self._plan.check()
        if self._plan.next is None:
            raise StopAsyncIteration
        # A page whose request failed or was cancelled may be asked for again.
        answer = await _fetch(self._api, self._request, self._plan.next)
        page = self._api.decode_page(answer, self._request.item_type, self._request.operation)
        return Page(items=tuple(self._plan.take(page)), total_count=page.total_count)


class _ItemIterator(AsyncIterator[T]):
    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            self._items = iter((await anext(self._pages)).items)


class _Slot:
    """A page on its way. Its answer waits undecoded for its turn: it may not be wanted after all."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.arrived = anyio.Event()
        self.answer: Response | None = None
        self.failure: Exception | None = None


class Prefetch(AsyncIterator[T]):
    """Items in order, with pages fetched ahead while the ``async with`` is open; no task outlives it.

    A cancelled ``anext`` loses nothing: the next one goes on where it was.
    """

    def __init__(
        self, api: Api, request: ListRequest[T], width: int, *, keep: bool = False, reread: bool = True
    ) -> None:
        self._api = api
        self._request = request
        self._width = width
        # Where nothing identifies an item, nothing would tell what was given out already.
        self._plan = Plan(request, keep=keep, reread=reread and (keep or request.key is not None))
        self._slots: dict[ListQuery, _Slot] = {}
        self._items: Iterator[T] = iter(())
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        group, self._group = self._group, None
        assert group is not None  # entered
        group.cancel_scope.cancel()
        self._slots.clear()
        # The body's exception goes on by itself: handed to the group it would come out wrapped in one.
        await group.__aexit__(None, None, None)

    async def __anext__(self) -> T:
        while True:
            group = self._entered()
            for item in self._items:
                return item
            await self._read_on(group)

    async def rest(self) -> list[T]:
        """Read to the end; return the list as its last walk found it."""
        while True:
            try:
                await self._read_on(self._entered())
            except StopAsyncIteration:
                return self._plan.kept

    def _entered(self) -> TaskGroup:
        if self._group is None:
            raise PaginationError("prefetch() is an async context manager: 'async with ... as items'")
        return self._group

    async def _read_on(self, group: TaskGroup) -> None:
        """Take the next page. Nothing changes before it has come, whoever is cancelled."""
        self._fill(group)
        query = self._plan.next
        if query is None:
            raise StopAsyncIteration
        try:
            self._plan.check()
            slot = self._slots[query]
            await slot.arrived.wait()
            if self._slots.get(query) is not slot:
                return  # another task that reads from here has taken it
            del self._slots[query]
            if slot.answer is None:
                raise cast("Exception", slot.failure)
            page = self._api.decode_page(slot.answer, self._request.item_type, self._request.operation)
            self._items = iter(self._plan.take(page))
        except Exception:
            # As in a generator: what failed is over, and no page is skipped.
            self._plan.stop()
            raise
        self._fill(group)

    def _fill(self, group: TaskGroup) -> None:
        """Fetch what the plan wants, and nothing else any more."""
        wanted = self._plan.ahead(self._width)
        for query in self._slots.keys() - set(wanted):
            self._slots.pop(query).scope.cancel()
        for query in wanted:
            if query not in self._slots:
                self._slots[query] = slot = _Slot()
                group.start_soon(self._fetch_into, slot, query)

    async def _fetch_into(self, slot: _Slot, query: ListQuery) -> None:
        with slot.scope:
            try:
                slot.answer = await _fetch(self._api, self._request, query)
            except Exception as error:  # noqa: BLE001 - raised where the consumer waits for the page
                slot.failure = error
            slot.arrived.set()
