"""What a run does, to which items, and how: its options, checked."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, cast

import anyio
from attrs import frozen

from datarobot_mlops_async.bulk._outcome import is_data
from datarobot_mlops_async.operations import DEFAULT_WAIT, Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable

    from datarobot_mlops_async.bulk._outcome import Outcome

Item = TypeVar("Item")
T = TypeVar("T")
# Halves of classes that are split over two modules, and how the whole is called, in journals too.
_WHOLES = {"OneDeployment": "Deployments", "Routes": "SessionView"}


class BulkOptions(TypedDict, total=False):
    """Options of ``session.bulk`` and ``session.bulk_stream``, where they are explained."""

    max_concurrency: int
    on_outcome: Callable[[Outcome[Any, Any]], object] | None
    stop_on_error: bool
    resume_from: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str] | None
    repeat_unknown: bool
    journal: str | os.PathLike[str] | None
    operation_timeout: float | None
    action: str | None


@frozen(kw_only=True)
class Run(Generic[Item]):
    """A run over many items."""

    function: Callable[[Item], Any]
    items: Iterable[Item] | AsyncIterable[Item]
    open_operation: Callable[[str], Operation[Any]]
    endpoint: str
    options: BulkOptions

    def __attrs_post_init__(self) -> None:
        if unknown := self.options.keys() - BulkOptions.__annotations__.keys():
            raise TypeError(f"bulk work has no option {', '.join(sorted(unknown))}")
        if self.max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        if self.operation_timeout is not None and not self.operation_timeout >= 0:
            raise ValueError(f"operation_timeout must be at least 0 seconds, not {self.operation_timeout}")
        if isinstance(self.items, (str, bytes)):
            raise TypeError("items must be an iterable of items, not one string")
        if not any(
            hasattr(self.items, each) for each in ("__iter__", "__getitem__", "__aiter__", "__anext__")
        ):
            raise TypeError(f"items must be iterable, not {type(self.items).__name__}")

    @property
    def max_concurrency(self) -> int:
        """Items on their way at a time."""
        return self.options.get("max_concurrency", 16)

    @property
    def operation_timeout(self) -> float | None:
        """Seconds to wait for each operation; ``None`` for no end."""
        return self.options.get("operation_timeout", DEFAULT_WAIT)

    @property
    def record(self) -> str | os.PathLike[str] | None:
        """The file of an earlier run, which this one resumes."""
        given = self.options.get("resume_from")
        return given if isinstance(given, (str, os.PathLike)) else None

    @property
    def journal_path(self) -> str | os.PathLike[str] | None:
        """The file to write to: that of the run which goes on, unless another one is named."""
        journal = self.options.get("journal")
        return self.record if journal is None else journal

    @property
    def action_name(self) -> str:
        """What the journal calls the action: as the caller says, else as the function is called."""
        return self.options.get("action") or _name_of(self.function)

    async def call(self, item: Item) -> Any:
        """Return what the function makes of an item; an operation, awaitable too, is left to be waited for."""
        value = self.function(item)
        while inspect.isawaitable(value) and not isinstance(value, Operation):
            value = await value
        return value


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
                return await _cancelled_once(anext(self._items), scope)
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


def _name_of(function: Any) -> str:
    if isinstance(function, partial):
        words = [_word(each) for each in function.args]
        words += [f"{name}={_word(each)}" for name, each in sorted(function.keywords.items())]
        return f"{_name_of(function.func)}({', '.join(words)})"
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    if str(getattr(function, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]:
        half, dot, method = name.partition(".")
        return f"{_WHOLES.get(half, half)}{dot}{method}"
    return name.rpartition("<locals>.")[2]


def _word(value: object) -> str:
    # An object's own repr may be another one in the next process.
    return ascii(value) if is_data(value) else type(value).__qualname__


@coroutine
def _cancelled_once(awaitable: Awaitable[T], scope: anyio.CancelScope) -> Generator[Any, Any, T]:
    """Await something to which the scope around it lets one cancellation through, and no second one."""
    steps = awaitable.__await__()
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
            scope.shield = True
            resume = partial(steps.throw, error)
        else:
            # Trio does not throw an exception but sends it.
            if isinstance(getattr(sent, "error", None), cancelled):
                scope.shield = True
            resume = partial(steps.send, sent)
