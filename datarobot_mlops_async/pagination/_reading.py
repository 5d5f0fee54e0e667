"""Reading a list one page after the other. Everything about ``next`` is decided here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from datarobot_mlops_async.errors import DecodeError, PaginationError

if TYPE_CHECKING:
    from datarobot_mlops_async._api import Api

T = TypeVar("T")
ListQuery = tuple[tuple[str, str], ...]
_MAX_STALE_PAGES = 100


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: The page's items, in the list's order, without those that an earlier page had.
        total_count: How many items the server says there are in all; ``None`` where it does not say.
    """

    items: tuple[T, ...]
    total_count: int | None


@frozen(kw_only=True)
class ListRequest(Generic[T]):
    """What to ask for.

    Attributes:
        route: The list's route.
        item_type: What each item decodes to.
        ids: Values for the names in the route.
        query: Filters and order, without offset and limit.
        key: What identifies an item; ``None`` where nothing does.
        page_size: Items to ask for at a time.
        limit: The most items wanted; ``None`` for all.
    """

    route: str
    item_type: type[T]
    ids: Mapping[str, str]
    query: ListQuery
    key: Callable[[T], Hashable] | None
    page_size: int
    limit: int | None = None

    def at(self, offset: int, size: int | None = None) -> ListQuery:
        """Return the query for the page at an offset, of the usual size or another."""
        size = self.page_size if size is None else size
        if self.limit is not None:
            size = max(1, min(size, self.limit - offset))
        return (*self.query, ("offset", str(offset)), ("limit", str(size)))


class RawPage(Generic[T]):
    """A page as it came, with where it stands in the list."""

    __slots__ = ("items", "next", "total_count")

    def __init__(self, items: Sequence[T], next_: str | None, total_count: int | None) -> None:
        self.items = items
        self.next = next_
        self.total_count = total_count


async def fetch_page(api: Api, request: ListRequest[T], query: ListQuery) -> RawPage[T]:
    """Ask for one page."""
    operation = f"GET /{request.route}"
    response = await api.send("GET", request.route, ids=request.ids, query=query)
    api.require_ok(response, operation)
    page = api.decoder.decode_page(response.content, request.item_type, operation=operation)
    return RawPage(page.items, page.next, page.total_count)


class PageIterator(AsyncIterator[Page[T]]):
    """The pages of one reading, by ``next``. No generator: there is nothing to finalise after a break."""

    def __init__(self, api: Api, request: ListRequest[T]) -> None:
        self._api = api
        self._request = request
        self._next: ListQuery | None = request.at(0) if request.limit != 0 else None
        self._asked: set[ListQuery] = set()
        self._seen = Seen(request)
        self._stale = 0
        self.last_raw: RawPage[T]

    async def __anext__(self) -> Page[T]:
        if self._next is None:
            raise StopAsyncIteration
        if self._next in self._asked:
            raise PaginationError(
                f"GET /{self._request.route}: the server repeats the same 'next' after {self._seen.count} items"
            )
        raw = await fetch_page(self._api, self._request, self._next)
        # Only now: a page whose request failed may be asked for again.
        self._asked.add(self._next)
        self.last_raw = raw
        self._next = _next_query(raw.next, self._request)
        items = self._seen.fresh(raw.items)
        self._stale = 0 if items else self._stale + 1
        if self._stale > _MAX_STALE_PAGES:
            raise PaginationError(
                f"GET /{self._request.route}: {self._stale} pages in a row, each with a 'next', and nothing new "
                f"after {self._seen.count} items"
            )
        if self._seen.full:
            self._next = None
        return Page(items=items, total_count=raw.total_count)

    def resume_after(self, raw: RawPage[T]) -> None:
        """Go on behind a page that was fetched by its offset."""
        self._next = _next_query(raw.next, self._request)

    def offsets_ahead(self) -> range:
        """Return the offsets of the pages after the first, empty unless they can be known.

        They can when the server tells the total and its ``next`` an offset; how far that lies ahead is the
        size of a page, which the server may have made smaller than it was asked for.
        """
        total = self.last_raw.total_count
        step = dict(self._next or ()).get("offset", "")
        if total is None or not step.isdecimal() or int(step) == 0:
            return range(0)
        limit = self._request.limit
        return range(int(step), total if limit is None else min(limit, total), int(step))


class ItemIterator(AsyncIterator[T]):
    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            self._items = iter((await anext(self._pages)).items)


class Seen(Generic[T]):
    """What a reading has given out: drops what came before and stops at the limit."""

    def __init__(self, request: ListRequest[T]) -> None:
        self._key = request.key
        self._limit = request.limit
        self._keys: set[Hashable] = set()
        self.count = 0

    @property
    def full(self) -> bool:
        return self._limit is not None and self.count >= self._limit

    def fresh(self, items: Sequence[T]) -> tuple[T, ...]:
        if self._key is not None:
            kept = []
            for item in items:
                key = self._key(item)
                if key is None or key not in self._keys:
                    self._keys.add(key)
                    kept.append(item)
            items = kept
        if self._limit is not None:
            items = items[: self._limit - self.count]
        self.count += len(items)
        return tuple(items)


def _next_query(next_: str | None, request: ListRequest[Any]) -> ListQuery | None:
    if not next_:
        return None
    try:
        query = tuple(parse_qsl(urlsplit(next_).query, keep_blank_values=True))
    except ValueError:
        query = ()
    if not query:
        raise DecodeError(
            f"GET /{request.route}: $.next is not a URL with a query",
            operation=f"GET /{request.route}",
            path="$.next",
            expected="a URL with a query, null or an empty string",
            actual="something else",
            text="",
        )
    return query
