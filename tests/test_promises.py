"""What the README promises about retries, redirects and resuming, and the tests that prove it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = " ".join((TESTS.parent / "README.md").read_text(encoding="utf-8").split())
NAMES = {
    name
    for file in TESTS.glob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}

PROMISES = {
    "GET and DELETE are repeated after connection failures, broken answers, timeouts, 429, 502, 503 and 504.": [
        "test_get_is_repeated_after_a_broken_connection",
        "test_get_is_repeated_after_a_transient_status",
    ],
    "POST and PATCH are repeated only when the server provably did not act": [
        "test_patch_is_never_repeated_when_it_may_have_arrived",
        "test_request_is_repeated_only_when_nothing_can_happen_twice",
        "test_request_whose_answer_is_lost_is_not_sent_again",
    ],
    "or answered 429 or 503 with `Retry-After`": [
        "test_patch_is_repeated_when_it_was_refused_with_retry_after"
    ],
    "`Retry-After` pauses the whole session": ["test_retry_after_pauses_the_whole_session"],
    "one that is longer than the budget raises at once": [
        "test_long_retry_after_raises_at_once_and_pauses_the_session"
    ],
    "A call follows no redirect.": ["test_redirect_is_not_followed_and_shows_no_signature"],
    "A download follows up to ten, none from `https` to `http`, and the token goes along to the endpoint's own": [
        "test_redirect_from_https_to_http_is_refused",
        "test_redirect_that_cannot_be_followed_is_an_error",
        "test_any_redirect_of_a_download_leads_to_an_address_that_can_be_sent_or_is_our_error",
    ],
    "it goes on from what is on disk": [
        "test_printed_download_survives_a_kill",
        "test_interrupted_download_is_resumed",
    ],
    "the same command goes on from its journal and does nothing twice": [
        "test_printed_bulk_run_survives_faults_and_a_kill",
        "test_killed_bulk_run_is_resumed",
    ],
    "is reported as unknown and left alone, until you say that doing it again is harmless": [
        "test_lost_answer_is_unknown_and_repeated_only_when_told",
        "test_unknown_items_are_repeated_on_request_only",
    ],
    "it skips what is done, follows what was begun to its end (also what the input no longer names)": [
        "test_resumed_run_repeats_what_failed_and_nothing_that_may_have_been_done",
        "test_what_a_run_has_begun_is_finished_though_the_input_no_longer_names_it",
        "test_nightly_run_that_was_killed_finishes_what_its_filter_no_longer_finds",
    ],
    "never sends twice what the server may have received": [
        "test_killed_runs_are_continued_and_nothing_is_begun_twice",
        "test_bulk_cancelled_at_any_points_accounts_for_all_and_sends_nothing_twice",
    ],
    "A journal belongs to one action at one endpoint and has one writer at a time.": [
        "test_journal_of_something_else_is_refused",
        "test_second_run_on_the_same_journal_is_refused_at_once",
    ],
    "`dry_run=True` tells what would be sent, and sends nothing.": [
        "test_dry_run_tells_what_would_be_sent_and_sends_nothing"
    ],
    "`session.operation(location)`": ["test_operation_is_resumed_by_another_session_from_its_location"],
}


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_stands_in_the_readme_and_has_its_tests(promise):
    assert promise in README
    assert set(PROMISES[promise]) <= NAMES
