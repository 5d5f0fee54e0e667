from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, Outcome, OutcomeState
from datarobot_mlops_async.bulk._outcome import identity, judge
from datarobot_mlops_async.errors import (
    ConnectError,
    DecodeError,
    MLOpsError,
    NotFoundError,
    OperationError,
    OperationFailedError,
    ReadError,
    status_error_class,
)
from datarobot_mlops_async.models import Deployment

json_items = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
).filter(lambda item: item is not None)


WITHOUT_STATUS = (
    '{"index": 0, "item": "a", "state": "failed", "attempts": 0, "duration": 0, "location": null, '
    '"error": {"type": "NotFoundError", "message": "x"}}'
)


def refusal(status, method="PATCH", attempts=1, retry_after=None):
    return status_error_class(status)(
        "no",
        status=status,
        method=method,
        url="https://h/api/v2/x/",
        attempts=attempts,
        retry_after=retry_after,
    )


@given(
    st.integers(0),
    json_items,
    st.sampled_from(OutcomeState),
    st.none() | json_items,
    st.integers(0),
    st.none() | st.text(),
)
def test_outcome_survives_its_line_of_json(index, item, state, value, attempts, location):
    outcome = Outcome(
        index=index, item=item, state=state, value=value, attempts=attempts, duration=1.25, location=location
    )
    line = outcome.to_json()
    assert "\n" not in line
    assert Outcome.from_json(line) == outcome


def test_line_is_readable_and_holds_no_more_than_there_is():
    outcome = Outcome(index=3, item="d1", state="succeeded", value=object(), attempts=1, duration=0.12345)
    assert json.loads(outcome.to_json()) == {
        "index": 3,
        "item": "d1",
        "state": "succeeded",
        "attempts": 1,
        "duration": 0.123,
        "location": None,
    }


def test_item_that_is_no_json_is_known_by_its_id():
    outcome = Outcome(index=0, item=Deployment(id="d1", label="Churn"), state=OutcomeState.FAILED)
    assert Outcome.from_json(outcome.to_json()).item == "d1"
    assert identity(Deployment(id="d1")) == identity("d1")
    assert identity({"b": 1, "a": (1, 2)}) == identity({"a": [1, 2], "b": 1})


@pytest.mark.parametrize("item", [None, object(), b"x", {1, 2}, math.nan, Deployment()])
def test_item_that_cannot_be_told_from_others_is_refused(item):
    with pytest.raises(TypeError, match="cannot be written down"):
        Outcome(index=0, item=item, state="failed").to_json()


@pytest.mark.parametrize(
    "error",
    [refusal(404, attempts=2), refusal(503, retry_after=2.5), ReadError("broke", method="PATCH", url="u")],
)
def test_error_of_ours_comes_back_as_itself(error):
    outcome = Outcome(index=0, item="d", state="failed", error=error)
    back = Outcome.from_json(outcome.to_json()).error
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert {**back.__dict__, "errors": None} == {**error.__dict__, "errors": None}


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        DecodeError("no", operation="", path="", expected="", actual="", text=""),
        OperationFailedError("no", operation=None, status="ERROR"),
        MLOpsError("no"),
        type("annotations", (Exception,), {})("a name of the module that is no class"),
        type("Any", (Exception,), {})("another"),
    ],
)
def test_other_errors_come_back_with_their_name(error):
    back = Outcome.from_json(Outcome(index=0, item="d", state="failed", error=error).to_json()).error
    assert type(back) is MLOpsError
    assert str(back) == f"{type(error).__name__}: {error}"


def test_error_without_a_message_can_be_written():
    back = Outcome.from_json(Outcome(index=0, item="d", state="failed", error=ValueError()).to_json())
    assert str(back.error) == "ValueError: "


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        '{"index": 0, "item": "a", "state": "done", "attempts": 0, "duration": 0, "location": null}',
        '{"index": 0, "item": "a", "state": "failed", "attempts": 0, "duration": 0}',
        '{"index": 0, "item": "a", "state": "failed", "attempts": 0, "duration": 0, "location": null, "error": 3}',
        WITHOUT_STATUS,
    ],
)
def test_line_that_is_no_outcome_is_a_value_error(line):
    with pytest.raises(ValueError):
        Outcome.from_json(line)


@given(st.text() | json_items.map(json.dumps))
def test_any_line_is_read_or_refused(line):
    try:
        Outcome.from_json(line)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("error", "changes", "state"),
    [
        # Nothing that changes anything was sent.
        (ReadError("x", method="GET"), 0, "failed"),
        (ValueError("x"), 0, "failed"),
        (refusal(500), 0, "failed"),
        # Refused or never reached, every time.
        (refusal(409), 1, "failed"),
        (refusal(429), 1, "failed"),
        (refusal(429, attempts=6), 6, "failed"),
        (refusal(503, retry_after=1.0), 1, "failed"),
        (ConnectError("x", method="POST", attempts=6), 6, "failed"),
        (NotFoundError("x", status=404, method="POST", url=""), 1, "failed"),
        # The answer was lost, or says nothing.
        (ReadError("x", method="PATCH"), 1, "unknown"),
        (refusal(500), 1, "unknown"),
        (refusal(502), 1, "unknown"),
        (refusal(503), 1, "unknown"),
        (DecodeError("x", operation="", path="", expected="", actual="", text=""), 1, "unknown"),
        # One request before the one that failed may have been carried out.
        (refusal(409), 2, "unknown"),
        (refusal(404, method="GET"), 2, "unknown"),
        (ConnectError("x", method="POST"), 2, "unknown"),
        (OperationError("x", operation=None), 2, "unknown"),
        (KeyError("x"), 1, "unknown"),
        # A single read, whoever counted it.
        (refusal(500, method="GET", attempts=3), 3, "failed"),
        # The operation is over, and failed.
        (OperationFailedError("x", operation=None, status="ERROR"), 1, "failed"),
    ],
)
def test_state_tells_whether_trying_again_can_do_something_twice(error, changes, state):
    assert judge(error, changes=changes) == state


@pytest.mark.parametrize(
    ("items", "options", "error", "message"),
    [
        ("abc", {}, TypeError, "not one string"),
        (b"abc", {}, TypeError, "not one string"),
        (3, {}, TypeError, "items must be iterable, not int"),
        ([], {"max_concurrency": 0}, ValueError, "max_concurrency must be at least 1, not 0"),
        (
            [],
            {"operation_timeout": -1.0},
            ValueError,
            "operation_timeout must be at least 0 seconds, not -1.0",
        ),
        (
            [],
            {"operation_timeout": math.nan},
            ValueError,
            "operation_timeout must be at least 0 seconds, not nan",
        ),
        ([], {"concurrency": 0}, TypeError, "concurrency"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(items, options, error, message):
    with pytest.raises(error, match=message):
        AsyncSession("https://h", "token").bulk_stream(print, items, **options)
