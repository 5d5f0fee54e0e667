"""Reading several pages of a list at a time, once the first one has told the total."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import anyio

from datarobot_mlops_async.errors import PaginationError
from datarobot_mlops_async.pagination._reading import ListRequest, PageIterator, RawPage, Seen, fetch_page

if TYPE_CHECKING:
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

    async def all(self, first: RawPage[T], offsets: range) -> list[T]:
        step = offsets.step
        slots: dict[int, RawPage[T]] = {0: first}
        wanted: list[int] = list(offsets)
        for _ in range(_MAX_REREADS + 1):
            latest = await self._read(wanted, slots, first)
            total = latest.total_count or 0
            end = total if self._request.limit is None else min(total, self._request.limit)
            for offset in [each for each in slots if each >= max(end, 1)]:
                del slots[offset]
            wanted = [
                offset
                for offset in range(0, end, step)
                if offset not in slots or slots[offset].total_count != latest.total_count
            ]
            if not wanted:
                break
            first = latest
        else:
            logger.warning(
                "GET /%s: the list kept changing while it was read %d times",
                self._request.route,
                _MAX_REREADS,
            )
        seen = Seen(self._request)
        return [item for offset in sorted(slots) for item in seen.fresh(slots[offset].items)]

    async def _read(
        self, wanted: Sequence[int], slots: dict[int, RawPage[T]], latest: RawPage[T]
    ) -> RawPage[T]:
        """Read the pages at the offsets into their slots; return the one that was answered last."""
        waiting = iter(wanted)
        failures: list[Exception] = []

        async def worker() -> None:
            nonlocal latest
            for offset in waiting:
                try:
                    latest = slots[offset] = await fetch_page(
                        self._api, self._request, self._request.at(offset)
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


class _Slot(Generic[T]):
    """A page on its way."""

    def __init__(self) -> None:
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
        self._ahead: bool | None = None
        self._items: Iterator[T] = iter(())
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
        if group is not None:
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
            self._items = iter(await self._next_items(self._group))

    async def _next_items(self, group: TaskGroup) -> tuple[T, ...]:
        if self._ahead is None:
            page = await anext(self._pages)
            offsets = self._pages.offsets_ahead()
            self._ahead = bool(offsets)
            self._tail = self._pages.last_raw
            if offsets:
                group.start_soon(self._dispatch, offsets, group)
            return self._seen.fresh(page.items)
        if self._ahead:
            try:
                return self._seen.fresh(await self._arrival())
            except anyio.EndOfStream:
                # The total may have grown meanwhile: go on by 'next' from the last page.
                self._ahead = False
                self._pages.resume_after(self._tail)
        return self._seen.fresh((await anext(self._pages)).items)

    async def _arrival(self) -> Sequence[T]:
        slot = await self._receive.receive()
        await slot.arrived.wait()
        self._window.release()
        if slot.failure is not None:
            raise slot.failure
        assert slot.page is not None  # noqa: S101 - arrived without failure: for the type checker
        self._tail = slot.page
        return slot.page.items

    async def _dispatch(self, offsets: range, group: TaskGroup) -> None:
        with self._send:
            for offset in offsets:
                await self._window.acquire()
                slot: _Slot[T] = _Slot()
                await self._send.send(slot)
                group.start_soon(self._fetch_into, slot, offset)

    async def _fetch_into(self, slot: _Slot[T], offset: int) -> None:
        try:
            slot.page = await fetch_page(self._api, self._request, self._request.at(offset))
        except Exception as error:  # noqa: BLE001 - raised where the consumer waits for the page
            slot.failure = error
        slot.arrived.set()
