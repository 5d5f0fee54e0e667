"""What a run does, and how: its options, checked."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from attrs import frozen

from datarobot_mlops_async.bulk._outcome import is_data
from datarobot_mlops_async.bulk._source import check_items
from datarobot_mlops_async.operations import DEFAULT_WAIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from datarobot_mlops_async.bulk._outcome import Outcome
    from datarobot_mlops_async.operations import Operation

Item = TypeVar("Item")
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
        check_items(self.items)

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
