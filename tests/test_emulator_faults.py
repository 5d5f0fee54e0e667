"""The emulator's faults: the vocabulary as text and as a call, and what each word does on the wire."""

from __future__ import annotations

import gzip
import socket
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator, describe_vocabulary, parse_seconds, parse_size

SIZE = 3_000_000
IMAGE = "mlops/portablePredictionServerImage/"


@pytest.fixture
def emulator():
    with Emulator(deployments=60, image_size=SIZE, operation_seconds=0) as running:
        yield running


@pytest.fixture
def api(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(
        base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False, timeout=10
    ) as client:
        yield client


@pytest.fixture
def storage():
    with httpx.Client(verify=False, trust_env=False, timeout=10) as client:
        yield client


def signed_url(api):
    return api.get(IMAGE).headers["location"]


def raw_get(url, headers):
    """Return every byte that a server sends before the connection ends, and how it ended."""
    target = httpx.URL(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    received = b""
    with socket.create_connection((target.host, target.port), timeout=10) as connection:
        connection.sendall(f"GET {target.raw_path.decode()} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except ConnectionResetError:
            return received, "reset"
    return received, "closed"


def body_of(received):
    return received.partition(b"\r\n\r\n")[2]


def active_id(api):
    return api.get("deployments/", params={"status": "active", "orderBy": "label"}).json()["data"][0]["id"]


# --- the vocabulary


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("status=503 retry-after=1 times=2", {"status": 503, "retry_after": 1, "times": 2}),
        ("latency=250ms probability=0.05", {"latency": 0.25, "probability": 0.05}),
        ("reset=1MiB after=3", {"reset": 2**20, "after": 3}),
        ("stall", {"stall": 0}),
        ("deprecation gzip ignore-range expired", {"deprecation": "True", "gzip": True, "ignore_range": True, "expired": True}),
        ("changed", {"changed": "release"}),
        ("deprecation='use v3' header='X-A: 1' header='X-B: 2'", {"deprecation": "use v3", "header": ["X-A: 1", "X-B: 2"]}),
        ("links=path page=empty outcome=ERROR", {"links": "path", "page": "empty", "outcome": "ERROR"}),
        ("corrupt=10kB truncate=5 rate=1MB body=html", {"corrupt": 10_000, "truncate": 5, "rate": 10**6, "body": "html"}),
        ("gzip=no status=500", {"gzip": False, "status": 500}),
    ],
)  # fmt: skip
def test_rule_is_the_same_as_text_and_as_a_call(emulator, text, words):
    assert emulator.fault(f"GET /deployments/ {text}") == emulator.fault("get /deployments/", **words)


def test_text_and_words_add_up_and_none_says_nothing(emulator):
    fault = emulator.fault("* storage header='A: 1'", header="B: 2", status=None, latency=1)
    assert fault.header == ("A: 1", "B: 2")
    assert (fault.method, fault.status, fault.latency) == ("*", None, 1.0)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "expected METHOD ROUTE"),
        ("GET", "expected METHOD ROUTE"),
        ("GET '/x", "expected METHOD ROUTE"),
        ("G3T /x stall", "'G3T' is not an HTTP method"),
        ("GET x stall", "starts neither with / nor with storage"),
        ("GET /x", "nothing is said about what goes wrong"),
        ("GET /x times=3 probability=0.5", "nothing is said about what goes wrong"),
        ("GET /x statsu=500", "unknown word 'statsu', did you mean status?"),
        ("GET /x qqqqqq=500", "unknown word 'qqqqqq'; the words are times, after"),
        ("GET /x status", "status needs a value"),
        ("GET /x status=500 status=501", "status is said twice"),
        ("GET /x status=99", "status: '99' is not an HTTP status"),
        ("GET /x status=abc", "status: invalid literal"),
        ("GET /x stall times=1.5", "times: invalid literal"),
        ("GET /x stall times=-1", "times: '-1' is not a whole number"),
        ("GET /x stall probability=2", "probability: '2' is not a probability"),
        ("GET /x latency=fast", "latency: 'fast' is not a duration"),
        ("GET /x reset=1foot", "reset: '1foot' is not a size"),
        ("GET /x gzip=perhaps", "gzip: 'perhaps' is neither true nor false"),
        ("GET /x page=odd", "page: 'odd' is not one of empty, repeat"),
        ("GET /x header=nonsense", "header: 'nonsense' is not a header"),
        ("GET /x 'deprecation=a\nb'", "cannot stand in a header"),
        ("GET /x status=500 retry-after=date:soon", "retry-after: could not convert"),
    ],
)
def test_wrong_rule_is_refused_with_the_place(emulator, rule, message):
    with pytest.raises(ValueError) as caught:
        emulator.fault(rule)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "words", [{"times": 1.5, "stall": 0}, {"reset": -1}, {"after": [], "stall": 0}, {"latency": float("nan")}]
)
def test_wrong_word_in_a_call_is_refused(emulator, words):
    with pytest.raises(ValueError, match=r"fault 'GET /x': \w+: "):
        emulator.fault("GET /x", **words)


def test_vocabulary_describes_every_word_and_names_every_route():
    words, _, routes = (part.splitlines() for part in describe_vocabulary().split("\n\n"))
    assert len(words) == len({line.split()[0] for line in words}) >= 20
    assert all(len(line.split()) > 3 for line in words)
    assert {"GET /deployments/", "PATCH /deployments/{deployment_id}/status/", "GET storage"} <= set(routes)
    assert len(routes) >= 23


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50ms", 0.05), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("3", 3), (0.25, 0.25), ("10us", 1e-5)],
)
def test_duration_is_read(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("14GiB", 14 * 2**30),
        ("64 KiB", 65_536),
        ("10MB", 10**7),
        ("7", 7),
        ("1.5k", 1500),
        (12, 12),
        ("1TiB", 2**40),
    ],
)
def test_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ("GET /deployments/", ["/deployments/"]),
        ("POST /deployments/", []),
        ("GET /deployments/*/", ["/deployments/1/"]),
        ("GET /api/v2/deployments/{deploymentId}/", ["/deployments/1/"]),
        (
            "* /deployments/**",
            ["/deployments/", "/deployments/1/", "/deployments/1/status/", "/deployments/a.c/b/"],
        ),
        (
            "* *",
            ["/deployments/", "/deployments/1/", "/deployments/1/status/", "/deployments/a.c/b/", "/nosuch/"],
        ),
        ("GET /deployments/a.c/b/", ["/deployments/a.c/b/"]),
        ("GET /deployments/abc/b/", []),
        ("GET /deployments/a.*/b/", ["/deployments/a.c/b/"]),
        ("GET /{one}/{one}/", ["/deployments/1/"]),
        ("GET /{1}/*{/", []),
        ("GET storage", ["/pps-images/x"]),
        ("GET storage/pps-images/*", ["/pps-images/x"]),
        ("GET storage/other/*", []),
    ],
)
def test_route_pattern_finds_requests(emulator, api, storage, route, found):
    for path in ("deployments/", "deployments/1/", "deployments/a.c/b/", "nosuch/"):
        api.get(path)
    api.patch("deployments/1/status/")
    storage.get(f"{emulator.storage_endpoint}/pps-images/x")
    paths = {record.path.removeprefix("/api/v2") for record in emulator.requests_to(route)}
    assert paths == set(found)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FOO /version/ stall", "'FOO' is not an HTTP method; they are GET, HEAD"),
        ("GET /nosuch/ stall", "there is no route /nosuch/; the routes are /deployments/"),
        ("GET /deploymnets/ stall", "there is no route /deploymnets/; did you mean /deployments/?"),
        ("GET /status/* stall", "there is no route /status/*; did you mean /status/*/?"),
        ("GET /deployments/*/nosuch/ stall", "there is no route /deployments/*/nosuch/"),
        ("GET /deployments/** /** stall", "unknown word"),
        ("PUT /deployments/ stall", "no route there takes PUT, only GET, HEAD"),
        ("DELETE storage stall", "no route there takes DELETE, only GET, HEAD"),
        ("GET /version/ status=503 retry-after=nan", "'nan' is not a time that a server could ask for"),
        ("GET /version/ status=503 retry-after=date:inf", "'date:inf' is not a time"),
        ("GET /version/ stall probability=nan", "probability: 'nan'"),
        ("GET /version/ stall times=nan", "times: "),
        ("GET /version/ rate=0", "'0' is not a rate in bytes a second"),
    ],
)
def test_rule_that_cannot_be_is_refused_with_what_can_be(emulator, rule, message):
    with pytest.raises(ValueError) as caught:
        emulator.fault(rule)
    assert message in str(caught.value)
    with pytest.raises(ValueError):
        Emulator(faults=[rule])


@pytest.mark.parametrize(
    "route",
    ["* *", "GET /**", "* /deployments/*/", "PATCH /deployments/{id}/status/", "PATCH /**/status/", "GET /dep**",
     "GET /deployments/5f/", "GET /*/*/", "HEAD /version/", "GET /files/a/b/c", "HEAD storage", "GET storage/any/where"],
)  # fmt: skip
def test_rule_that_can_be_is_taken(emulator, route):
    assert emulator.fault_count(emulator.fault(route, stall=0)) == 0


def test_rule_that_never_fired_is_told(emulator, api):
    emulator.fault("GET /version/ status=503 times=1")
    emulator.fault("GET storage", header=["X-A: 1", "X-B: 2"], corrupt=5)
    emulator.fault("GET /status/*/ status=503 probability=0.1")
    emulator.fault("PATCH /deployments/*/status/ gzip")
    api.get("version/")
    assert emulator.unused_faults == (
        "GET storage 'header=X-A: 1' 'header=X-B: 2' corrupt=5",
        "PATCH /deployments/*/status/ gzip=True",
    )
    with Emulator(faults=emulator.unused_faults) as again:
        assert again.unused_faults == emulator.unused_faults


# --- when a rule fires


def test_times_and_after_count_matching_requests(emulator, api):
    fault = emulator.fault("GET /version/ status=503 after=1 times=2")
    assert [api.get("version/").status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert emulator.fault_count(fault) == 2


def test_probability_is_drawn_from_the_seed(emulator, api):
    emulator.fault("GET /version/", status=429, probability=0.3)
    statuses = [api.get("version/").status_code for _ in range(100)]
    assert 15 <= statuses.count(429) <= 45
    assert emulator.fault_count(emulator.fault("GET /version/ status=500 probability=0")) == 0


def test_first_rule_that_fires_decides_alone(emulator, api):
    emulator.fault("GET /version/ status=429 times=1")
    emulator.fault("GET /** status=503 deprecation")
    answers = [api.get("version/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [429, 503]
    assert "deprecation" not in answers[0].headers


def test_faults_can_be_lifted_and_set_from_the_start():
    with Emulator(deployments=0, faults=["GET /version/ status=500"]) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False) as api:
            assert api.get("version/").status_code == 500
            emulator.clear_faults()
            assert api.get("version/").status_code == 200


# --- answers in the place of the route


def test_status_is_answered_without_carrying_the_request_out(emulator, api):
    deployment_id = active_id(api)
    emulator.fault("PATCH /deployments/*/status/ status=503 retry-after=1 times=1")
    path = f"deployments/{deployment_id}/status/"
    refused = api.patch(path, json={"status": "inactive"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json() == {"message": "Service Unavailable", "errors": {}}
    assert refused.headers["x-request-id"]
    assert api.patch(path, json={"status": "inactive"}).status_code == 202


def test_retry_after_can_be_a_date_or_nonsense(emulator, api):
    emulator.fault("GET /version/ status=429 retry-after=date:30 times=1")
    emulator.fault("GET /version/ status=429 retry-after=soon")
    date = parsedate_to_datetime(api.get("version/").headers["retry-after"])
    assert 20 < date.timestamp() - time.time() < 40
    assert api.get("version/").headers["retry-after"] == "soon"


def test_body_can_be_html_or_empty_or_any_text(emulator, api):
    emulator.fault("GET /version/ status=502 body=html times=1")
    emulator.fault("GET /version/ status=500 body=empty times=1")
    emulator.fault("GET /version/ body='not json' times=1")
    emulator.fault("GET /version/ status=599 times=1")
    emulator.fault("GET /version/ status=204 times=1")
    html, empty, text, unregistered, nothing = (api.get("version/") for _ in range(5))
    assert html.headers["content-type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in html.text
    assert (empty.status_code, empty.content) == (500, b"")
    assert (text.status_code, text.text) == (200, "not json")
    assert (unregistered.status_code, unregistered.json()["message"]) == (599, "Unregistered")
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_body_can_be_json_of_another_shape_or_no_text_at_all(emulator, api):
    emulator.fault("GET /version/", status=422, body='{"detail": ["wrong"]}', times=1)
    emulator.fault("GET /version/", status=400, body=b"\xff\xfe")
    json_body, binary = (api.get("version/") for _ in range(2))
    assert json_body.headers["content-type"] == "application/json"
    assert json_body.json() == {"detail": ["wrong"]}
    assert binary.content == b"\xff\xfe"


def test_operation_can_send_its_client_on_to_another_url(emulator, api):
    emulator.fault("GET /status/*/", status=307, header=f"Location: {emulator.endpoint}/version/")
    answer = api.get("status/x/")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{emulator.endpoint}/version/")


def test_headers_are_added_to_an_answer_that_stays_as_it_is(emulator, api):
    emulator.fault("GET /version/", deprecation="use v3", retry_after=2, header=["X-A: 1"])
    answer = api.get("version/")
    assert answer.json()["major"] == 2
    assert [answer.headers[name] for name in ("deprecation", "retry-after", "x-a")] == ["use v3", "2", "1"]


def test_latency_is_added(emulator, api):
    emulator.fault("GET /version/ latency=50ms")
    api.get("version/")
    assert emulator.requests[-1].answered_at - emulator.requests[-1].started_at >= 0.05


# --- faults of the connection, on both servers


@pytest.fixture(params=["api", "storage"])
def target(request, emulator, api):
    """Return route, URL and headers of the image, served by the API itself or by the storage."""
    if request.param == "storage":
        return "GET storage", signed_url(api), {}
    emulator.image_redirect = None
    headers = {"Authorization": f"Bearer {emulator.token}"}
    return f"GET /{IMAGE}", f"{emulator.endpoint}/{IMAGE}", headers


@pytest.fixture
def content(emulator):
    with httpx.Client(trust_env=False) as client:
        answer = client.get(
            f"{emulator.endpoint}/{IMAGE}",
            headers={"Authorization": f"Bearer {emulator.token}"},
            follow_redirects=True,
        )
    emulator.clear_requests()
    return answer.content


def test_reset_comes_after_the_bytes_it_names(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, reset=1000)
    received, end = raw_get(url, headers)
    assert body_of(received) == content[:1000]
    assert end == "reset"
    assert emulator.requests[-1].status == 200


def test_reset_at_zero_answers_nothing(emulator, target, capfd):
    route, url, headers = target
    emulator.fault(route, reset=0)
    assert raw_get(url, headers) == (b"", "reset")
    assert emulator.requests[-1].status is None
    assert capfd.readouterr() == ("", "")


def test_truncated_body_ends_with_a_clean_close(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, truncate="2MiB")
    received, end = raw_get(url, headers)
    assert body_of(received) == content[: 2 * 2**20]
    assert f"content-length: {SIZE}".encode() in received.partition(b"\r\n\r\n")[0]
    assert end == "closed"


def test_limit_beyond_the_body_ends_the_connection_after_it(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, truncate=SIZE + 1)
    received, end = raw_get(url, headers)
    assert body_of(received) == content
    assert end == "closed"


@pytest.mark.parametrize("stalled_at", [0, 1000])
def test_stall_keeps_silent_until_the_client_leaves(emulator, target, content, stalled_at):
    route, url, headers = target
    emulator.fault(route, stall=stalled_at, times=1)
    received = b""
    with (
        httpx.Client(verify=False, trust_env=False, timeout=0.2, headers=headers) as client,
        pytest.raises(httpx.ReadTimeout),
        client.stream("GET", url) as answer,
    ):
        for chunk in answer.iter_raw():
            received += chunk
    assert received == content[:stalled_at]
    assert body_of(raw_get(url, headers | {"Connection": "close"})[0]) == content


def test_nearest_of_two_limits_decides(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, reset=5000, truncate=10, times=1)
    emulator.fault(route, reset=10, truncate=5000)
    for end in ("closed", "reset"):
        received, ended = raw_get(url, headers)
        assert (body_of(received), ended) == (content[:10], end)


def test_one_byte_of_the_object_can_be_wrong(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, corrupt=1_500_000)
    with httpx.Client(verify=False, trust_env=False, headers=headers) as client:
        whole = client.get(url).content
    assert [at for at in range(SIZE) if whole[at] != content[at]] == [1_500_000]


def test_wrong_byte_is_only_in_the_range_that_holds_it(emulator, api, storage, content):
    url = signed_url(api)
    emulator.fault("GET storage", corrupt=1500)
    before = storage.get(url, headers={"Range": "bytes=0-999"}).content
    around = storage.get(url, headers={"Range": "bytes=1000-1999"}).content
    assert before == content[:1000]
    assert around[:500] == content[1000:1500]
    assert around[500] == content[1500] ^ 0xFF


def test_body_can_be_compressed_whatever_the_client_accepts(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, gzip=True)
    asked = headers | {"Accept-Encoding": "identity", "Range": "bytes=0-9"}
    with (
        httpx.Client(verify=False, trust_env=False, headers=asked) as client,
        client.stream("GET", url) as answer,
    ):
        raw = b"".join(answer.iter_raw())
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert "content-length" not in answer.headers
    assert gzip.decompress(raw) == content


def test_rate_slows_the_body(emulator, target):
    route, url, headers = target
    emulator.replace_image(100_000, in_place=True)
    emulator.fault(route, rate="1MB")
    started = time.monotonic()
    with httpx.Client(verify=False, trust_env=False, headers=headers) as client:
        assert len(client.get(url).content) == 100_000
    assert time.monotonic() - started >= 0.1


def test_range_can_be_ignored(emulator, target, content):
    route, url, headers = target
    emulator.fault(route, ignore_range=True)
    with httpx.Client(verify=False, trust_env=False, headers=headers) as client:
        answer = client.get(url, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.content) == (200, content)


def test_latest_can_move_under_a_request(emulator, api, target, content):
    route, url, headers = target
    emulator.fault(route, changed="release", after=1, times=1)
    with httpx.Client(verify=False, trust_env=False, headers=headers) as client:
        first, second = (client.get(url, headers={"Range": "bytes=0-999"}) for _ in range(2))
    assert first.content == content[:1000]
    assert second.content != content[:1000]
    assert first.headers["etag"] != second.headers["etag"]
    assert api.get(f"{IMAGE}metadata/").json()["datarobotRuntimeImageTag"] == "11.1.0"


def test_stored_object_can_change_without_its_metadata(emulator, target, api, content):
    route, url, headers = target
    before = api.get(f"{IMAGE}metadata/").json()
    emulator.fault(route, changed="object", times=1)
    with httpx.Client(verify=False, trust_env=False, headers=headers) as client:
        changed = client.get(url)
        assert changed.content != content
        assert client.get(url).headers["etag"] == changed.headers["etag"]
    assert api.get(f"{IMAGE}metadata/").json() == before


def test_change_of_an_object_that_is_not_there_changes_nothing(emulator, api, storage):
    emulator.fault("GET storage changed")
    assert storage.get(f"{emulator.storage_endpoint}/none").status_code == 403
    assert api.get(f"{IMAGE}metadata/").json()["datarobotRuntimeImageTag"] == "11.0.0"


def test_compressed_json_is_sent_in_chunks(emulator, api):
    emulator.fault("GET /version/ gzip")
    with api.stream("GET", "version/") as answer:
        raw = b"".join(answer.iter_raw())
    assert b'"versionString"' in gzip.decompress(raw)


def test_reset_happens_after_the_request_was_carried_out(emulator, api):
    deployment_id = active_id(api)
    emulator.fault("PATCH /deployments/*/status/ reset")
    with pytest.raises(httpx.TransportError):
        api.patch(f"deployments/{deployment_id}/status/", json={"status": "inactive"})
    assert api.get(f"deployments/{deployment_id}/").json()["status"] == "inactive"


# --- faults of the storage


def test_storage_can_fail_as_a_store_does(emulator, api, storage):
    emulator.fault("GET storage status=503 retry-after=1 times=1")
    emulator.fault("GET storage status=500 body=html")
    first, second = (storage.get(signed_url(api)) for _ in range(2))
    emulator.clear_faults()
    emulator.fault("GET storage status=500 body=compressed gzip")
    assert storage.get(signed_url(api)).text == "compressed"
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert b"<Code>Service Unavailable</Code>" in first.content
    assert second.headers["content-type"] == "text/html"


def test_storage_answers_can_carry_headers_and_latency(emulator, api, storage):
    emulator.fault("GET storage latency=50ms", header="X-Amz-Checksum-Sha256: x")
    assert storage.get(signed_url(api)).headers["x-amz-checksum-sha256"] == "x"
    record = emulator.requests[-1]
    assert record.answered_at - record.started_at >= 0.05


def test_signature_can_expire_at_the_storage_and_at_the_redirect(emulator, api, storage):
    url = signed_url(api)
    emulator.fault("GET storage expired times=1")
    assert b"Request has expired" in storage.get(url).content
    assert storage.get(url).status_code == 200
    emulator.fault(f"GET /{IMAGE} expired times=1")
    assert storage.get(signed_url(api)).status_code == 403
    assert storage.get(signed_url(api)).status_code == 200


def test_storage_stalls_on_whatever_else_the_client_says(emulator, api):
    url = httpx.URL(signed_url(api))
    emulator.fault("GET storage stall")
    with socket.create_connection((url.host, url.port), timeout=0.2) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)


# --- faults of links, lists and operations


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("https://wrong.example/prefix", "https://wrong.example/prefix/api/v2/"),
        ("path", "/api/v2/"),
        ("relative", ""),
    ],
)
def test_links_can_be_worded_otherwise(emulator, api, form, expected):
    emulator.fault("* /**", links=form)
    page = api.get("deployments/", params={"offset": 20}).json()
    assert page["next"] == f"{expected}deployments/?offset=40&limit=20"
    assert page["previous"] == f"{expected}deployments/?offset=0&limit=20"
    emulator.clear_faults()
    deployment_id = active_id(api)
    emulator.fault("* /**", links=form)
    accepted = api.patch(f"deployments/{deployment_id}/status/", json={"status": "inactive"})
    status_id = accepted.headers["location"].rstrip("/").rpartition("/")[2]
    assert accepted.headers["location"] == f"{expected}status/{status_id}/"
    finished = api.get(f"status/{status_id}/")
    assert finished.headers["location"] == f"{expected}deployments/{deployment_id}/"


def test_operation_without_a_location_is_done_at_once(emulator, api):
    emulator.operation_seconds = 60
    deployment_id = active_id(api)
    emulator.fault("PATCH /** links=none")
    accepted = api.patch(f"deployments/{deployment_id}/status/", json={"status": "inactive"})
    assert (accepted.status_code, "location" in accepted.headers) == (202, False)
    assert api.get(f"deployments/{deployment_id}/").json()["status"] == "inactive"


@pytest.mark.parametrize("outcome", ["ERROR", "ABORTED", "EXPIRED"])
def test_operation_can_fail(emulator, api, outcome):
    deployment_id = active_id(api)
    emulator.fault("PATCH /deployments/*/status/", outcome=outcome)
    location = api.patch(f"deployments/{deployment_id}/status/", json={"status": "inactive"}).headers[
        "location"
    ]
    failed = api.get(location)
    assert failed.status_code == 200
    assert failed.json()["status"] == outcome
    assert "did not complete" in failed.json()["message"]
    failed = api.get(f"deployments/{deployment_id}/").json()
    assert (failed["status"], failed["hasError"]) == ("errored", True)


def test_operation_can_end_without_a_resource(emulator, api):
    emulator.fault("PATCH /deployments/*/status/ outcome=COMPLETED")
    location = api.patch(f"deployments/{active_id(api)}/status/", json={"status": "inactive"}).headers[
        "location"
    ]
    finished = api.get(location)
    assert (finished.status_code, finished.json()["status"]) == (200, "COMPLETED")


def test_creation_can_fail(emulator, api):
    emulator.fault("POST /deployments/fromLearningModel/ outcome=ERROR")
    body = {"modelId": "m", "label": "doomed", "description": None}
    created = api.post("deployments/fromLearningModel/", json=body).json()["id"]
    assert api.get(f"deployments/{created}/").json()["status"] == "errored"


def test_empty_page_has_a_next_that_goes_on(emulator, api):
    whole = api.get("deployments/").json()
    emulator.fault("GET /deployments/ page=empty times=1")
    empty = api.get("deployments/").json()
    assert (empty["count"], empty["data"]) == (0, [])
    assert api.get(empty["next"]).json()["data"] == whole["data"]


def test_repeated_next_leads_nowhere(emulator, api):
    emulator.fault("GET /deployments/ page=repeat")
    first = api.get("deployments/").json()
    second = api.get(first["next"]).json()
    assert first["data"]
    assert (second["next"], second["data"]) == (first["next"], first["data"])


# --- faults of a body's framing, of a range and of the moment


def test_body_can_trickle(emulator, api):
    emulator.fault("GET /version/ trickle=10 rate=1000")
    answer = api.get("version/")
    assert answer.json()["versionString"] == emulator.version
    emulator.clear_faults()
    emulator.fault("GET storage trickle=1000")
    received = bytearray()
    with (
        httpx.Client(trust_env=False, timeout=0.05) as client,
        client.stream("GET", signed_url(api)) as answer,
        pytest.raises(httpx.ReadTimeout),
    ):
        for part in answer.iter_raw():
            received += part
    assert len(received) == 1000


@pytest.mark.parametrize("word", ["chunked", "unsized"])
def test_body_can_come_without_its_length(target, emulator, content, word):
    route, url, headers = target
    emulator.fault(route, **{word: True})
    received, ending = raw_get(url, headers if word == "unsized" else {**headers, "Connection": "close"})
    head = received.partition(b"\r\n\r\n")[0]
    assert b"content-length" not in head
    assert ending == "closed" if word == "unsized" else b"transfer-encoding: chunked" in head
    with httpx.Client(trust_env=False, headers=headers) as client:
        assert client.get(url).content == content


def test_chunked_body_can_be_cut(target, emulator):
    route, url, headers = target
    emulator.fault(route, chunked=True, truncate=1000)
    with httpx.Client(trust_env=False, headers=headers) as client, pytest.raises(httpx.RemoteProtocolError):
        client.get(url)


def test_range_can_be_shifted(target, emulator, content):
    route, url, headers = target
    emulator.fault(route, shift=5)
    with httpx.Client(trust_env=False, headers=headers) as client:
        answer = client.get(url, headers={"Range": "bytes=10-19"})
        whole = client.get(url)
    assert (answer.status_code, answer.content) == (206, content[15:20])
    assert answer.headers["content-range"] == f"bytes 15-19/{SIZE}"
    assert whole.content == content


def test_rule_can_choose_requests_and_do_something_before(emulator, api):
    done = []
    fault = emulator.fault(
        "GET /version/",
        status=503,
        when=lambda request: request.headers.get("x-chosen") == "yes",
        before=lambda: done.append(emulator.fault_count(fault)),
    )
    assert api.get("version/").status_code == 200
    assert api.get("version/", headers={"X-Chosen": "yes"}).status_code == 503
    emulator.fault("GET /version/", before=lambda: done.append("only this"))
    assert api.get("version/").status_code == 200
    assert done == [1, "only this"]


def test_first_byte_of_any_body_can_be_wrong(target, emulator, content):
    route, url, headers = target
    emulator.fault(f"{route} corrupt")
    with httpx.Client(trust_env=False, headers=headers) as client:
        part = client.get(url, headers={"Range": "bytes=10-19"}).content
    assert part[0] == content[10] ^ 0xFF
    assert part[1:] == content[11:20]


def test_condition_of_a_rule_may_ask_the_emulator(emulator, api):
    first = emulator.fault("GET /version/ status=503 times=1")
    emulator.fault("GET /version/ status=429", when=lambda request: emulator.fault_count(first) > 0)
    assert [api.get("version/").status_code for _ in range(2)] == [503, 429]
