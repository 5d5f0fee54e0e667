"""What became of one item, as an object and as a line of JSON."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from attrs import field, frozen

from datarobot_mlops_async import errors
from datarobot_mlops_async._retry import IDEMPOTENT_METHODS
from datarobot_mlops_async.errors import (
    APIStatusError,
    ConnectError,
    MLOpsError,
    OperationFailedError,
    OperationTimeoutError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")
_TRANSPORT_FIELDS = ("method", "url", "attempts")
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
class Outcome(Generic[I, T]):
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
    item: I
    state: OutcomeState = field(converter=OutcomeState)
    value: T | None = None
    error: Exception | None = None
    attempts: int = 0
    duration: float = 0.0
    location: str | None = None

    def to_json(self) -> str:
        """Return the outcome as one line of JSON, without a line break.

        An item that is not JSON data itself, such as a `Deployment`, is written as its ``id``; a value
        only if it is JSON data.

        Raises:
            TypeError: The item is neither JSON data nor has an ``id``.
        """
        line: dict[str, Any] = {
            "index": self.index,
            "item": json.loads(identity(self.item)),
            "state": self.state,
        }
        if self.value is not None and _is_data(self.value):
            line["value"] = self.value
        if self.error is not None:
            line["error"] = _error_to_data(self.error)
        line |= {"attempts": self.attempts, "duration": round(self.duration, 3), "location": self.location}
        return json.dumps(line, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a line that `to_json` wrote.

        The error is one of this library's classes where it was one with plain fields, else a
        `MLOpsError` that names its class.

        Raises:
            ValueError: The line is not an outcome.
        """
        data = json.loads(line)
        try:
            return cls(
                index=data["index"],
                item=data["item"],
                state=data["state"],
                value=data.get("value"),
                error=_error_from_data(data["error"]) if data.get("error") else None,
                attempts=data["attempts"],
                duration=data["duration"],
                location=data["location"],
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not an outcome: {line[:200]!r}") from error


def identity(item: object) -> str:
    """Return what tells an item from others across processes: its JSON text, or that of its ``id``.

    Raises:
        TypeError: It is neither JSON data nor has an ``id``.
    """
    for each in (item, getattr(item, "id", None)):
        if each is not None and _is_data(each):
            return json.dumps(each, sort_keys=True, ensure_ascii=False)
    raise TypeError(
        f"an item of type {type(item).__name__} cannot be written down: give items that are JSON data, "
        "such as ids, or that have an id"
    )


def judge(error: BaseException, *, changes: int) -> OutcomeState:
    """Decide what is known of an item whose call raised.

    Args:
        error: What it raised.
        changes: How many requests it sent that may have changed something, retries included.
    """
    if changes == 0 or isinstance(error, OperationFailedError):
        return OutcomeState.FAILED
    # The error must be that of all those requests: one before it may have been carried out.
    if getattr(error, "attempts", 0) < changes:
        return OutcomeState.UNKNOWN
    if getattr(error, "method", "") in IDEMPOTENT_METHODS:
        return OutcomeState.FAILED
    if isinstance(error, APIStatusError):
        # Of a crash or a gateway's timeout nobody knows how far the request got.
        refused = error.status < 500 or (error.status == 503 and error.retry_after is not None)
        return OutcomeState.FAILED if refused else OutcomeState.UNKNOWN
    return OutcomeState.FAILED if isinstance(error, ConnectError) else OutcomeState.UNKNOWN


def location_in(error: BaseException) -> str | None:
    """Return where to ask about an operation that was not over in time; ``None`` for other errors."""
    return error.operation.location if isinstance(error, OperationTimeoutError) else None


def _is_data(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _error_to_data(error: Exception) -> dict[str, Any]:
    data = {"type": type(error).__name__, "message": getattr(error, "message", None) or str(error)}
    for name in _STATUS_FIELDS:
        if (value := getattr(error, name, None)) is not None and _is_data(value):
            data[name] = value
    return data


def _error_from_data(data: Mapping[str, Any]) -> MLOpsError:
    class_ = getattr(errors, data["type"], MLOpsError)
    for base, names in ((APIStatusError, _STATUS_FIELDS), (TransportError, _TRANSPORT_FIELDS)):
        if isinstance(class_, type) and issubclass(class_, base):
            return class_(data["message"], **{name: data[name] for name in names if name in data})
    return MLOpsError(f"{data['type']}: {data['message']}")
