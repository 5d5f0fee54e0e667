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
DEFAULT_CONCURRENCY = 16


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
    """A run over many items; see `BulkOptions`.

    Attributes:
        function: What to do with each item.
        items: They.
        open_operation: Gives the operation at a location.
        endpoint: The session's.
    """

    function: Callable[[Item], Any]
    items: Iterable[Item] | AsyncIterable[Item]
    open_operation: Callable[[str], Operation[Any]]
    endpoint: str
    max_concurrency: int = DEFAULT_CONCURRENCY
    on_outcome: Callable[[Outcome[Item, Any]], object] | None = None
    stop_on_error: bool = False
    resume_from: str | os.PathLike[str] | Iterable[Outcome[Any, Any] | str] | None = None
    repeat_unknown: bool = False
    journal: str | os.PathLike[str] | None = None
    operation_timeout: float | None = DEFAULT_WAIT
    action: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {self.max_concurrency}")
        if self.operation_timeout is not None and not self.operation_timeout >= 0:
            raise ValueError(f"operation_timeout must be at least 0 seconds, not {self.operation_timeout}")
        check_items(self.items)

    @property
    def record(self) -> str | os.PathLike[str] | None:
        """The file of an earlier run, which this one resumes."""
        return self.resume_from if isinstance(self.resume_from, (str, os.PathLike)) else None

    @property
    def journal_path(self) -> str | os.PathLike[str] | None:
        """The file to write to: that of the run which goes on, unless another one is named."""
        return self.record if self.journal is None else self.journal

    @property
    def action_name(self) -> str:
        """What the journal calls the action: as the caller says, else as the function is called."""
        return self.action or _name_of(self.function)


def _name_of(function: Any) -> str:
    if isinstance(function, partial):
        words = [_word(each) for each in function.args]
        words += [f"{name}={_word(each)}" for name, each in sorted(function.keywords.items())]
        return f"{_name_of(function.func)}({', '.join(words)})"
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return name.rpartition("<locals>.")[2]


def _word(value: object) -> str:
    # An object's own repr may be another one in the next process.
    return ascii(value) if is_data(value) else type(value).__qualname__
