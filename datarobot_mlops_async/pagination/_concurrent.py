"""Reading several pages of a list at a time, once the first one has told the total."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import anyio

from datarobot_mlops_async.errors import PaginationError
from datarobot_mlops_async.pagination._reading import ListRequest, PageIterator, RawPage, Seen, fetch_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from anyio.abc import TaskGroup

    from datarobot_mlops_async._api import Api

T = TypeVar("T")
_MAX_REREADS = 5
logger = logging.getLogger("datarobot_mlops_async")


class ConcurrentReading(Generic[T]):
    """Reads pages at known offsets, several at a time, until their totals agree."""

    def __init__(self, api: Api, request: ListRequest[T], max_concurrency: int) -> None:
        self._api = api
        self._request = request
        self._width = max_concurrency

    async def all(self, first: RawPage[T], offsets: range) -> list[RawPage[T]]:
        """Return all pages in order."""
        slots: dict[int, RawPage[T]] = {0: first}
        latest = await self._read(offsets, slots, first, offsets.step)
        return await self.settle(slots, latest, offsets.step)

    async def settle(self, slots: dict[int, RawPage[T]], latest: RawPage[T], step: int) -> list[RawPage[T]]:
        """Read pages again until all of them tell the total of the latest one.

        Args:
            slots: Pages by their offset; changed in place.
            latest: The page that was answered last.
            step: From one page to the next.

        Returns:
            The pages in order.
        """
        rereads = 0
        while wanted := self._moved(slots, _total(slots, latest), step):
            if rereads == _MAX_REREADS:
                logger.warning(
                    "GET /%s: the list kept changing while it was read %d times",
                    self._request.route,
                    rereads + 1,
                )
                break
            latest = await self._read(wanted, slots, latest, step)
            rereads += 1
        return [slots[offset] for offset in sorted(slots)]

    def _moved(self, slots: dict[int, RawPage[T]], total: int, step: int) -> list[int]:
        """Drop the pages behind the end; return the offsets of those that are missing or out of date."""
        end = total if self._request.limit is None else min(total, self._request.limit)
        for offset in [each for each in slots if each >= max(end, 1)]:
            del slots[offset]
        return [
            offset
            for offset in range(0, end, step)
            if offset not in slots or slots[offset].total_count not in {None, total}
        ]

    async def _read(
        self, wanted: Sequence[int], slots: dict[int, RawPage[T]], latest: RawPage[T], step: int
    ) -> RawPage[T]:
        """Read the pages at the offsets into their slots; return the one that was answered last."""
        waiting = iter(wanted)
        failures: list[Exception] = []

        async def worker() -> None:
            nonlocal latest
            for offset in waiting:
                try:
                    latest = slots[offset] = await fetch_page(
                        self._api, self._request, self._request.at(offset, step)
                    )
                except Exception as error:  # noqa: BLE001 - raised below, without the group around it
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(min(self._width, len(wanted))):
                group.start_soon(worker)
        if failures:
            raise failures[0]
        return latest


def _total(slots: dict[int, RawPage[T]], latest: RawPage[T]) -> int:
    # A page that does not tell the total says nothing about it.
    told = [page.total_count for page in (latest, *slots.values()) if page.total_count is not None]
    return told[0] if told else 0


class _Slot(Generic[T]):
    """A page on its way."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.arrived = anyio.Event()
        self.page: RawPage[T] | None = None
        self.failure: Exception | None = None


class Prefetch(AsyncIterator[T]):
    """Items in order, with pages fetched ahead while the ``async with`` is open; no task outlives it."""

    def __init__(self, api: Api, request: ListRequest[T], width: int) -> None:
        self._api = api
        self._request = request
        self._width = width
        self._pages = PageIterator(api, request)
        self._seen = Seen(request)
        self._read_pages: dict[int, RawPage[T]] = {}
        self._items: Iterator[T] = iter(())
        self._next_items: Callable[[], Awaitable[Sequence[T]]] = self._first
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._window = anyio.Semaphore(self._width)
        self._send, self._receive = anyio.create_memory_object_stream[_Slot[T]](self._width)
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group, self._group = self._group, None
        assert group is not None  # noqa: S101 - entered: for the type checker
        group.cancel_scope.cancel()
        self._send.close()
        self._receive.close()
        # The body's exception goes on by itself: handed to the group it would come out wrapped in one.
        await group.__aexit__(None, None, None)

    async def __anext__(self) -> T:
        if self._group is None:
            raise PaginationError("prefetch() is an async context manager: 'async with ... as items'")
        while True:
            for item in self._items:
                return item
            if self._seen.full:
                raise StopAsyncIteration
            try:
                self._items = iter(self._seen.fresh(await self._next_items()))
            except Exception:
                # As in a generator: what failed is over, and no page is skipped.
                self._next_items = self._nothing
                raise

    async def _first(self) -> Sequence[T]:
        page = await anext(self._pages)
        offsets = self._pages.offsets_ahead()
        if not offsets:
            self._next_items = self._one_by_one
            return page.items
        self._next_items = self._ahead
        self._step = offsets.step
        self._keep(0, self._pages.last_raw)
        assert self._group is not None  # noqa: S101 - __anext__ has seen it: for the type checker
        self._group.start_soon(self._dispatch, offsets, self._group)
        return page.items

    async def _ahead(self) -> Sequence[T]:
        """Return the next of the pages that are fetched ahead."""
        try:
            slot = await self._receive.receive()
        except anyio.EndOfStream:
            # The total may have grown meanwhile: go on by 'next' from the last page.
            self._next_items = self._one_by_one
            self._pages.resume_after(self._last)
            return await self._slipped_past()
        await slot.arrived.wait()
        self._window.release()
        if slot.failure is not None:
            raise slot.failure
        assert slot.page is not None  # noqa: S101 - arrived without failure: for the type checker
        self._keep(slot.offset, slot.page)
        return slot.page.items

    async def _one_by_one(self) -> Sequence[T]:
        return (await anext(self._pages)).items

    async def _nothing(self) -> Sequence[T]:
        raise StopAsyncIteration

    async def _slipped_past(self) -> Sequence[T]:
        """Read pages again that told another total than the last one: rows have moved past the reader."""
        if self._request.key is None:
            # Nothing would tell what was given out already.
            return ()
        reading = ConcurrentReading(self._api, self._request, self._width)
        pages = await reading.settle(self._read_pages, self._last, self._step)
        self._pages.resume_after(pages[-1])
        return [item for page in pages for item in page.items]

    def _keep(self, offset: int, page: RawPage[T]) -> None:
        self._last = page
        # The items are given out; what the page told stays.
        self._read_pages[offset] = RawPage((), page.next, page.total_count)

    async def _dispatch(self, offsets: range, group: TaskGroup) -> None:
        with self._send:
            for offset in offsets:
                await self._window.acquire()
                slot: _Slot[T] = _Slot(offset)
                await self._send.send(slot)
                group.start_soon(self._fetch_into, slot)

    async def _fetch_into(self, slot: _Slot[T]) -> None:
        try:
            slot.page = await fetch_page(self._api, self._request, self._request.at(slot.offset, self._step))
        except Exception as error:  # noqa: BLE001 - raised where the consumer waits for the page
            slot.failure = error
        slot.arrived.set()
