"""What a run would send, without sending it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Generic, TypeVar

from attrs import frozen

from datarobot_mlops_async._counting import RequestCounter, counting
from datarobot_mlops_async.bulk._journal import Earlier, is_settled, location_of
from datarobot_mlops_async.bulk._run import Run, Source
from datarobot_mlops_async.operations import Operation

Item = TypeVar("Item")


@frozen(kw_only=True)
class PlannedRequest(Generic[Item]):
    """A request that a run would send.

    Attributes:
        index: The item's position in the input, from 0.
        item: The item.
        method: The HTTP method; ``None`` where the call would fail before it sends anything.
        path: Relative to ``/api/v2/``, with its query.
        body: What would be sent as JSON; ``None`` without a body.
        error: Why nothing would be sent; ``None`` if something would.
    """

    index: int
    item: Item
    method: str | None = None
    path: str | None = None
    body: Any = None
    error: Exception | None = None


async def planned_requests(run: Run[Item]) -> list[PlannedRequest[Item]]:
    """Return what a run would send first for each item.

    Raises:
        JournalError: What it would resume from cannot be used.
    """
    earlier = await Earlier.read(run)
    planned: list[PlannedRequest[Item]] = []
    index = 0
    async with aclosing(Source(run.items)) as source:
        async for item in source:
            known = earlier.of(item)
            if known is None or not is_settled(run, known, asked_for=True):
                planned += await _requests_of(run, index, item, location_of(known))
            index += 1
    for known in earlier.unnamed():
        if location := location_of(known):
            planned.append(PlannedRequest(index=index, item=known.item, method="GET", path=location))
        index += 1
    return planned


async def _requests_of(
    run: Run[Item], index: int, item: Item, location: str | None
) -> list[PlannedRequest[Item]]:
    planned: list[PlannedRequest[Item]] = []

    def plan(method: str, path: str, body: object) -> None:
        planned.append(PlannedRequest(index=index, item=item, method=method, path=path, body=body))

    try:
        if location is None:
            with counting(RequestCounter(plan=plan)):
                value = await run.call(item)
            location = value.location if isinstance(value, Operation) else None
    except Exception as error:  # noqa: BLE001 - it is this item's alone
        # One that only tells of requests which were not sent is none.
        return planned or [PlannedRequest(index=index, item=item, error=error)]
    if location is not None:
        plan("GET", location, None)
    return planned
