from __future__ import annotations

import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, Outcome, OutcomeState
from datarobot_mlops_async.bulk._outcome import identity
from datarobot_mlops_async.errors import (
    DecodeError,
    MLOpsError,
    OperationFailedError,
    ReadError,
    SessionStateError,
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


LINE = '{"index": 0, "item": "a", "state": "failed", "attempts": 0, "duration": 0, "location": null, %s}'


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


def test_outcome_is_shown_in_one_line():
    deployment = Deployment(id="d1", label="Churn", status="active")
    good = Outcome(index=0, item=deployment, state="succeeded", value=deployment, attempts=3, duration=1.5)
    assert repr(good) == "<Outcome <Deployment 'Churn' d1 active> succeeded>"
    bad = Outcome(index=1, item="d2", state="failed", error=MLOpsError("two\nlines"))
    assert repr(bad) == "<Outcome 'd2' failed MLOpsError('two\\nlines')>"


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
        type("annotations", (Exception,), {})("a name of the module that is no class"),
        type("Any", (Exception,), {})("another"),
    ],
)
def test_other_errors_come_back_with_their_name(error):
    back = Outcome.from_json(Outcome(index=0, item="d", state="failed", error=error).to_json()).error
    assert type(back) is MLOpsError
    assert str(back) == f"{type(error).__name__}: {error}"


def test_error_does_not_grow_from_trip_to_trip():
    outcome = Outcome(index=0, item="d", state="failed", error=KeyError("x"))
    texts = [str((outcome := Outcome.from_json(outcome.to_json())).error) for _ in range(3)]
    assert texts == ["KeyError: 'x'"] * 3
    plain = Outcome(index=0, item="d", state="failed", error=MLOpsError("no"))
    assert str(Outcome.from_json(plain.to_json()).error) == "no"


@pytest.mark.parametrize("text", ["\ud800", "a\u2028b\u2029c\x85d\x1ce", "\n\r", "é\U0001f600"])
def test_line_is_ascii_whatever_is_in_it(text):
    outcome = Outcome(
        index=0, item=text, state="unknown", value=[text], error=MLOpsError(text), location=text
    )
    line = outcome.to_json()
    assert line.isascii()
    assert len(line.splitlines()) == 1
    back = Outcome.from_json(line)
    assert (back.item, back.value, back.location, str(back.error)) == (text, [text], text, text)


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [nested(950), nested(10**5), 10**5000, {1: 0, "a": 0}], ids=["deep", "deeper", "huge", "mixed"]
)
def test_what_could_not_be_read_again_is_not_written(value):
    line = Outcome(index=0, item="d", state="succeeded", value=value).to_json()
    assert Outcome.from_json(line).value is None
    with pytest.raises(TypeError, match="cannot be written down"):
        identity(value)


@pytest.mark.anyio
async def test_outcome_with_an_artifact_pickles_without_its_session():
    async with AsyncSession("https://h.example", "secret-of-the-test") as session:
        artifact = session.custom_model_deployments.deployment_log("d1")
        (outcome,) = await session.bulk(session.custom_model_deployments.deployment_log, ["d1"])
    assert outcome.value == artifact
    pickled = pickle.dumps(outcome)
    assert b"secret" not in pickled
    back = pickle.loads(pickled)
    assert (back.item, back.state, back.value.kind) == ("d1", outcome.state, artifact.kind)
    with pytest.raises(SessionStateError, match="no session"):
        await back.value.download("/tmp/never/")
    with pytest.raises(SessionStateError, match="no session"):
        async with back.value.stream():
            pass


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
        LINE % '"index": "0"',
        LINE % '"item": null',
        LINE % '"attempts": "1"',
        LINE % '"duration": [1]',
        LINE % '"duration": 1e999',
        LINE % '"location": 5',
        LINE % '"error": {"type": "MLOpsError", "message": 5}',
        LINE % '"error": {"type": ["MLOpsError"], "message": ""}',
        LINE % f'"value": {"[" * 10**5}',
        LINE % f'"index": {"9" * 5000}',
        LINE % f'"item": {"[" * 200 + "]" * 200}',
    ],
    ids=lambda line: line[-40:],
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
