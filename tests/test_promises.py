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
    "for at most 300 s whatever it says": [
        "test_one_retry_after_costs_no_more_than_the_longest_pause",
        "test_wait_that_a_server_asks_for_is_five_minutes_at_most",
        "test_long_retry_after_raises_at_once_and_pauses_the_session",
    ],
    "The five per cent of requests that the emulator refuses are repeated by themselves.": [
        "test_printed_bulk_run_survives_faults_and_a_kill",
        "test_overload_loses_nothing_and_repeats_nothing",
    ],
    "asked again when the server refuses": ["test_token_command_is_asked_again_when_the_server_refuses"],
    "a server that repeats itself raises `PaginationError` instead of looping": [
        "test_server_that_repeats_a_next_is_found_out",
        "test_server_that_goes_on_for_ever_with_nothing_new_is_found_out",
    ],
    "Network failures and 5xx answers to a poll are survived, and so are a few pages of a gateway's; 401, 403 and": [
        "test_blip_does_not_lose_the_wait",
        "test_server_that_cannot_be_reached_any_more_is_survived_until_the_deadline",
        "test_answer_that_is_never_a_status_is_raised",
        "test_refusal_ends_every_wait_for_the_operation_at_once_and_no_other",
    ],
    "A partial file and its state beside the destination survive cancellation, a full disk and `kill -9`.": [
        "test_cancelling_is_immediate_and_leaves_a_resumable_partial",
        "test_full_disk_in_the_middle_keeps_what_can_be_resumed",
        "test_twenty_kills_and_the_next_attempt_ends_right",
    ],
    "`download()` checks what is there and fetches the rest.": [
        "test_second_attempt_fetches_only_the_rest",
        "test_damaged_prefix_is_found_and_fetched_again",
    ],
    "Two processes with one destination do not corrupt it.": [
        "test_second_download_to_a_destination_waits_and_finds_it_done",
        "test_two_downloads_where_locks_do_nothing_never_corrupt",
    ],
    "A slow piece is dropped and fetched again on a fresh connection.": [
        "test_slow_connection_is_dropped_and_its_piece_fetched_again"
    ],
    "Signed URLs are resolved again when they expire; the token goes to the endpoint's origin and nowhere else.": [
        "test_expired_url_is_resolved_again_once_for_all",
        "test_signed_url_goes_out_byte_for_byte_and_the_token_stays_home",
    ],
    "With a journal a run survives anything, `kill -9` and power cuts included": [
        "test_killed_runs_are_continued_and_nothing_is_begun_twice",
        # What a power cut may take is what was not synced to the disk before.
        "test_journal_says_what_it_is_and_beforehand_what_is_about_to_be_done",
        "test_lines_that_were_cut_short_are_not_counted",
    ],
    "`update()` and `begin_*` calls whose answer was lost are not repeated": [
        "test_patch_is_never_repeated_when_it_may_have_arrived"
    ],
    "`session.operation(location)`": ["test_operation_is_resumed_by_another_session_from_its_location"],
}


# What speaks of repeating, resuming and redirects, in sentences outside of code and tables.
_CODE = re.compile(r"```.*?```|^\|.*?$", re.DOTALL | re.MULTILINE)
_TOPICS = re.compile(r"\b(repeat|resum|redirect|surviv|never twice|goes on from)", re.IGNORECASE)


def _sentences(text):
    for paragraph in re.split(r"\n\s*\n|\n(?=[-#])", _CODE.sub("\n\n", text)):
        yield from re.split(r"(?<=[.:]) ", " ".join(paragraph.split()))


def test_every_sentence_about_resuming_retrying_and_redirects_is_a_promise():
    text = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    # Adjectives of the introduction, which the promises below it spell out.
    said = [each for each in _sentences(text) if _TOPICS.search(each) and "resumable" not in each]
    assert [each for each in said if not any(one in each or each in one for one in PROMISES)] == []


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_stands_in_the_readme_and_has_its_tests(promise):
    assert promise in README
    assert set(PROMISES[promise]) <= NAMES
