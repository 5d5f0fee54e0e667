from __future__ import annotations

import gc
import json
import logging
import pickle
import pickletools
import ssl
import time
import warnings

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, Hint, Outcome, RetryPolicy
from datarobot_mlops_async import errors as errors_module
from datarobot_mlops_async._api import rebase, route_path, status_error
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    MLOpsError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ReadError,
    ServerDeprecationWarning,
    ServerError,
    SessionStateError,
    TimeoutError,
    UnprocessableEntityError,
)
from tests.scripted import Answer, ScriptedServer

pytestmark = pytest.mark.anyio
TOKEN = "c4n4ry-t0k3n"
FAST = RetryPolicy(initial_backoff=0.001, max_backoff=0.001)
DEPLOYMENT = Answer(body=json.dumps({"id": "d1", "label": "Churn"}).encode())
MOVED = Answer(status=202, headers={"Location": "/api/v2/status/s1/"}, body=b"")


def session_for(server, **options):
    return AsyncSession(server.endpoint, TOKEN, **{"retry": FAST, **options})


async def test_request_carries_token_agent_and_encoded_path():
    with ScriptedServer(DEPLOYMENT) as server:
        async with session_for(server, token_type="Token") as session:
            assert (await session.deployments.get("a/b?c#d é")).label == "Churn"
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("GET", "/api/v2/deployments/a%2Fb%3Fc%23d%20%C3%A9/")
    assert asked.headers["authorization"] == f"Token {TOKEN}"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["user-agent"].startswith("datarobot-mlops-async/")
    assert "cookie" not in asked.headers


@pytest.mark.parametrize("id_", ["", ".", "..", "a\nb", "\x00", "a\x7f"])
async def test_id_that_no_quoting_makes_safe_is_refused_before_anything_is_sent(id_):
    with ScriptedServer(DEPLOYMENT) as server:
        async with session_for(server) as session:
            with pytest.raises(ValueError, match="deployment_id"):
                await session.deployments.get(id_)
            with pytest.raises(TypeError, match="deployment_id must be a string"):
                await session.deployments.get(None)
    assert server.asked == []


@given(st.text(max_size=20))
def test_any_id_stays_one_segment_or_is_refused(id_):
    try:
        path = route_path("deployments/{deployment_id}/status/", {"deployment_id": id_})
    except ValueError:
        return
    head, segment, tail, end = path.split("/")
    assert (head, tail, end) == ("deployments", "status", "")
    assert segment not in {"", ".", ".."}
    assert "?" not in segment
    assert "#" not in segment


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("https://app.datarobot.com/api/v2/status/x/", "status/x/"),
        ("http://wrong.example:81/prefix/api/v2/status/x/?a=b", "status/x/?a=b"),
        ("/api/v2/status/x/", "status/x/"),
        ("status/x/", "status/x/"),
        ("/status/x/", "status/x/"),
        (" status/x/ ", "status/x/"),
    ],
)
def test_location_is_rebased_onto_our_endpoint(location, path):
    assert rebase(location) == path


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://evil.example",
        "/api/v2/../../x",
        "/api/v2/%2e%2E/x",
        "status/\nx",
        "http://[",
        "a\\b",
        "../x",
    ],
)
def test_location_that_names_nothing_of_the_api_is_refused(location):
    with pytest.raises(ProtocolError, match="Location"):
        rebase(location)


@given(st.text())
def test_any_location_is_rebased_or_refused(location):
    try:
        path = rebase(location)
    except ProtocolError:
        return
    assert path
    assert ".." not in path.partition("?")[0].split("/")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_get_is_repeated_after_a_transient_status(status):
    with ScriptedServer(Answer(status=status), DEPLOYMENT) as server:
        async with session_for(server) as session:
            assert (await session.deployments.get("d1")).id == "d1"
    assert len(server.asked) == 2


@pytest.mark.parametrize("instead", ["reset", "cut"])
async def test_get_is_repeated_after_a_broken_connection(instead):
    with ScriptedServer(Answer(instead=instead, body=b"x" * 100), DEPLOYMENT) as server:
        async with session_for(server) as session:
            assert (await session.deployments.get("d1")).id == "d1"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "broken", [Answer(instead="reset"), Answer(status=502), Answer(status=503), Answer(status=429)]
)
async def test_patch_is_never_repeated_when_it_may_have_arrived(broken):
    with ScriptedServer(broken, MOVED) as server:
        async with session_for(server) as session:
            with pytest.raises((ReadError, APIStatusError)) as caught:
                await session.deployments.begin_set_status("d1", "inactive")
    assert len(server.asked) == 1
    assert caught.value.attempts == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_patch_is_repeated_when_it_was_refused_with_retry_after(status):
    with ScriptedServer(Answer(status=status, headers={"Retry-After": "0"}), MOVED) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_set_status("d1", "inactive")
    assert operation.location == "status/s1/"
    assert len(server.asked) == 2


async def test_long_retry_after_raises_at_once_and_pauses_the_session():
    with ScriptedServer(Answer(status=429, headers={"Retry-After": "3600"}), DEPLOYMENT) as server:
        async with session_for(server) as session:
            with pytest.raises(RateLimitError) as caught:
                await session.deployments.get("d1")
            assert caught.value.retry_after == 3600
            # The server asked the session, not one request, to stay away; no header costs more than five minutes.
            with pytest.raises(RateLimitError, match="not sent") as caught:
                await session.deployments.get("d2")
            assert 0 < caught.value.retry_after <= 300
    assert len(server.asked) == 1


async def test_retries_stop_at_the_policys_number():
    with ScriptedServer(Answer(status=503, body=b"")) as server:
        async with session_for(server, retry=RetryPolicy(max_retries=2, initial_backoff=0.001)) as session:
            with pytest.raises(ServerError, match="unavailable") as caught:
                await session.deployments.get("d1")
            assert caught.value.attempts == 3
            with pytest.raises(ServerError):
                await session.with_options(retry=0).deployments.get("d1")
    assert len(server.asked) == 4


async def test_delete_whose_answer_was_lost_counts_a_following_404_as_done():
    with ScriptedServer(Answer(instead="reset"), Answer(status=404)) as server:
        async with session_for(server) as session:
            await session.deployments.delete("d1")
    assert [asked.method for asked in server.asked] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("refused", [[], [Answer(status=503)]])
async def test_delete_of_what_never_existed_is_not_found(refused):
    with ScriptedServer(*refused, Answer(status=404)) as server:
        async with session_for(server) as session:
            with pytest.raises(NotFoundError):
                await session.deployments.delete("d1")


async def test_unreachable_server_is_a_connect_error_without_secrets():
    with ScriptedServer(DEPLOYMENT) as server:
        endpoint = server.endpoint
    async with AsyncSession(endpoint, TOKEN, retry=1) as session:
        with pytest.raises(ConnectError, match="cannot connect") as caught:
            await session.with_options(retry=FAST).deployments.get("d1")
    assert TOKEN not in repr(caught.value)
    assert caught.value.attempts == FAST.max_retries + 1


async def test_silent_server_is_a_timeout():
    with ScriptedServer(Answer(instead="hang")) as server:
        async with session_for(server, retry=0) as session:
            with pytest.raises(TimeoutError, match="in time|within"):
                await session.with_options(timeout=0.05).deployments.get("d1")
        server.script.release.set()


async def test_trickling_server_cannot_outlive_the_timeout():
    """httpx's read timeout starts anew with each byte; ours bounds the whole exchange."""

    async def trickle(request):
        async def body():
            while True:
                yield b" "
                await anyio.sleep(0.01)

        return httpx.Response(200, content=body())

    async with AsyncSession(
        "https://h", TOKEN, retry=0, timeout=0.1, transport=httpx.MockTransport(trickle)
    ) as session:
        with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
            await session.deployments.get("d1")


def tls_alert(reason):
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectTimeout("x"), ConnectTimeoutError),
        (httpx.PoolTimeout("x"), TimeoutError),
        (httpx.ProxyError("407"), ConnectError),
        (httpx.UnsupportedProtocol("x"), ConnectError),
        (httpx.WriteError("x"), ReadError),
        (httpx.DecodingError("x"), ProtocolError),
        (ssl.SSLError(1, "[SSL] internal error"), ReadError),
        (tls_alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), CertificateError),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), CertificateError),
    ],
)
async def test_every_transport_failure_has_its_error(raised, expected):
    def fail(request):
        raise raised

    async with AsyncSession("https://h", TOKEN, retry=0, transport=httpx.MockTransport(fail)) as session:
        with pytest.raises(MLOpsError) as caught:
            await session.deployments.get("d1")
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised
    assert (caught.value.method, caught.value.url) == ("GET", "https://h/api/v2/deployments/d1/")


@pytest.mark.parametrize(
    ("body", "message", "errors"),
    [
        (b'{"message": "No such thing"}', "No such thing", None),
        (
            b'{"message": {"label": "too long"}, "errors": {"label": ["x"]}}',
            '{"label": "too long"}',
            {"label": ["x"]},
        ),
        (b'{"detail": "Quota used up"}', "Quota used up", "Quota used up"),
        (b'{"detail": [{"loc": ["body"], "msg": "bad"}]}', '"msg": "bad"', [{"loc": ["body"], "msg": "bad"}]),
        (
            b'{"message": "Invalid field data", "errors": {"a": "b"}}',
            'Invalid field data: {"a": "b"}',
            {"a": "b"},
        ),
        (b'{"errorName": "E1", "message": ""}', "E1", None),
        (b'{"errors": ["a"]}', '["a"]', ["a"]),
        (
            b"<html><style>x{}</style><h1>502 Bad&nbsp;Gateway</h1>\n<p>nginx</p></html>",
            "502 Bad Gateway nginx",
            None,
        ),
        (b"", "no reason", None),
        (b"null", "no reason", None),
        (b"{}", "no reason", None),
        (b'["oops"]', '["oops"]', None),
        (b'"oops"', "oops", None),
        (b"\xff\xfe broken \x1b[31m", "broken [31m", None),
        (b'{"message": "cut sho', '{"message": "cut sho', None),
        (b"[" * 100_000, "[[[", None),
        (b"x" * 10_000, "x…", None),
        (b'{"message": ' + b"[" * 500 + b"]" * 500 + b"}", "[[[", None),
        (b'{"message": "x", "errors": ' + b"9" * 5000 + b"}", '{"message": "x"', None),
        (b'{"message": "lone \\ud800 surrogate"}', "lone surrogate", None),
        (b"a < b<br>c <script>alert(1)</script >d<p", "a < b c d <p", None),
        (b"x<script>y>", "x", None),
    ],
    ids=range(22),
)
async def test_error_body_of_every_shape_becomes_a_readable_message(body, message, errors):
    with ScriptedServer(
        Answer(status=422, body=body, headers={"X-DataRobot-Request-ID": "r-1", "Content-Type": "text/html"})
    ) as server:
        async with session_for(server) as session:
            with pytest.raises(UnprocessableEntityError) as caught:
                await session.deployments.get("d1")
    error = caught.value
    assert message in error.message
    assert len(error.message) <= 500
    assert error.message.isprintable()
    assert (error.errors, error.request_id, error.status) == (errors, "r-1", 422)
    assert str(error).startswith("GET http://127.0.0.1")


async def test_error_nested_deep_prints_and_pickles():
    body = b'{"message": "no", "errors": ' + b'{"a": ' * 480 + b"[]" + b"}" * 481
    with ScriptedServer(Answer(status=422, body=body)) as server:
        async with session_for(server) as session:
            with pytest.raises(UnprocessableEntityError) as caught:
                await session.deployments.get("d1")
    assert pickle.loads(pickle.dumps(caught.value)).errors == caught.value.errors


@pytest.mark.parametrize(
    "piece", [b"<", b"<script", b"<script></script", b"<!--", b"&", b"</script>", b"<a>"]
)
def test_error_page_is_read_in_one_go_whatever_its_markup_is(piece):
    def seconds(size):
        body = b">" + piece * (size // len(piece))
        started = time.process_time()
        for _ in range(3):
            status_error(status=502, headers={}, body=body, method="GET", url="u", redactor=Redactor())
        return time.process_time() - started

    # Eight times as much takes eight times as long, and not 64 times.
    assert min(seconds(80_000) for _ in range(3)) < 30 * max(0.001, min(seconds(10_000) for _ in range(3)))


@pytest.mark.parametrize(
    "location",
    ["/api/v2/status/" + "x" * 70_000 + "/", "/api/v2/status/x/?" + "a" * 70_000, "é" * 100],
    ids=["path", "query", "é"],
)
async def test_address_that_is_too_long_or_not_ascii_ends_in_an_error_of_ours(location):
    with ScriptedServer(Answer(status=202, headers={"Location": location}), Answer(status=404)) as server:
        async with session_for(server) as session:
            with pytest.raises((ProtocolError, NotFoundError)):
                await (await session.deployments.begin_set_status("d1", "inactive"))
            with pytest.raises(ValueError, match="70016 characters"):
                await session.deployments.get("x" * 70_000 + "/")


async def test_headers_of_any_bytes_give_an_answer_or_an_error_of_ours():
    headers = {
        "X-Request-ID": "\xff\x9b31m",
        "Retry-After": "\xb2",
        "Deprecation": "\xfc\x9b",
        "ETag": "\xff",
    }
    with ScriptedServer(Answer(status=400, headers=headers)) as server:
        async with session_for(server) as session:
            with pytest.warns(ServerDeprecationWarning), pytest.raises(BadRequestError) as caught:
                await session.deployments.get("d1")
    assert caught.value.request_id.isprintable()
    assert caught.value.retry_after is None


async def test_control_character_in_a_header_reaches_nobody():
    with ScriptedServer(Answer(status=400, headers={"X-Request-ID": "x\x1b[31m"})) as server:
        async with session_for(server) as session:
            with pytest.raises((ProtocolError, BadRequestError)) as caught:
                await session.deployments.get("d1")
    assert str(caught.value).isprintable()


async def test_operation_without_a_location_is_refused():
    async with AsyncSession("https://h", TOKEN) as session:
        for blank in ("", "  "):
            with pytest.raises(ProtocolError, match="Location"):
                session.operation(blank)
        with pytest.raises(TypeError, match="location must be a string"):
            session.operation(None)


@given(st.binary(), st.integers(400, 599))
def test_any_error_body_gives_our_error(body, status):
    error = status_error(
        status=status,
        headers={},
        body=body,
        method="GET",
        url="https://h/x?signature=c4n4ry-s1gn4ture",
        redactor=Redactor(),
    )
    assert isinstance(error, APIStatusError)
    assert "c4n4ry" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_redirect_is_not_followed_and_shows_no_signature():
    redirect = Answer(status=302, headers={"Location": "https://evil.example/x?signature=c4n4ry"})
    with ScriptedServer(redirect) as server:
        async with session_for(server) as session:
            with pytest.raises(ProtocolError, match=r"https://evil\.example/x;") as caught:
                await session.deployments.get("d1")
            with pytest.raises(ProtocolError):
                await session.deployments.list().first_page()
    assert "c4n4ry" not in str(caught.value)
    assert len(server.asked) == 2


async def test_expired_token_is_an_authentication_error():
    with ScriptedServer(Answer(status=401, body=b"")) as server:
        async with session_for(server) as session:
            with pytest.raises(AuthenticationError, match="token is missing, wrong or expired"):
                await session.deployments.get("d1")


async def test_body_that_is_not_json_is_a_decode_error_with_its_text():
    with ScriptedServer(Answer(body=b"<html>login</html>", headers={"Content-Type": "text/html"})) as server:
        async with session_for(server) as session:
            with pytest.raises(DecodeError) as caught:
                await session.deployments.get("d1")
    assert caught.value.operation == "GET /deployments/{deployment_id}/"
    assert caught.value.text == "<html>login</html>"


async def test_token_that_a_gateway_echoes_is_taken_out_of_its_page():
    page = f"<html>Bad request: Authorization: Bearer {TOKEN}</html>".encode()
    with ScriptedServer(Answer(status=400, body=page), Answer(body=page)) as server:
        async with session_for(server) as session:
            with pytest.raises(APIStatusError, match=r"\[secret\]") as caught:
                await session.deployments.get("d1")
            assert TOKEN not in str(caught.value)
            with pytest.raises(DecodeError) as caught:
                await session.deployments.get("d1")
            assert TOKEN not in caught.value.text


async def test_deprecation_warns_once_for_each_route():
    deprecated = Answer(body=DEPLOYMENT.body, headers={"Deprecation": "Use v3 from 2027"})
    with ScriptedServer(deprecated) as server:
        async with session_for(server) as session:
            with pytest.warns(ServerDeprecationWarning, match="Use v3 from 2027") as caught:
                await session.deployments.get("d1")
                await session.deployments.get("d2")
                await session.with_options(timeout=5).deployments.get("d3")
    assert len(caught) == 1
    with ScriptedServer(Answer(body=DEPLOYMENT.body, headers={"Deprecation": "True"})) as server:
        async with session_for(server) as session:
            with pytest.warns(ServerDeprecationWarning, match="is deprecated$"):
                await session.deployments.get("d1")


async def test_log_has_one_line_a_request_and_no_secret(caplog):
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(
        Answer(status=503, headers={"x-request-id": "r-9"}),
        Answer(body=b'{"data": [], "next": null}', headers={"Location": "https://s3/x?signature=c4n4ry"}),
    ) as server:
        async with session_for(server) as session:
            await session.deployments.list(search="c4n4ry").collect()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("datarobot")]
    assert len(lines) == 3
    assert lines[0].startswith("GET /deployments/ 503 in ")
    assert "(attempt 1, request id r-9)" in lines[0]
    assert lines[1].startswith("GET /deployments/: retrying in 0.0 s: the service is unavailable")
    assert "(attempt 2, request id None)" in lines[2]
    for record in caplog.records:
        assert "c4n4ry" not in record.getMessage()
        assert record.name.partition(".")[0] not in {httpx.__name__, "httpcore", "httpcore2"}


async def test_above_debug_nothing_but_waits_is_logged_with_reason_and_delay(caplog):
    caplog.set_level(logging.INFO)
    busy = Answer(status=503, headers={"Retry-After": "0.01"})
    with ScriptedServer(busy, DEPLOYMENT, Answer(instead="reset"), DEPLOYMENT, Answer(status=500)) as server:
        async with session_for(server) as session:
            await session.deployments.get("d1")
            await session.deployments.get("d1")
            with pytest.raises(ServerError):
                await session.deployments.get("d1")
    pause, retry, reset = caplog.records
    assert {each.levelno for each in caplog.records} == {logging.INFO}
    for wait in (pause, retry):
        assert (wait.delay, wait.reason) == (0.01, "the server asks to wait 0.01 s")
    assert reset.delay <= 0.001
    assert reset.reason.startswith("retrying in 0.0 s: the connection broke")


async def test_other_users_of_httpx_keep_their_log(caplog):
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(DEPLOYMENT) as server:
        async with httpx.AsyncClient() as client:
            await client.get(server.endpoint)
    assert any(record.name == httpx.__name__ for record in caplog.records)


async def test_gzip_is_decoded_and_broken_gzip_is_a_protocol_error():
    import gzip

    encoded = {"Content-Encoding": "gzip"}
    with ScriptedServer(
        Answer(body=gzip.compress(DEPLOYMENT.body), headers=encoded), Answer(body=b"no gzip", headers=encoded)
    ) as server:
        async with session_for(server) as session:
            assert (await session.deployments.get("d1")).id == "d1"
            with pytest.raises(ProtocolError):
                await session.deployments.get("d1")


async def test_cancelled_request_leaves_no_socket():
    with ScriptedServer(Answer(instead="hang"), DEPLOYMENT) as server:
        async with session_for(server, max_concurrency=1) as session:
            with anyio.move_on_after(0.05) as scope:
                await session.deployments.get("d1")
            assert scope.cancelled_caught
            # The one place in flight is free again.
            assert (await session.deployments.get("d1")).id == "d1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()


async def test_session_says_clearly_when_it_cannot_be_used():
    with ScriptedServer(DEPLOYMENT) as server:
        session = session_for(server)
        with pytest.raises(SessionStateError, match="not open"):
            await session.deployments.get("d1")
        async with session:
            pass
        await session.aclose()
        with pytest.raises(SessionStateError, match="closed"):
            await session.deployments.get("d1")
        with pytest.raises(SessionStateError, match="once"):
            await session.__aenter__()


def test_session_from_another_event_loop_is_refused():
    async def open_session(endpoint):
        return await AsyncSession(endpoint, TOKEN).__aenter__()

    async def use(session):
        with pytest.raises(SessionStateError, match="another event loop"):
            await session.deployments.get("d1")

    with ScriptedServer(DEPLOYMENT) as server:
        session = anyio.run(open_session, server.endpoint)
        anyio.run(use, session)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"max_concurrency": 0}, {"retry": -1}]
)
def test_session_options_out_of_bounds_are_refused(options):
    with pytest.raises(ValueError, match=r"must be|'max_retries'"):
        AsyncSession("https://h", TOKEN, **options)


def test_session_shows_its_endpoint_and_not_its_token():
    session = AsyncSession("https://h", TOKEN)
    assert repr(session) == "<AsyncSession at https://h/api/v2>"
    assert repr(session.with_options(timeout=5)) == "<SessionView at https://h/api/v2>"
    assert repr(session.pps_image) == "<PPSImage at https://h/api/v2>"


def test_every_error_pickles_whole():
    samples = {
        "operation": None,
        "required": 1,
        "available": 2,
        "status": 400,
        "method": "GET",
        "url": "u",
        "path": "$",
        "expected": "a",
        "actual": "b",
        "size": 3,
        "text": "t",
        "filename": "image.tar",
        "errno": 28,
    }
    import inspect

    for name in errors_module.__all__:
        class_ = getattr(errors_module, name)
        if not issubclass(class_, MLOpsError):
            continue
        parameters = inspect.signature(class_.__init__).parameters.values()
        needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in samples]
        error = class_("what happened", **{key: samples[key] for key in needed})
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.__dict__) == (class_, str(error), error.__dict__)
        assert copy.args == error.args
        # An OSError keeps some of these outside its dictionary.
        assert [getattr(copy, each) for each in needed] == [samples[each] for each in needed]


def test_names_in_pickles_stay():
    error = errors_module.NotFoundError("gone", status=404, method="GET", url="u", hint=Hint.WRONG_SERVER)
    outcome = Outcome(index=0, item="d", state="failed", error=error)
    operation = AsyncSession("https://h", TOKEN).operation("status/s/")
    found = pickletools.genops(pickle.dumps([outcome, operation], protocol=0))
    names = {name for opcode, name, _ in found if opcode.name == "GLOBAL" and "datarobot" in name}
    # What an earlier build has pickled names these, and loads as long as they are there.
    assert names == {
        "datarobot_mlops_async.errors _rebuild",
        "datarobot_mlops_async.errors NotFoundError",
        "datarobot_mlops_async.errors Hint",
        "datarobot_mlops_async.bulk._outcome Outcome",
        "datarobot_mlops_async.bulk._outcome OutcomeState",
        "datarobot_mlops_async.operations Operation",
    }
    earlier = b"cdatarobot_mlops_async._hints\nHint\n(Vwrong_server\ntR."
    assert pickle.loads(earlier) is Hint.WRONG_SERVER


@pytest.mark.parametrize("hint", Hint)
def test_every_hint_has_advice_and_stands_behind_the_message(hint):
    error = errors_module.TransportError("GET /x: what happened", hint=hint)
    assert str(error) == f"GET /x: what happened: {hint.advice}"
    assert error.summary == "GET /x: what happened"
    assert pickle.loads(pickle.dumps(error)).hint is hint
