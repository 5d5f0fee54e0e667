"""What is counted as a change, and what is taken back."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from datarobot_mlops_async._counting import RequestCounter, counting, current_counter
from datarobot_mlops_async.errors import ConnectError, DecodeError, ReadError, status_error_class

pytestmark = pytest.mark.anyio


def refusal(status, retry_after=None):
    return status_error_class(status)("no", status=status, method="", url="", retry_after=retry_after)


READ, CONNECT = ReadError("broke"), ConnectError("no route")
GARBLED = DecodeError("x", operation="", path="", expected="", actual="", text="")


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        # Reading changes nothing, however it ends.
        ([("GET", None), ("HEAD", READ), ("OPTIONS", refusal(500))], 0),
        # Refused or never reached, every time.
        ([("PATCH", refusal(409))], 0),
        ([("POST", refusal(429, 1.0))] * 5 + [("POST", refusal(429))], 0),
        ([("PATCH", refusal(503, 2.0))], 0),
        ([("POST", CONNECT)] * 6, 0),
        ([("GET", None), ("PATCH", refusal(404))], 0),
        # The answer was lost, or says nothing of how far the request got.
        ([("PATCH", READ)], 1),
        ([("POST", refusal(500))], 1),
        ([("POST", refusal(502))], 1),
        ([("PATCH", refusal(503))], 1),
        ([("PATCH", GARBLED)], 1),
        # What was carried out stays so, whatever comes after it.
        ([("PATCH", None), ("GET", refusal(404))], 1),
        ([("PATCH", None), ("PATCH", refusal(409))], 1),
        ([("POST", READ), ("POST", CONNECT)], 1),
        # Asking again for what is harmless when done twice is harmless.
        ([("DELETE", READ), ("DELETE", refusal(502))], 0),
        ([("DELETE", None)], 1),
    ],
)
async def test_changes_are_what_the_server_may_have_carried_out(sent, changes):
    counter = RequestCounter()
    for method, error in sent:
        await counter.sending(method)
        if error is not None:
            counter.failed(method, error)
    assert (counter.requests, counter.changes) == (len(sent), changes)


async def test_announcement_comes_once_before_the_first_change_on_every_level():
    announced = []

    async def announce(name):
        await anyio.lowlevel.checkpoint()
        announced.append(name)

    outer = RequestCounter(before_change=lambda: announce("outer"))
    with counting(outer):
        inner = RequestCounter(before_change=lambda: announce("inner"))
        with counting(inner):
            await current_counter().sending("GET")
            assert announced == []
            async with anyio.create_task_group() as group:
                group.start_soon(current_counter().sending, "PATCH")
            await current_counter().sending("PATCH")
    assert announced == ["outer", "inner"]
    assert current_counter() is None
    assert [(each.requests, each.changes) for each in (outer, inner)] == [(3, 2), (3, 2)]


async def test_request_that_cannot_be_announced_is_not_counted():
    async def fail():
        raise OSError

    outer = RequestCounter()
    with counting(outer):
        counter = RequestCounter(before_change=fail)
    with pytest.raises(OSError):
        await counter.sending("POST")
    assert [(each.requests, each.changes, each.announced) for each in (counter, outer)] == [
        (0, 0, False),
        (0, 0, True),
    ]
