"""Which pages a reading asks for and what it gives out: decisions without requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from attrs import frozen

from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async.errors import DecodeError, PaginationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from datarobot_mlops_async._decoding import RawPage

T = TypeVar("T")
ListQuery = tuple[tuple[str, str], ...]
_MAX_STALE_PAGES = 100
_MAX_REREADS = 5


@frozen(kw_only=True)
class ListRequest(Generic[T]):
    """What to ask for.

    Attributes:
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

    @property
    def operation(self) -> str:
        """The request in the words of an error message."""
        return f"GET /{self.route}"

    @property
    def first(self) -> ListQuery | None:
        """The first page's query; ``None`` when no items are wanted."""
        if self.limit == 0:
            return None
        size = self.page_size if self.limit is None else min(self.page_size, self.limit)
        return (*self.query, ("offset", "0"), ("limit", str(size)))


@frozen(repr=False)
class _Known(Generic[T]):
    """A page that was read: what follows it, the total it told, its items where they are kept."""

    next: ListQuery | None
    total: int | None
    items: Sequence[T]


class Plan(Generic[T]):
    """The course of one reading.

    A reading walks from the first page along each page's ``next``. What lies ahead is foreseen where pages come at
    regular offsets, and only a page that a ``next`` names is ever taken. With ``reread`` a walk during
    which the total has moved is followed by another, in which only the pages that told another total are asked
    for again.

    Args:
        request: What to ask for.
        reread: Whether to walk again when the total has moved, at most 5 times.
        keep: Whether to collect the items of the last walk in `kept`.
    """

    def __init__(self, request: ListRequest[T], *, reread: bool = False, keep: bool = False) -> None:
        self._request = request
        self._reread = reread
        self._keep = keep
        self._known: dict[ListQuery, _Known[T]] = {}
        self._total: int | None = None
        self._stale = self._walks = 0
        self._seen = Seen(request)
        self._start_walk()

    def _start_walk(self) -> None:
        self.next = self._request.first
        self.kept: list[T] = []
        self._walked: set[ListQuery] = set()
        self._step = self._last_step = 0
        if self._keep:
            self._seen = Seen(self._request)

    def stop(self) -> None:
        """End the reading here."""
        self.next = None

    def check(self) -> None:
        """Raise `PaginationError` where going on would mean to go on for ever."""
        if self.next in self._walked:
            raise PaginationError(
                f"{self._request.operation}: the server repeats the same 'next' after {self._seen.count} items"
            )
        if self._stale > _MAX_STALE_PAGES:
            raise PaginationError(
                f"{self._request.operation}: {self._stale} pages in a row, each with a 'next', and nothing new "
                f"after {self._seen.count} items"
            )

    def ahead(self, count: int) -> list[ListQuery]:
        """Return the pages to ask for: the next one, then up to ``count - 1`` that probably follow it."""
        wanted: list[ListQuery] = []
        met: set[ListQuery] = set()
        query = self.next
        while query is not None and len(wanted) < count and query not in met | self._walked:
            met.add(query)
            known = self._known.get(query)
            if known is None or self._outdated(known):
                wanted.append(query)
            query = self._foreseen(query) if known is None else known.next
        return wanted

    def take(self, page: RawPage[T]) -> Sequence[T]:
        """Take the page at `next` and move on; return the items that are new.

        Raises:
            DecodeError: The page's ``next`` is no address.
        """
        query = self.next
        assert query is not None  # only a page that was asked for comes
        known = _Known(
            _next_query(page.next, self._request), page.total_count, page.items if self._keep else ()
        )
        is_new = query not in self._known
        if page.total_count is not None:
            self._total = page.total_count
        self._known[query] = known
        self._learn_step(query, known.next)
        items: Sequence[T] = page.items
        if not is_new and not self._keep:
            # Of items without identity nobody can tell whether they were given out the first time.
            items = [item for item in items if self._seen.identifies(item)]
        fresh = self._pass(query, known, items)
        if is_new:
            self._stale = 0 if fresh else self._stale + 1
        self._skip_known()
        return fresh

    def _pass(self, query: ListQuery, known: _Known[T], items: Sequence[T]) -> Sequence[T]:
        self._walked.add(query)
        fresh = self._seen.fresh(items)
        if self._keep:
            self.kept += fresh
        self.next = None if self._seen.full else known.next
        return fresh

    def _skip_known(self) -> None:
        """Walk on over pages that were read in an earlier walk and still hold."""
        while self.next is not None or self._walk_again():
            query = self.next or ()
            known = self._known.get(query)
            if known is None or query in self._walked or self._outdated(known):
                return
            self._pass(query, known, known.items)

    def _walk_again(self) -> bool:
        self._known = {query: self._known[query] for query in self._walked}
        if not self._reread or not any(map(self._outdated, self._known.values())):
            return False
        self._walks += 1
        if self._walks > _MAX_REREADS:
            logger.warning(
                "%s: the list kept changing while it was read %d times", self._request.operation, self._walks
            )
            return False
        self._start_walk()
        return True

    def _outdated(self, known: _Known[T]) -> bool:
        # A page that does not tell the total says nothing about it.
        return known.total is not None and known.total != self._total

    def _learn_step(self, query: ListQuery, next_: ListQuery | None) -> None:
        """Trust in regular steps as long as each page's ``next`` is the one that was foreseen."""
        here, there = _offset(query), _offset(next_ or ())
        step = 0 if here is None or there is None else max(0, there - here)
        # The first page's 'next' may add parameters of the server's own.
        regular = query == self._request.first or (
            step == self._last_step and _moved(query, here or 0, step) == next_
        )
        self._last_step = step
        self._step = step if regular else 0

    def _foreseen(self, query: ListQuery) -> ListQuery | None:
        here, end, limit = _offset(query), self._total, self._request.limit
        if not self._step or here is None or end is None:
            return None
        end = end if limit is None else min(limit, end)
        return _moved(query, here, self._step) if here + self._step < end else None


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

    def identifies(self, item: T) -> bool:
        return self._key is not None and self._key(item) is not None

    def fresh(self, items: Sequence[T]) -> Sequence[T]:
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
        return items


def _next_query(next_: str | None, request: ListRequest[Any]) -> ListQuery | None:
    if not next_:
        return None
    try:
        query = tuple(parse_qsl(urlsplit(next_).query, keep_blank_values=True))
        # A lone surrogate cannot be sent.
        quote(next_)
    except ValueError:
        query = ()
    if not query:
        raise DecodeError(
            f"{request.operation}: $.next is not a URL with a query",
            operation=request.operation,
            path="$.next",
            expected="a URL with a query, null or an empty string",
            actual="something else",
            text="",
        )
    return query


def _offset(query: ListQuery) -> int | None:
    text = dict(query).get("offset", "")
    # More digits are no offset, and int() refuses thousands of them.
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _moved(query: ListQuery, offset: int, step: int) -> ListQuery:
    return tuple((name, str(offset + step) if name == "offset" else value) for name, value in query)
