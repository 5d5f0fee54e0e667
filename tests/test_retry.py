from __future__ import annotations

import math
from email.utils import formatdate

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import RetryPolicy
from datarobot_mlops_async._api import retry_after
from datarobot_mlops_async._retry import Retries, is_transient, retry_delay
from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    MLOpsError,
    ProtocolError,
    ReadError,
    TimeoutError,
    status_error_class,
)


def answer(status, retry_after=None):
    return status_error_class(status)("no", status=status, method="GET", url="u", retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "idempotent", "other"),
    [
        (ConnectError("x"), True, True),
        (ConnectTimeoutError("x"), True, True),
        (CertificateError("x"), False, False),
        (ReadError("x"), True, False),
        (TimeoutError("x"), True, False),
        (ProtocolError("x"), False, False),
        (answer(429), True, False),
        (answer(429, 1.0), True, True),
        (answer(503), True, False),
        (answer(503, 1.0), True, True),
        (answer(502, 1.0), True, False),
        (answer(504), True, False),
        (answer(500), False, False),
        (answer(400, 1.0), False, False),
        (DecodeError("x", operation="", path="", expected="", actual="", text=""), False, False),
        (KeyboardInterrupt(), False, False),
    ],
)
def test_request_is_repeated_only_when_nothing_can_happen_twice(error, idempotent, other):
    assert is_transient(error, idempotent=True) is idempotent
    assert is_transient(error, idempotent=False) is other


def test_backoff_doubles_under_full_jitter_up_to_its_ceiling():
    policy = RetryPolicy(initial_backoff=0.5, max_backoff=4, max_retries=2000, budget=math.inf)
    error = ConnectError("x")
    highest = [retry_delay(error, policy, attempt=n, draw=lambda: 1.0) for n in (1, 2, 3, 4, 5, 2000)]
    assert highest == [0.5, 1, 2, 4, 4, 4]
    assert retry_delay(error, policy, attempt=5, draw=lambda: 0.0) == 0


def test_wait_that_a_server_asks_for_is_five_minutes_at_most():
    policy = RetryPolicy(budget=math.inf)
    assert retry_delay(answer(429, 299.0), policy, attempt=1) == 299
    assert retry_delay(answer(429, 86_400.0), policy, attempt=1) == 300


def test_retry_ends_with_attempts_or_budget():
    policy = RetryPolicy(max_retries=2, budget=10)
    assert retry_delay(ConnectError("x"), policy, attempt=2, draw=lambda: 0.5) is not None
    assert retry_delay(ConnectError("x"), policy, attempt=3) is None
    assert retry_delay(answer(429, 9.0), policy, attempt=1, elapsed=1.0) == 9.0
    assert retry_delay(answer(429, 9.1), policy, attempt=1, elapsed=1.0) is None
    assert retry_delay(answer(429, 3600.0), policy, attempt=1) is None


@pytest.mark.parametrize(
    "bad", [{"max_retries": -1}, {"budget": -1}, {"max_backoff": -1}, {"initial_backoff": -1}]
)
def test_policy_out_of_bounds_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        RetryPolicy(**bad)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 3 ", 3.0),
        ("1.5", 1.5),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("Sat, 01 Jan 2000 00:00:00", 946_684_800.0 - 1_000_000),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("9" * 5000, None),
        ("٣", None),
        ("Fri, 99 Foo 20000 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, seconds):
    assert retry_after({"retry-after": value}, now=lambda: 1_000_000.0) == seconds


def test_retry_after_is_none_when_absent():
    assert retry_after({}) is None


@given(st.text())
def test_retry_after_of_any_text_is_a_number_or_none(value):
    seconds = retry_after({"retry-after": value})
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@pytest.mark.anyio
async def test_call_is_repeated_until_it_succeeds():
    calls = []

    async def call():
        calls.append(retries.failures)
        if len(calls) < 3:
            raise ConnectError("x")
        return "value"

    retries = Retries("GET /x/", RetryPolicy(initial_backoff=0.001), idempotent=False)
    assert await retries.run(call) == "value"
    assert calls == [0, 1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ReadError("x"), ZeroDivisionError("x")])
async def test_call_raises_its_own_error_when_it_may_not_be_repeated(error):
    async def call():
        raise error

    retries = Retries("GET /x/", RetryPolicy(), idempotent=False)
    with pytest.raises(type(error)) as caught:
        await retries.run(call)
    assert retries.failures == isinstance(error, ReadError)
    assert caught.value is error


@pytest.mark.anyio
async def test_cancellation_is_never_retried():
    started = 0

    async def call():
        nonlocal started
        started += 1
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01):
        await Retries("GET /x/", RetryPolicy()).run(call)
    assert started == 1


@pytest.mark.anyio
async def test_cancellation_ends_the_wait_between_attempts_at_once():
    async def call():
        raise answer(503, 50.0)

    with anyio.move_on_after(0.01) as scope:
        await Retries("GET /x/", RetryPolicy()).run(call)
    assert scope.cancelled_caught


def test_every_error_says_which_root_it_has():
    for error in (answer(400), answer(599), answer(418), ConnectError("x")):
        assert isinstance(error, MLOpsError)
    assert type(answer(418)).__name__ == "APIStatusError"
