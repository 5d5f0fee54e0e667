from __future__ import annotations

import json
import math
import pickle
from contextlib import suppress

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async._api import Response
from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    DecodeError,
    MLOpsError,
    OperationError,
    OperationFailedError,
    OperationTimeoutError,
    PermissionDeniedError,
    ProtocolError,
    ReadError,
    TimeoutError,
    status_error_class,
)
from datarobot_mlops_async.operations import DEFAULT_WAIT, OperationStatus, State
from datarobot_mlops_async.operations._status import is_blip, read_status
from datarobot_mlops_async.session import Activity
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.polled import COMPLETED, RUNNING, Statuses, serve, session_for
from tests.scripted import Answer, ScriptedServer

pytestmark = pytest.mark.anyio
DECODER = Decoder()


def look(status=200, body=None, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = Response(status=status, headers=headers, content=content)
    return read_status(response, DECODER, retry_after=3.0, redactor=Redactor(["c4n4ry-t0k3n"]))


def test_status_that_quotes_the_token_does_not_show_it():
    status = look(body={"status": "c4n4ry-t0k3n", "message": {"a": "c4n4ry-t0k3n"}, "code": ["c4n4ry-t0k3n"]})
    assert "c4n4ry" not in repr(status).lower()
    deep = json.loads("[" * 500 + "]" * 500)
    assert str(look(body={"status": "ERROR", "message": deep, "code": deep})).count("[") < 100


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("INITIALIZED", State.RUNNING),
        ("RUNNING", State.RUNNING),
        ("RUNNING_TO_WORKERS", State.RUNNING),
        ("STARTED_ON_WORKER", State.RUNNING),
        ("COMPLETED", State.SUCCEEDED),
        ("ERROR", State.FAILED),
        ("ABORTED", State.FAILED),
        ("EXPIRED", State.FAILED),
        ("WAITING_FOR_GODOT", State.RUNNING),
        ("", State.RUNNING),
    ],
)
@pytest.mark.parametrize("case", [str.upper, str.lower, str.title, " {} ".format])
def test_status_word_is_read_in_any_case_and_an_unknown_one_is_still_running(word, state, case):
    status = look(body={"status": case(word)})
    assert (status.state, status.status) == (state, word)


def test_status_document_is_kept_with_what_the_server_asks():
    body = {"status": "RUNNING", "message": "half way", "code": 7, "description": "", "statusType": "x"}
    assert look(body=body) == OperationStatus(
        state=State.RUNNING, status="RUNNING", message="half way", code=7, retry_after=3.0
    )
    # An object instead of a text, as some errors come.
    assert look(body={"status": "ERROR", "message": {"why": 1}}).message == "{'why': 1}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            look(303, b"", location="https://wrong.host/prefix/api/v2/deployments/d1/"),
            OperationStatus(state=State.SUCCEEDED, status="COMPLETED", resource="deployments/d1/"),
        ),
        (look(303, b"<html>"), OperationStatus(state=State.SUCCEEDED, status="COMPLETED")),
        (look(200, b" \n"), OperationStatus(state=State.SUCCEEDED, status="COMPLETED")),
        (
            look(200, {"status": "COMPLETED"}, location="/api/v2/deployments/d1/"),
            OperationStatus(
                state=State.SUCCEEDED, status="COMPLETED", resource="deployments/d1/", retry_after=3.0
            ),
        ),
        (
            look(200, {"status": "RUNNING"}, location="/api/v2/deployments/d1/"),
            OperationStatus(state=State.RUNNING, status="RUNNING", retry_after=3.0),
        ),
        (
            look(307, b"", location="/api/v2/status/s2/"),
            OperationStatus(state=State.RUNNING, status="MOVED", moved_to="status/s2/", retry_after=0.0),
        ),
    ],
)
def test_end_of_an_operation_comes_in_several_shapes(answer, expected):
    assert answer == expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"COMPLETED"', b"null", b"\xff"])
def test_body_that_is_no_status_is_a_decode_error(body):
    with pytest.raises(DecodeError, match="GET /status/{status_id}/"):
        look(body=body)


@pytest.mark.parametrize("headers", [{}, {"location": "https://evil.example"}, {"location": "/api/v2/../x"}])
def test_redirect_that_names_nothing_of_the_api_is_refused(headers):
    with pytest.raises(ProtocolError):
        look(302, b"", **headers)


json_values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(
    st.integers(200, 399),
    st.binary() | st.dictionaries(st.sampled_from(["status", "message", "code"]), json_values),
    st.text(),
)
def test_any_answer_is_read_or_refused_with_an_error_of_ours(status, body, location):
    with suppress(MLOpsError):
        assert isinstance(look(status, body, location=location), OperationStatus)


def refusal(status):
    return status_error_class(status)("no", status=status, method="GET", url="u")


@pytest.mark.parametrize(
    ("error", "blip"),
    [
        (refusal(429), True),
        (refusal(500), True),
        (refusal(503), True),
        (refusal(401), False),
        (refusal(403), False),
        (refusal(404), False),
        (refusal(422), False),
        (ReadError("x"), True),
        (ConnectError("x"), True),
        (TimeoutError("x"), True),
        (CertificateError("x"), False),
        (ProtocolError("x"), False),
        (DecodeError("x", operation="", path="", expected="", actual="", text=""), False),
        (MLOpsError("x"), False),
    ],
)
def test_blips_are_failures_that_say_nothing_about_the_operation(error, blip):
    assert is_blip(error, odd_answers=3) is blip


async def test_operation_knows_its_result_once_it_was_awaited():
    statuses = Statuses(running=1)
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("https://old.host/api/v2/status/s/")
            assert operation.location == "status/s/"
            assert not operation.done
            assert repr(operation) == "<Operation running at status/s/>"
            with pytest.raises(OperationError, match="not awaited to its end"):
                _ = operation.result
            assert await operation is None
            assert operation.done
            assert operation.result is None
            assert repr(operation) == "<Operation over at status/s/>"
            # Nothing is asked again about what is over.
            assert await operation is None
            assert (await operation.status()).state is State.SUCCEEDED
    assert statuses.polls == {"s": 2}


async def test_operation_that_finished_at_once_has_no_location_and_is_done():
    with ScriptedServer(Answer(status=204)) as server:
        async with session_for(server) as session:
            operation = await session.begin("POST", "x/")
            assert operation.location is None
            assert operation.done
            assert (await operation.status()).state is State.SUCCEEDED
            assert await operation is None
    assert len(server.asked) == 1


async def test_status_asks_once_and_remembers_the_end():
    with serve(Statuses(running=1)) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            assert (await operation.status()).state is State.RUNNING
            assert not operation.done
            assert (await operation.status()).state is State.SUCCEEDED
            assert operation.done
            assert len(server.asked) == 2


async def test_failed_operation_raises_what_the_server_says_each_time():
    statuses = Statuses()
    body = {"status": "error", "message": "no space", "code": 3, "description": "Deactivation"}
    statuses.answers["s"] = Answer(body=json.dumps(body).encode())
    statuses.answers["bare"] = Answer(body=b'{"status": "ABORTED"}')
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            for _ in range(2):
                with pytest.raises(OperationFailedError, match="ended with ERROR: no space") as raised:
                    await operation
            assert (raised.value.status, raised.value.code) == ("ERROR", 3)
            assert raised.value.description == "Deactivation"
            assert raised.value.operation is operation
            assert operation.done
            with pytest.raises(OperationFailedError):
                _ = operation.result
            with pytest.raises(OperationFailedError, match="no reason given"):
                await session.operation("status/bare/")
    assert statuses.polls == {"s": 1, "bare": 1}


async def test_operation_that_timed_out_can_be_awaited_again_and_travels_to_another_session():
    statuses = Statuses(running=10**6)
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            with pytest.raises(OperationTimeoutError) as raised:
                await operation.wait(timeout=0.05)
            stored = pickle.loads(pickle.dumps(raised.value)).operation
            assert stored.location == "status/s/"
            with pytest.raises(OperationError, match="knows no session"):
                await stored
            statuses.running = 0
            assert await operation is None
        async with session_for(server) as session:
            assert await session.operation(stored.location) is None


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan])
async def test_timeout_that_is_no_time_is_refused(timeout):
    with serve(Statuses()) as server:
        async with session_for(server) as session:
            with pytest.raises(ValueError, match="timeout must be at least 0"):
                await session.operation("status/s/").wait(timeout=timeout)
            assert await session.operation("status/s/").wait(timeout=math.inf) is None


async def test_operation_over_is_over_after_pickling_too():
    with serve(Statuses(running=0)) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            await operation
            assert pickle.loads(pickle.dumps(operation)).done


async def test_operation_of_several_requests_waits_for_all_of_them_at_a_time():
    statuses = Statuses(running=4)
    seen = []
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/a/ status/b/  https://h/api/v2/status/c/ status/a/")
            assert operation.location == "status/a/ status/b/ status/c/ status/a/"
            assert (await operation.status()).state is State.RUNNING
            assert await operation.wait(on_update=seen.append) is None
            assert operation.done
    assert statuses.polls == dict.fromkeys("abc", 5)
    assert [each.state for each in seen].count(State.SUCCEEDED) == 3
    # Not one after the other.
    order = "".join(asked.target[-2] for asked in server.asked[1:])
    assert order.index("b") < order.rindex("a")
    assert order.index("c") < order.rindex("a")


async def test_failure_of_one_of_several_requests_is_raised_when_all_are_over():
    statuses = Statuses(running=5)
    statuses.answers["b"] = Answer(body=b'{"status": "ERROR"}')
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/a/ status/b/")
            with pytest.raises(OperationFailedError, match="status/b/"):
                await operation
            assert operation.done
            assert (await operation.status()).state is State.FAILED
    assert statuses.polls == {"a": 6, "b": 1}


async def test_refusal_of_one_of_several_requests_is_raised_at_once_and_plainly():
    statuses = Statuses(running=10**6)
    statuses.answers["b"] = Answer(status=403)
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/a/ status/b/ status/c/")
            with pytest.raises(PermissionDeniedError):
                await operation
            assert session.activity == Activity()
            with pytest.raises(OperationTimeoutError):
                await session.operation("status/a/ status/c/").wait(timeout=0.02)


async def test_cancelled_wait_leaves_the_operation_to_be_awaited_again():
    statuses = Statuses(running=10**6)
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            with anyio.move_on_after(0.05) as scope:
                await operation
            assert scope.cancelled_caught
            assert not operation.done
            statuses.running = 0
            assert await operation is None
    assert {asked.method for asked in server.asked} == {"GET"}


async def test_result_that_cannot_be_read_is_read_again_when_awaited_again():
    statuses = Statuses()
    statuses.answers["s"] = Answer(status=303, headers={"Location": "/api/v2/deployments/d1/"})
    statuses.answers["d1"] = [Answer(status=403), Answer(body=b'{"id": "d1"}')]
    with serve(statuses) as server:
        async with session_for(server) as session:
            operation = session.operation("status/s/")
            with pytest.raises(PermissionDeniedError):
                await operation
            assert operation.done
            assert (await operation).id == "d1"
    assert statuses.polls == {"s": 1, "d1": 2}


async def test_updates_stop_with_the_operation():
    statuses = Statuses()
    statuses.answers["s"] = [RUNNING, Answer(status=500), COMPLETED]
    seen = []
    with serve(statuses) as server:
        async with session_for(server) as session:
            await session.operation("status/s/").wait(on_update=seen.append)
    assert [each.status for each in seen] == ["RUNNING", "COMPLETED"]


def test_default_wait_is_an_hour():
    assert DEFAULT_WAIT == 3600.0
