"""Reading a list: page by page, or with pages fetched ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

import anyio
from attrs import frozen

from datarobot_mlops_async.errors import PaginationError
from datarobot_mlops_async.pagination._plan import ListQuery, ListRequest, Plan

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from datarobot_mlops_async._api import Api, Response

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


async def _fetch(api: Api, request: ListRequest[T], query: ListQuery) -> Response:
    return await api.send("GET", request.route, ids=request.ids, query=query)


class PageIterator(AsyncIterator[Page[T]]):
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


class ItemIterator(AsyncIterator[T]):
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
