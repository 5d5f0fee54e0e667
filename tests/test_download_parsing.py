"""The pure parts of the engine: headers, names, digests, resume states, rates."""

from __future__ import annotations

import base64
import hashlib
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async._download._controller import (
    ConcurrencyController,
    LowSpeedLimit,
    RateMeter,
    piece_length,
    too_slow,
)
from datarobot_mlops_async._download._disk import (
    filename_from_disposition,
    filename_from_url,
    safe_filename,
)
from datarobot_mlops_async._download._expectation import normalize_sha256, offered_digests
from datarobot_mlops_async._download._probe import (
    ContentRange,
    Validators,
    parse_content_range,
    range_header,
    unsatisfied_total,
)
from datarobot_mlops_async._download._results import DownloadResult, Reporter
from datarobot_mlops_async._download._resume_state import (
    Checkpoint,
    ResumeState,
    read_state,
    remove_state,
    write_state,
)

SHA = hashlib.sha256(b"x").hexdigest()
SHA64 = base64.b64encode(bytes.fromhex(SHA)).decode()
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("bytes 0-0/1", ContentRange(start=0, end=1, total=1)),
        ("bytes 5-9/*", ContentRange(start=5, end=10, total=None)),
        (" BYTES  5-9/10 ", ContentRange(start=5, end=10, total=10)),
        ("bytes 9-5/10", None),
        ("bytes 0-10/10", None),
        ("bytes */10", None),
        ("items 0-0/1", None),
        ("bytes 0-0/1, bytes 1-1/1", None),
        (f"bytes 0-{'9' * 5000}/*", None),
        ("bytes \u0660-\u0660/1", None),
        ("", None),
    ],
)
def test_content_range_is_parsed_exactly(value, parsed):
    assert parse_content_range(value) == parsed


@given(st.text())
def test_any_content_range_is_read_without_an_error(value):
    parse_content_range(value)
    unsatisfied_total(value)


def test_range_and_unsatisfied_total():
    assert range_header(0, 10) == "bytes=0-9"
    assert range_header(7, None) == "bytes=7-"
    assert unsatisfied_total("bytes */123") == 123
    assert unsatisfied_total("bytes 0-1/123") is None


def test_weak_etag_is_no_validator():
    weak = Validators.of({"etag": 'W/"a"'}, 5)
    assert weak == Validators(size=5)
    assert weak.if_range() is None
    assert not weak.identify
    assert Validators.of({"etag": '"a"', "last-modified": "x"}, None).if_range() == '"a"'


@pytest.mark.parametrize(
    ("last_modified", "condition"),
    [
        ("Mon, 23 Nov 2026 13:36:36 GMT", "Mon, 23 Nov 2026 13:36:36 GMT"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_last_modified_is_a_validator_when_it_is_a_date(last_modified, condition):
    assert Validators.of({"last-modified": last_modified}, None).if_range() == condition


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ({"etag": '"a"'}, {"etag": '"a"'}, True),
        ({"etag": '"a"'}, {"etag": '"b"'}, False),
        ({"etag": '"a"'}, {}, False),
        ({"etag": '"a"', "last_modified": "x"}, {"etag": '"a"', "last_modified": "y"}, True),
        ({"last_modified": "x"}, {"last_modified": "y"}, False),
        ({"last_modified": "x"}, {"last_modified": "x"}, True),
        ({"size": 1}, {"size": 2}, False),
        ({"size": 1}, {}, True),
    ],
)
def test_validators_agree_when_nothing_differs(one, other, agree):
    assert Validators(**one).agree_with(Validators(**other)) is agree
    assert Validators(**other).agree_with(Validators(**one)) is agree


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("image.tar", "image.tar"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x", "x"),
        ("C:x", "x"),
        ("a\\b/c", "c"),
        ("a\x00b", "a"),
        (".", None),
        ("..", None),
        ("", None),
        ("   ", None),
        ("___", None),
        ("dir/", None),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        (".bashrc", "bashrc"),
        ("a\nb\x1b[31m", "ab[31m"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ('a<b>:"|?*', "a_b______"),
        ("e\u0301", "é"),
    ],
)
def test_name_is_reduced_to_a_safe_component(name, safe):
    assert safe_filename(name) == safe


@given(st.text(max_size=600))
def test_any_name_becomes_a_safe_component(name):
    safe = safe_filename(name)
    if safe is not None:
        assert not set(safe) & set('/\\\x00:*?"<>|')
        assert safe not in {"", ".", ".."}
        assert len(safe.encode("utf-8", "surrogatepass")) <= 200
        assert safe_filename(safe) == safe


@pytest.mark.parametrize(
    ("name", "end"), [("a" * 300 + ".tar", "a.tar"), ("ä" * 300, "ä"), ("x." + "y" * 300, "y")]
)
def test_long_name_keeps_its_ending(name, end):
    safe = safe_filename(name)
    assert safe.endswith(end)
    assert len(safe.encode()) <= 200


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.tar"', "a b.tar"),
        ("attachment; filename=a.tar", "a.tar"),
        ("attachment; FILENAME = a.tar ; x=y", "a.tar"),
        ("attachment; filename=x; filename*=UTF-8'en'b%C3%A4r.tar", "bär.tar"),
        ("attachment; filename*=iso-8859-1''b%E4r.tar; filename=x", "bär.tar"),
        ("attachment; filename*=UTF-8''%FF%FE; filename=x.tar", "x.tar"),
        ("attachment; filename*=KOI8-R''x; filename=y.tar", "y.tar"),
        ("attachment; filename*=nonsense; filename=y.tar", "y.tar"),
        ('attachment; filename="quote\\"d.tar"', "quote_d.tar"),
        ('attachment; filename="b\xc3\xa4r.tar"', "bär.tar"),
        ('attachment; filename="b\xe4r.tar"', "bär.tar"),
        ("attachment; filename*=UTF-8''..%2f..%2fetc%2fpasswd", "passwd"),
        ('attachment; filename=""', None),
        ("attachment", None),
        ("", None),
    ],
)
def test_disposition_names_a_file(header, name):
    assert filename_from_disposition(header) == name


@given(st.text())
def test_any_disposition_is_read_without_an_error(value):
    filename_from_disposition(f"attachment; filename={value}")
    filename_from_disposition(f"attachment; filename*=UTF-8''{value}")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b%20c.tar?sig=%2F..", "b c.tar"),
        ("https://h/a%2F..%2Fb", "b"),
        ("https://h/a/b/", "b"),
        ("https://h/", None),
    ],
)
def test_url_names_a_file(url, name):
    assert filename_from_url(url) == name


def test_sha256_is_normalized():
    assert normalize_sha256(f" SHA256:{SHA.upper()} ") == SHA
    for value in ("", "0" * 63, "g" * 64, "\u0660" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            normalize_sha256(value)


def test_offered_digests_of_a_part_and_of_the_whole():
    headers = {
        "repr-digest": f"md5=:AAAA:, sha-256=:{SHA64}:",
        "content-digest": f"SHA-256=:{SHA64}:;x=1",
        "x-amz-checksum-sha256": SHA64,
    }
    assert offered_digests(headers, whole=True) == dict.fromkeys(headers, SHA)
    assert offered_digests(headers, whole=False) == {"repr-digest": SHA}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-checksum-sha256", f"{SHA64}-5"),
        ("x-amz-checksum-sha256", "AAAA"),
        ("x-amz-checksum-sha256", "ä"),
        ("repr-digest", f"sha-512=:{SHA64}:"),
        ("repr-digest", "sha-256=:?:"),
    ],
)
def test_digest_that_is_no_sha256_is_not_offered(header, value):
    assert offered_digests({header: value}, whole=True) == {}


def _state(*offsets, **fields):
    return ResumeState(checkpoints=tuple(Checkpoint(offset=each, sha256=SHA) for each in offsets), **fields)


def test_state_survives_the_disk(tmp_path):
    state = _state(5, 10, sha256=SHA, validators=Validators(etag='"ä"', last_modified="x", size=10))
    write_state(tmp_path / "j", state)
    assert read_state(tmp_path / "j", os.getuid()) == state
    assert state.is_complete
    assert state.cut_to(7).verified == 5
    assert read_state(tmp_path / "none", os.getuid()) is None
    assert [each.name for each in tmp_path.iterdir()] == ["j"]


@pytest.mark.parametrize(
    "change",
    [
        ('"size": 10', '"size": -1'),
        ('"size": 10', '"size": true'),
        ('"size": 10', '"size": 9'),
        ("[5,", "[0,"),
        ("[5,", '["x",'),
        ('"etag": null', '"etag": 7'),
        ('"etag": null', '"etag": "a\\nb"'),
        ("version", "v"),
        ('"version": 2', '"version": 3'),
        ('"source": ""', '"source": []'),
    ],
)
def test_state_that_makes_no_sense_is_none(change):
    text = _state(5, 10, validators=Validators(size=10)).to_json()
    assert ResumeState.from_json(text) is not None
    assert ResumeState.from_json(text.replace(*change)) is None


@given(st.text())
def test_any_text_is_read_as_a_state_without_an_error(text):
    ResumeState.from_json(text)


def test_state_without_size_is_never_complete():
    assert not _state(5).is_complete
    assert ResumeState.from_json(_state(5).to_json()) == _state(5)


def test_state_stays_small():
    state = ResumeState()
    for number in range(1, 3_000):
        state = state.with_checkpoint(Checkpoint(offset=number * MIB, sha256=SHA))
    assert state.verified == 2_999 * MIB
    assert len(state.checkpoints) <= 2_999 // 64 + 2


def _meter(*samples):
    meter = RateMeter(0.0)
    for now, received in samples:
        meter.sample(now, received, 60.0)
    return meter


def test_rate_needs_a_whole_window():
    meter = _meter((1.0, 100), (2.0, 300))
    assert meter.rate(2.0) == 150
    assert meter.rate(1.0) == 200
    assert meter.rate(3.0) is None
    assert meter.rate_so_far() == 150
    assert RateMeter(0.0).rate_so_far() == 0


def test_rate_forgets_what_is_old():
    meter = RateMeter(0.0)
    for second in range(1, 100):
        meter.sample(float(second), second * second, 2.0)
    assert meter.rate_so_far() == pytest.approx(2 * 99 - 2, rel=0.02)


def test_connection_is_slow_against_its_peers():
    limit = LowSpeedLimit(window=2.0, fraction=0.2, floor=1.0, floor_window=10.0)
    meters = {1: _meter((2.0, 2000)), 2: _meter((2.0, 1800)), 3: _meter((2.0, 100)), 4: _meter((1.0, 0))}
    assert too_slow(meters, limit, None) == ({3}, set())


def test_last_connection_is_slow_against_what_was_reached_before():
    limit = LowSpeedLimit(window=2.0, fraction=0.2, floor=1.0, floor_window=10.0)
    assert too_slow({1: _meter((2.0, 100))}, limit, 1000.0) == ({1}, set())
    assert too_slow({1: _meter((2.0, 100))}, limit, None) == (set(), set())


def test_trickle_is_a_stall_whatever_the_peers_do():
    limit = LowSpeedLimit(window=2.0, fraction=0.2, floor=100.0, floor_window=2.0)
    meters = {1: _meter((2.0, 10)), 2: _meter((2.0, 20))}
    assert too_slow(meters, limit, None) == (set(), {1, 2})


def _controlled(*steps, most=8, busy=1.0, latency=0.0, processors=2):
    """Feed (seconds, received, starved) and return the number of workers after each."""
    controller = ConcurrencyController(most, now=0.0, trial=1.0, hold=5.0, processors=processors)
    return [
        controller.decide(now, received=received, starved=starved, busy=busy, latency=latency)
        for now, received, starved in steps
    ]


def test_connections_double_while_it_pays():
    steps = [(1, 50, 0.9), (2, 150, 0.9), (2.5, 250, 0.9), (3, 350, 0.9), (4, 750, 0.9), (5, 1550, 0.9)]
    assert _controlled(*steps) == [1, 2, 2, 4, 8, 8]


def test_more_connections_are_not_measured_against_a_cold_start():
    # 100 a second at first, 200 when warm: two connections that reach 220 do not pay.
    assert _controlled((1, 100, 0.9), (2, 300, 0.9), (3, 520, 0.9)) == [1, 2, 1]


def test_all_connections_are_tried_at_once_while_the_processor_idles():
    steps = [(1, 100, 0.9), (2, 900, 0.9), (3, 1700, 0.9)]
    assert _controlled(*steps, busy=0.1) == [8, 8, 8]


def test_process_that_gets_no_processor_is_not_taken_for_idle():
    steps = [(1, 3e8, 0.9), (2, 6e8, 0.9), (3, 9.1e8, 0.9), (4, 12.2e8, 0.9)]
    assert _controlled(*steps, busy=0.1) == [1, 2, 1, 1]


def test_one_connection_is_enough_while_the_hash_is_busy():
    assert _controlled((1, 100, 0.1), (2, 200, 0.5), (3, 300, 0.0)) == [1, 1, 1]


def test_hash_that_often_waits_gets_help_where_processors_idle():
    # One connection under TLS costs half as much again as the hash: with the processors for it, two feed it.
    steps = [(1, 100, 0.4), (2, 200, 0.4), (3, 350, 0.1)]
    assert _controlled(*steps, processors=4) == [1, 2, 2]
    assert _controlled(*steps, processors=2) == [1, 1, 1]


def test_connections_that_did_not_pay_are_given_up_and_tried_again_later():
    steps = [(1, 100, 0.6), (2, 200, 0.6), (3, 310, 0.6), (4, 410, 0.6), (9, 900, 0.6)]
    assert _controlled(*steps) == [1, 2, 1, 1, 2]


def test_connections_are_not_judged_before_they_can_have_begun():
    steps = [(1, 100, 0.9), (2, 200, 0.9), (4, 400, 0.9), (6.9, 690, 0.9), (7, 700, 0.9)]
    assert _controlled(*steps, latency=2.5) == [1, 2, 2, 2, 1]


def test_clock_that_stands_still_gives_no_rate():
    assert _controlled((0, 100, 0.9), busy=0.1) == [8]


@pytest.mark.parametrize(
    ("rate", "latency", "left", "workers", "length"),
    [
        (0, 0.1, 1000 * MIB, 1, 4 * MIB),
        (50 * MIB, 0.001, 1000 * MIB, 8, 4 * MIB),
        # Nor does one without a wait where the hash finds all in memory.
        (1000 * MIB, 0.0, 1000 * MIB, 1, 20 * MIB),
        (1000 * MIB, 0.0, 1000 * MIB, 8, 4 * MIB),
        # A round trip of 100 ms costs less than a twentieth.
        (10 * MIB, 0.1, 1000 * MIB, 8, 24 * MIB),
        (500 * MIB, 0.1, 1000 * MIB, 1, 64 * MIB),
        (500 * MIB, 0.1, 80 * MIB, 8, 8 * MIB),
        (500 * MIB, 0.1, 5 * MIB, 8, 5 * MIB),
        (500 * MIB, 0.1, 3, 8, 3),
    ],
)
def test_piece_is_long_enough_to_pay_and_short_enough_to_share(rate, latency, left, workers, length):
    found = piece_length(
        rate,
        latency=latency,
        left=left,
        workers=workers,
        span=40 * MIB,
        shortest=4 * MIB,
        longest=64 * MIB,
    )
    assert found == length


@given(
    st.floats(0, 1e12),
    st.integers(1, 10**12),
    st.integers(1, 64),
    st.integers(1, 10**7),
    st.integers(0, 10**8),
)
def test_pieces_always_make_progress(rate, left, workers, shortest, more):
    length = piece_length(
        rate, latency=0.1, left=left, workers=workers, span=more, shortest=shortest, longest=shortest + more
    )
    assert 0 < length <= left


class _Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_reports_come_at_most_ten_times_a_second():
    clock, reports = _Clock(), []
    reporter = Reporter(reports.append, clock)
    reporter.begin(resumed_from=50, total=None)
    for step in range(100):
        clock.now = step / 100
        reporter.update(fetched=50 + step, verified=step, total=None, connections=1)
    assert 9 <= len(reports) <= 11
    assert reports[-1].rate == pytest.approx(100, rel=0.2)
    before = reports[-1]
    clock.now += 1
    reporter.update(fetched=1, verified=1, total=200, connections=2)
    assert (reports[-1].fetched, reports[-1].verified, reports[-1].total) == (
        before.fetched,
        before.verified,
        200,
    )
    reporter.finish(200)
    assert (reports[-1].fetched, reports[-1].verified, reports[-1].resumed_from) == (200, 200, 50)


def test_nobody_listening_costs_nothing():
    reporter = Reporter(None)
    reporter.update(fetched=1, verified=1, total=1, connections=1)
    reporter.finish(1)
    assert reporter.elapsed >= 0


def test_removed_state_takes_along_what_killed_writers_left(tmp_path):
    state = tmp_path / ".image.[0]ab.json"
    others = [tmp_path / ".image.[0]abc.json", tmp_path / ".image.0ab.json.1f"]
    for path in (state, tmp_path / f"{state.name}.1f", tmp_path / f"{state.name}.2e", *others):
        path.write_text("{")
    remove_state(state)
    assert sorted(tmp_path.iterdir()) == sorted(others)
    remove_state(state)


def test_results_that_earlier_builds_pickled_are_found():
    name = b"cdatarobot_mlops_async._download._results\nDownloadResult\n."
    assert pickle.loads(name) is DownloadResult
