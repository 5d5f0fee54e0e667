"""What became of one item, as an object and as a line of JSON."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from attrs import field, frozen

from datarobot_mlops_async import errors
from datarobot_mlops_async.errors import APIStatusError, MLOpsError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Item = TypeVar("Item")
T = TypeVar("T")
_TRANSPORT_FIELDS = ("method", "url", "attempts")
_DEEPEST = 100
_STATUS_FIELDS = ("status", "request_id", "retry_after", *_TRANSPORT_FIELDS)


class OutcomeState(StrEnum):
    """What is known of an item.

    - ``succeeded``: it is done, its operation included.
    - ``failed``: it is not done, and trying again does nothing twice.
    - ``unknown``: the server may have done it, or may be doing it: the answer to a request that changes
      something was lost, or its operation was not awaited to its end. With a location the
      operation can be asked.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Outcome(Generic[Item, T]):
    """What became of one item.

    Attributes:
        index: The item's position in the input, from 0.
        item: The item.
        state: What is known of it.
        value: What the call, or the operation that it began, returned; ``None`` unless it succeeded.
        error: What it raised; ``None`` if it succeeded, or if it was cancelled.
        attempts: Requests that were sent for the call, retries and earlier runs included, polls not.
        duration: Seconds from the call to the outcome, waiting for its turn to be sent included.
        location: Where the operation that the call began can be asked; ``None`` if it began none.
    """

    index: int
    item: Item
    state: OutcomeState = field(converter=OutcomeState)
    value: T | None = None
    error: Exception | None = None
    attempts: int = 0
    duration: float = 0.0
    location: str | None = None

    def __repr__(self) -> str:
        return f"<Outcome {self.item!r} {self.state}{'' if self.error is None else f' {self.error!r}'}>"

    def to_json(self) -> str:
        """Return the outcome as one line of JSON, without a line break.

        An item that is not JSON data itself, such as a `Deployment`, is written as its ``id``; a value
        only if it is JSON data.

        Raises:
            TypeError: The item is neither JSON data nor has an ``id``.
        """
        line: dict[str, Any] = {"index": self.index, "item": _data_of(self.item), "state": self.state}
        if self.value is not None and is_data(self.value):
            line["value"] = self.value
        if self.error is not None:
            line["error"] = _error_to_data(self.error)
        line |= {"attempts": self.attempts, "duration": round(self.duration, 3), "location": self.location}
        return json.dumps(line)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a line that `to_json` wrote.

        The error is one of this library's classes where it was one with plain fields, else a
        `MLOpsError` that names its class.

        Raises:
            ValueError: The line is not an outcome.
        """
        try:
            data = json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        return cls.from_data(data)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Read what a line that `to_json` wrote decodes to.

        Raises:
            ValueError: It is not an outcome.
        """
        try:
            identity(data["item"])
            return cls(
                index=_only(int, data["index"]),
                item=data["item"],
                state=data["state"],
                value=data.get("value"),
                error=_error_from_data(data["error"]) if data.get("error") else None,
                attempts=_only(int, data["attempts"]),
                duration=_finite(data["duration"]),
                location=None if data["location"] is None else _only(str, data["location"]),
            )
        except (TypeError, KeyError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError("not an outcome of a bulk run") from error


def identity(item: object) -> str:
    """Return what tells an item from others across processes: its JSON text, or that of its ``id``.

    Raises:
        TypeError: It is neither JSON data nor has an ``id``.
    """
    return json.dumps(_data_of(item), sort_keys=True)


def _data_of(item: object) -> Any:
    for each in (item, getattr(item, "id", None)):
        if each is not None and is_data(each):
            return each
    raise TypeError(
        f"an item of type {type(item).__name__} cannot be written down: give items that are JSON data, "
        "such as ids, or that have an id"
    )


def is_data(value: object) -> bool:
    """Tell whether a value can be written as JSON and read again."""
    try:
        json.dumps(value, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
    # What could just be written is not always read again, deeper in the stack.
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _error_to_data(error: Exception) -> dict[str, Any]:
    data = {"type": type(error).__name__, "message": getattr(error, "message", None) or str(error)}
    for name in _STATUS_FIELDS:
        if (value := getattr(error, name, None)) is not None and is_data(value):
            data[name] = value
    return data


def _error_from_data(data: Mapping[str, Any]) -> MLOpsError:
    name, message = data["type"], _only(str, data["message"])
    class_ = getattr(errors, name, MLOpsError)
    for base, names in ((APIStatusError, _STATUS_FIELDS), (TransportError, _TRANSPORT_FIELDS)):
        if isinstance(class_, type) and issubclass(class_, base):
            return class_(message, **{name: data[name] for name in names if name in data})
    return MLOpsError(message if name == MLOpsError.__name__ else f"{name}: {message}")


def _only(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError
    return float(value)
