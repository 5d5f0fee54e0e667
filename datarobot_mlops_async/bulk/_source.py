"""The items of a run, whatever kind of iterable they come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Generator, Iterable

Item = TypeVar("Item")
T = TypeVar("T")


def check_items(items: object) -> None:
    """Refuse what is no iterable of items.

    Raises:
        TypeError: It is one string, or cannot be iterated over.
    """
    if isinstance(items, (str, bytes)):
        raise TypeError("items must be an iterable of items, not one string")
    if not any(hasattr(items, name) for name in ("__iter__", "__getitem__", "__aiter__", "__anext__")):
        raise TypeError(f"items must be iterable, not {type(items).__name__}")


class Source(AsyncIterator[Item]):
    """Items one by one.

    An asynchronous generator that is cancelled while it looks for the next item cleans up undisturbed, as it does
    when it is closed between two items.
    """

    def __init__(self, items: Iterable[Item] | AsyncIterable[Item]) -> None:
        given: Any = items
        if not hasattr(given, "__anext__"):
            given = aiter(given) if hasattr(given, "__aiter__") else iter(given)
        self._items = given

    async def __anext__(self) -> Item:
        if hasattr(self._items, "__anext__"):
            with anyio.CancelScope() as scope:
                return await _CancelledOnce(anext(self._items), scope)
        # StopIteration cannot leave a coroutine.
        for item in self._items:
            return cast("Item", item)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let an asynchronous generator clean up here, and not when the garbage collector finds it."""
        aclose = getattr(self._items, "aclose", None)
        if aclose is not None:
            with anyio.CancelScope(shield=True):
                await aclose()


class _CancelledOnce(Generic[T]):
    """An awaitable to which the scope around it lets one cancellation through, and no second one."""

    def __init__(self, awaitable: Awaitable[T], scope: anyio.CancelScope) -> None:
        self._awaitable = awaitable
        self._scope = scope

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._awaitable.__await__()
        resume = partial(next, steps)
        cancelled = anyio.get_cancelled_exc_class()
        while True:
            try:
                trap = resume()
            except StopIteration as end:
                return cast("T", end.value)
            try:
                sent = yield trap
            except BaseException as error:  # noqa: BLE001 - handed on
                self._scope.shield = True
                resume = partial(steps.throw, error)
            else:
                # Trio does not throw an exception but sends it.
                if isinstance(getattr(sent, "error", None), cancelled):
                    self._scope.shield = True
                resume = partial(steps.send, sent)
