"""Timestamps, numbers, lists and bodies that are not what they should be."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from datarobot_mlops_async import models
from datarobot_mlops_async._decoding import Decoder, RawPage
from datarobot_mlops_async.errors import DecodeError
from datarobot_mlops_async.models import Deployment
from tests.bodies import (
    BOTH,
    OPERATION,
    PROMISED,
    STRICT,
    TOLERANT,
    decode,
    decode_page,
    example,
    failure,
    to_bytes,
)
from tests.schemas import RESPONSES, TIMESTAMP_IN_WORDS

# Timestamps.


def deleted_at(stamp, *, decoder=TOLERANT):
    return decode(
        example("DeletedDeploymentResponse", deletedAt=stamp), models.DeletedDeployment, decoder=decoder
    ).deleted_at


@BOTH
@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2024-02-29T23:59:59.5Z", datetime(2024, 2, 29, 23, 59, 59, 500000, tzinfo=UTC)),
        ("2024-02-29T23:59:59.123456789Z", datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)),
        ("2024-02-29t23:59:59.123456z", datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)),
        ("2024-02-29 23:59:59+00:00", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("2024-02-29T23:59:59-05:30", datetime(2024, 3, 1, 5, 29, 59, tzinfo=UTC)),
        ("2024-02-29T23:59:59.000001+0100", datetime(2024, 2, 29, 22, 59, 59, 1, tzinfo=UTC)),
    ],
)
def test_timestamp_with_an_offset_is_an_aware_datetime(stamp, moment, decoder):
    decoded = deleted_at(stamp, decoder=decoder)
    assert decoded == moment
    assert decoded.utcoffset() is not None


def test_timestamp_keeps_its_offset():
    assert deleted_at("2024-02-29T12:00:00+02:00").tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize("stamp", ["2024-02-29T12:00:00", "2024-02-29T12:00:00.25", "2024-02-29"])
def test_timestamp_without_an_offset_is_taken_as_utc_and_fails_strictly(stamp):
    assert deleted_at(stamp) == datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    error = failure(
        example("DeletedDeploymentResponse", deletedAt=stamp), models.DeletedDeployment, decoder=STRICT
    )
    assert (error.path, error.expected) == ("$.deletedAt", "an ISO 8601 timestamp with an offset")


@BOTH
@pytest.mark.parametrize(
    "stamp", ["", "yesterday", "2024-02-30T00:00:00Z", "1709164800", "\ud800", "2024-02-29T12:00:00ż"]
)
def test_string_that_is_no_timestamp_is_named(stamp, decoder):
    body = example("DeletedDeploymentResponse", deletedAt=stamp)
    error = failure(body, models.DeletedDeployment, decoder=decoder)
    assert (error.path, error.expected) == ("$.deletedAt", "an ISO 8601 timestamp")
    assert error.actual == f"the string {stamp!a}"


@BOTH
def test_timestamp_that_is_only_described_as_one_may_be_any_string(decoder):
    ((schema, name),) = TIMESTAMP_IN_WORDS
    for stamp, value in [
        ("2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("last week", "last week"),
    ]:
        decoded = decode(example(schema, **{name: stamp}), RESPONSES[schema], decoder=decoder)
        assert getattr(decoded, name) == value


# Numbers.


def bundle(*, decoder=TOLERANT, **changes):
    return decode(example("ResourceRequestBundleResponse", **changes), models.ResourceBundle, decoder=decoder)


def test_fractions_pass_where_servers_send_them_and_fail_strictly():
    assert (bundle(cpuCount=0.5).cpu_count, bundle(gpuCount=0.25).gpu_count) == (0.5, 0.25)
    usage = example("DeploymentPredictionUsageResponse", dailyRates=[1, 2.5, 0])
    assert decode(usage, models.PredictionUsage).daily_rates == (1, 2.5, 0)
    assert failure(usage, models.PredictionUsage, decoder=STRICT).path == "$.dailyRates[1]"
    with pytest.raises(DecodeError, match=r"expected an integer at \$\.cpuCount, got the number 0\.5$"):
        bundle(cpuCount=0.5, decoder=STRICT)


def test_integer_written_as_a_float_is_an_integer_and_fails_strictly():
    assert type(bundle(memoryBytes=3.0).memory_bytes) is int
    with pytest.raises(DecodeError, match="expected an integer at"):
        bundle(memoryBytes=3.0, decoder=STRICT)


@BOTH
@pytest.mark.parametrize("value", [2.5, math.nan, math.inf])
def test_fraction_of_a_byte_is_refused(value, decoder):
    with pytest.raises(DecodeError):
        bundle(memoryBytes=value, decoder=decoder)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_cpu_count_that_is_not_finite_is_refused(value):
    with pytest.raises(DecodeError, match=r"expected an integer at \$\.cpuCount"):
        bundle(cpuCount=value)


def test_number_is_a_float():
    feature = decode(example("Feature", importance=1), models.Feature)
    assert type(feature.importance) is float


def test_number_that_is_not_json_is_let_through_and_fails_strictly():
    body = example("Feature", importance=math.nan)
    assert math.isnan(decode(body, models.Feature).importance)
    error = failure(body, models.Feature, decoder=STRICT)
    assert (error.path, error.expected) == ("$", "JSON")
    overflowing = to_bytes(example("Feature")).replace(b'"importance": 0', b'"importance": 1e999')
    assert decode(overflowing, models.Feature).importance == math.inf
    assert failure(overflowing, models.Feature, decoder=STRICT).expected == "a finite number"


@BOTH
def test_integer_too_large_for_a_float_is_named(decoder):
    error = failure(example("Feature", importance=10**400), models.Feature, decoder=decoder)
    assert (error.path, error.actual) == ("$.importance", "the number 1" + "0" * 39)


# Bodies that are not JSON, or not the promised kind of JSON.


@BOTH
@pytest.mark.parametrize(
    ("body", "actual"),
    [
        (b"", "an empty body"),
        (b" \r\n", "an empty body"),
        (b"<!DOCTYPE html><html><body>502</body></html>", "an HTML page"),
        (b"\n<HTML>", "an HTML page"),
        (b'\xef\xbb\xbf{"label": "\xff"}', "bytes that are not UTF-8"),
        (b"\x80\x81\x82", "bytes that are not UTF-8"),
        (b'{"label": "Chu', "JSON that is cut short"),
        (b'{"label": "Churn",', "JSON that is cut short"),
        (b'{"hasError": tru', "JSON that is cut short"),
        (b"upstream timed out", "text that is not JSON (line 1, column 1)"),
        (b'{"id": "1"}\n{"id": "2"}', "text that is not JSON (line 2, column 1)"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'{"count": ' + b"9" * 5000 + b"}", "a number that is not JSON or has too many digits"),
    ],
)
def test_body_that_is_not_json_is_told_apart(body, actual, decoder):
    for read in (decode, decode_page):
        error = failure(body, decoder=decoder, read=read)
        assert (error.path, error.expected, error.actual) == ("$", "JSON", actual)
        assert error.message == f"{OPERATION}: expected JSON, got {actual}"
        assert error.text == body.decode("utf-8", "replace")[:2000]


@BOTH
@pytest.mark.parametrize(
    ("body", "actual"),
    [
        (b"null", "null"),
        (b"[]", "an array"),
        (b"true", "the boolean true"),
        (b"-1.5", "the number -1.5"),
        (b'"' + b"x" * 50 + b'"', f"the string '{'x' * 37}...'"),
    ],
)
def test_body_that_is_no_object_is_told_apart(body, actual, decoder):
    for read in (decode, decode_page):
        error = failure(body, decoder=decoder, read=read)
        assert (error.path, error.expected, error.actual) == ("$", "an object", actual)


@BOTH
def test_byte_order_mark_is_ignored(decoder):
    assert (
        decode(b"\xef\xbb\xbf" + to_bytes({"id": "1"}), models.CreatedDeployment, decoder=decoder).id == "1"
    )


def test_failure_keeps_the_start_of_the_raw_body():
    error = failure(b'{"id": 1, "rest": "' + "\u20ac".encode() * 3000 + b'"}')
    assert len(error.text) == 2000
    assert error.text.startswith('{"id": 1, "rest": "\u20ac')
    assert len(error.message) < 100


def test_failure_pickles_and_drags_nothing_along():
    error = failure({"id": 1})
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    assert str(again) == str(error) == f"{OPERATION}: expected a string at $.id, got the number 1"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert failure(b"{").__context__ is None


# Lists.


def page_of(*items, **changes):
    return {
        "data": list(items),
        "count": len(items),
        "next": None,
        "previous": None,
        "totalCount": 9,
    } | changes


@BOTH
def test_page_without_neighbours_has_none(decoder):
    page = decode_page(page_of(PROMISED, next="", previous=None), decoder=decoder)
    assert (page.next, page.previous, page.count, page.total_count) == (None, None, 1, 9)
    assert isinstance(page, RawPage)


@pytest.mark.parametrize("name", ["next", "previous", "totalCount"])
def test_envelope_may_be_incomplete_and_fails_strictly(name):
    body = page_of(PROMISED)
    del body[name]
    page = decode_page(body)
    assert {"next": page.next, "previous": page.previous, "totalCount": page.total_count}[name] is None
    assert failure(body, decoder=STRICT, read=decode_page).path == f"$.{name}"


def test_envelope_may_hold_unknown_fields_and_fails_strictly():
    body = page_of(PROMISED, filters={})
    assert len(decode_page(body).items) == 1
    assert failure(body, decoder=STRICT, read=decode_page).path == "$.filters"


@BOTH
@pytest.mark.parametrize(
    ("change", "path", "actual"),
    [
        ({"data": None}, "$.data", "null"),
        ({"data": {}}, "$.data", "an object"),
        ({"data": [PROMISED, None]}, "$.data[1]", "null"),
        ({"data": ["x"]}, "$.data[0]", "the string 'x'"),
        ({"count": "1"}, "$.count", "the string '1'"),
        ({"totalCount": True}, "$.totalCount", "the boolean true"),
        ({"next": 2}, "$.next", "the number 2"),
        ({"previous": []}, "$.previous", "an array"),
    ],
)
def test_envelope_of_wrong_types_is_named(change, path, actual, decoder):
    error = failure(page_of() | change, decoder=decoder, read=decode_page)
    assert (error.path, error.actual) == (path, actual)


@BOTH
def test_list_without_data_is_named(decoder):
    error = failure({"count": 0}, decoder=decoder, read=decode_page)
    assert (error.path, error.expected, error.actual) == ("$.data", "an array", "nothing")


@BOTH
def test_path_leads_through_lists_and_objects(decoder):
    broken = example("DeploymentRetrieveResponse")
    broken["model"]["deployedAt"] = 5
    error = failure(page_of(PROMISED, PROMISED, PROMISED, broken), decoder=decoder, read=decode_page)
    assert error.path == "$.data[3].model.deployedAt"
    broken = example("DeploymentRetrieveResponse")
    broken["defaultPredictionServer"]["datarobot-key"] = {}
    assert failure(broken, decoder=decoder).path == "$.defaultPredictionServer.datarobot-key"
    broken = example("DeploymentRetrieveResponse")
    broken["owners"]["preview"].append({"id": False})
    assert failure(broken, decoder=TOLERANT).path == "$.owners.preview[1].id"


def test_null_in_a_nested_array_reads_none_and_fails_strictly():
    body = example("DeploymentCapability", messages=["a", None])
    assert decode(body, models.DeploymentCapability).messages == ("a", None)
    assert failure(body, models.DeploymentCapability, decoder=STRICT).path == "$.messages[1]"


@pytest.mark.parametrize(
    ("name", "rendered"), [("a-b_9", ".a-b_9"), ("a b", "['a b']"), ("", "['']"), ("é", "['\\xe9']")]
)
def test_unknown_name_is_quoted_in_the_path_where_it_must_be(name, rendered):
    assert failure(
        example("DeploymentTagRetrieveResponse", **{name: 1}), models.DeploymentTag, decoder=STRICT
    ).path == ("$" + rendered)


# Answers that the page does not document.


@attrs.frozen(kw_only=True, weakref_slot=False)
class Undocumented:
    status: str | None = None
    code: Any = None


@BOTH
def test_undocumented_answer_has_only_its_types_checked(decoder):
    assert decode({"status": None, "other": 1}, Undocumented, decoder=decoder) == Undocumented()
    assert decode({"status": "x", "code": [1]}, Undocumented, decoder=decoder) == Undocumented(
        status="x", code=[1]
    )
    assert failure({"status": 1}, Undocumented, decoder=decoder).path == "$.status"


def test_decoders_are_shared_between_threads():
    body = to_bytes(page_of(*[PROMISED] * 50))
    with ThreadPoolExecutor(4) as threads:
        pages = list(
            threads.map(lambda _: Decoder().decode_page(body, Deployment, operation=OPERATION), range(20))
        )
    assert all(page == pages[0] for page in pages)


def test_decoded_objects_are_the_frozen_classes_themselves():
    deployment = decode(PROMISED)
    assert type(deployment) is Deployment
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        deployment.label = "x"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del deployment.model.id


# Objects that are the same in many rows, and types of the caller's own.


def rows(*changes):
    return decode_page({"data": [example("DeploymentRetrieveResponse", **each) for each in changes]}).items


def test_what_repeats_in_a_page_is_one_object():
    one, other = rows({"id": "1"}, {"id": "2"})
    for name in ("settings", "service_health", "owners", "permissions", "prediction_environment"):
        assert getattr(one, name) is getattr(other, name)
    assert one.owners.preview[0] is other.owners.preview[0]
    assert one.id != other.id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"startDate": "2024-01-01T12:00:00Z"}, {"startDate": "2024-01-01T13:00:00+01:00"}),
        ({"startDate": "2024-01-01T12:00:00"}, {"startDate": "2024-01-01T12:00:00Z"}),
        ({"status": "passing"}, {"status": "failing"}),
        ({"unheard": 1}, {"unheard": True}),
        ({"unheard": 1}, {}),
        ({"message": "a"}, {"message": None}),
    ],
)
def test_what_differs_in_looks_only_is_not_shared(one, other):
    health = example("DeploymentRetrieveResponse")["modelHealth"]
    bodies = [{"modelHealth": health | each} for each in (one, other, one)]
    together = rows(*bodies)
    alone = [decode(example("DeploymentRetrieveResponse", **body)) for body in bodies]
    for row, by_itself in zip(together, alone, strict=True):
        assert repr(attrs.astuple(row)) == repr(attrs.astuple(by_itself))
        assert models.extra(row.model_health) == models.extra(by_itself.model_health)


def test_wrong_value_that_equals_a_right_one_is_found_out():
    settings = {"humbleAiEnabled": True}
    with pytest.raises(DecodeError, match=r"a boolean at \$.data\[1\].settings.humbleAiEnabled"):
        rows({"settings": settings}, {"settings": {"humbleAiEnabled": 1}})


@attrs.frozen
class Caller:
    name: str
    deployments: list[Deployment] = attrs.field(factory=list)


@BOTH
def test_type_of_the_callers_own_is_read_as_cattrs_reads_it(decoder):
    body = {"name": "n", "deployments": [PROMISED]}
    assert decode(body, Caller, decoder=decoder) == Caller("n", [decode(PROMISED)])
    assert decode([PROMISED], list[Deployment], decoder=decoder) == [decode(PROMISED)]
    assert decode({"a": [1]}, dict[str, list[int]], decoder=decoder) == {"a": [1]}
    assert decode(b"[1, NaN]" if decoder is TOLERANT else b"[1]", Any, decoder=decoder)[0] == 1
    for wrong, type_ in (([], Caller), ({"a": "x"}, dict[str, int]), ([{"id": 1}], list[Deployment])):
        assert isinstance(failure(wrong, type_, decoder=decoder), DecodeError)


def test_answers_are_the_same_where_msgspec_is_not_installed():
    code = (
        "import sys; sys.modules['msgspec'] = None\n"
        "from datarobot_mlops_async._decoding import Decoder\n"
        "from datarobot_mlops_async.models import Deployment\n"
        "import attrs; body = sys.stdin.buffer.read()\n"
        "page = Decoder().decode_page(body, Deployment, operation='GET')\n"
        "print(ascii([attrs.astuple(each) for each in page.items]), page.total_count)"
    )
    body = to_bytes({"data": [PROMISED, example("DeploymentRetrieveResponse", label="é")], "totalCount": 2})
    run = subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, check=True)
    page = decode_page(body)
    assert run.stdout.decode() == f"{[attrs.astuple(each) for each in page.items]!a} {page.total_count}\n"
