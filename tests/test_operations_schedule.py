from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async.operations._status import RateLimiter, next_delay


def no_jitter():
    return 0.5


@given(st.floats(1, 1000), st.lists(st.floats(0.0, 0.3), min_size=1, max_size=200))
def test_rate_is_never_exceeded_by_more_than_two_ticks_and_reached_when_asked_often(rate, sleeps):
    limiter = RateLimiter(rate)
    now = spent = 0.0
    for sleep in sleeps:
        while not limiter.pause(now):
            limiter.spend(now)
            spent += 1
        now += max(sleep, limiter.pause(now))
        assert spent <= 1 + rate * (now + 0.02)


def test_rate_catches_up_what_a_late_timer_missed():
    limiter = RateLimiter(100.0)
    now, spent = 0.0, 0
    while now < 10.0:
        while not limiter.pause(now):
            limiter.spend(now)
            spent += 1
        now += limiter.pause(now) + 0.004
    assert 990 <= spent <= 1003


def test_first_polls_come_early_and_later_ones_at_the_customary_distance():
    early = [next_delay(0.0, polls, None, draw=no_jitter) for polls in range(4)]
    assert early == [0.25, 0.5, 0.75, 1.0]
    assert next_delay(19.0, 20, None, draw=no_jitter) == 1.0
    assert next_delay(60.0, 40, None, draw=no_jitter) == 3.0
    assert next_delay(100_000.0, 400, None, draw=no_jitter) == 10.0


@given(st.floats(0, 1e9), st.integers(0, 10_000), st.floats(0, 1))
def test_delay_is_spread_by_a_tenth(elapsed, polls, draw):
    middle = next_delay(elapsed, polls, None, draw=no_jitter)
    assert 0.949 * middle <= next_delay(elapsed, polls, None, draw=lambda: draw) <= 1.051 * middle


def test_longer_retry_after_counts_and_a_shorter_one_does_not():
    assert next_delay(0.0, 0, 7.0, draw=no_jitter) == 7.0
    assert next_delay(0.0, 0, 0.0, draw=no_jitter) == 0.25
    assert next_delay(0.0, 5, 86_400.0, draw=no_jitter) == 300.0
    assert next_delay(0.0, 5, 86_400.0, remaining=3.0, draw=no_jitter) == 2.0


@pytest.mark.parametrize(
    ("polls", "elapsed", "remaining", "delay"),
    [
        (40, 200.0, 8.0, 7.0),  # a last look, a second before the deadline
        (40, 200.0, 11.0, 10.0),
        (40, 200.0, 30.0, 10.0),
        (40, 200.0, 1.5, 10.0),  # there was one just now
        (0, 0.0, 0.1, 0.05),  # however short the wait is, it looks once
        (0, 0.0, 0.0, 0.0),
        (0, 0.0, 100.0, 0.25),
    ],
)
def test_wait_that_ends_before_the_next_poll_gets_a_last_one(polls, elapsed, remaining, delay):
    assert next_delay(elapsed, polls, None, remaining=remaining, draw=no_jitter) == delay


@given(st.floats(0, 5000), st.integers(1, 1000), st.floats(0.0, 5000))
def test_last_looks_never_follow_each_other_faster_than_a_second(elapsed, polls, remaining):
    assert next_delay(elapsed, max(polls, 3), None, remaining=remaining) >= 0.95
