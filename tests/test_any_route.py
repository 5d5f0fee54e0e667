"""Routes, headers and hooks of the caller's own."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import subprocess
import sys

import anyio
import attrs
import pytest

from datarobot_mlops_async import AsyncSession, RequestInfo, Response, ResponseInfo, RetryPolicy, __version__
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import DecodeError, NotFoundError, ProtocolError, ServerError
from datarobot_mlops_async.models import Deployment
from tests.scripted import Answer, ScriptedServer
from tests.servers.clients import MIB, artifact_at

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio
TOKEN = "c4n4ry-t0k3n"
FAST = RetryPolicy(initial_backoff=0.001, max_backoff=0.001)


@attrs.define
class Release:
    release_name: str
    buildNumber: int = 0


@attrs.frozen(kw_only=True)
class Version:
    major: int
    version_string: str
    release: Release | None = None


def session_for(server, **options):
    return AsyncSession(server.endpoint, TOKEN, **{"retry": FAST, **options})


async def test_any_route_decodes_into_what_the_caller_wants():
    body = b'{"major": 2, "versionString": "2.38.0", "new": 1, "release": {"releaseName": "x", "buildNumber": 7}}'
    with ScriptedServer(Answer(body=body, headers={"X-Request-ID": "r-1"})) as server:
        async with session_for(server) as session:
            assert await session.request("GET", "version/") == json.loads(body)
            assert await session.request("get", "/version/", type_=Version) == Version(
                major=2, version_string="2.38.0", release=Release("x", 7)
            )
            answer = await session.request(
                "GET", "api/v2/version/?a=b", type_=Response, query={"c": [1, True]}
            )
            with pytest.raises(DecodeError, match=r"GET /version/") as caught:
                await session.request("GET", "version/", type_=list[Deployment])
    assert (answer.status, answer.content, answer.request_id) == (200, body, "r-1")
    assert answer.headers["Content-Type"] == "application/json"
    assert "2.38" not in repr(answer)
    assert (caught.value.method, caught.value.route, caught.value.request_id) == ("GET", "/version/", "r-1")
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
    assert server.asked[2].target == "/api/v2/version/?a=b&c=1&c=true"


async def test_answer_of_a_list_that_does_not_decode_names_its_request():
    with ScriptedServer(Answer(body=b'{"data": 1}', headers={"x-request-id": "r-1"})) as server:
        async with session_for(server) as session:
            for read in (
                session.deployments.list().first_page,
                session.deployments.list().collect,
                lambda: session.deployments.capabilities("d1"),
            ):
                with pytest.raises(DecodeError) as caught:
                    await read()
                assert (caught.value.method, caught.value.request_id) == ("GET", "r-1")
                assert caught.value.operation == f"GET {caught.value.route}"


async def test_any_route_takes_a_body_and_repeats_only_what_it_may():
    lost = Answer(status=502)
    with ScriptedServer(Answer(status=204, body=b""), lost, Answer(), lost) as server:
        async with session_for(server) as session:
            assert await session.request("POST", "things/", json={"a": None}) is None
            assert await session.request("PUT", "things/1/", json=[1]) == {}
            with pytest.raises(ServerError) as caught:
                await session.request("POST", "things/7/", json={})
    assert [asked.method for asked in server.asked] == ["POST", "PUT", "PUT", "POST"]
    assert server.asked[0].body == b'{"a": null}'
    assert server.asked[0].headers["content-type"] == "application/json"
    error = caught.value
    assert (error.method, error.route, error.attempts) == ("POST", "/things/{id}/", 1)


@pytest.mark.parametrize(
    "path",
    ["", "https://evil.example/x", "//evil.example/x", "../x", "a\nb", "x" * 70_000, "HTTP:x", "\\\\h\\x"],
)
async def test_path_that_leads_elsewhere_is_refused_before_anything_is_sent(path):
    with ScriptedServer(Answer()) as server:
        async with session_for(server) as session:
            with pytest.raises(ValueError, match="path|address"):
                await session.request("GET", path)
            with pytest.raises(ValueError, match="path|address"):
                await session.begin("POST", path)
            with pytest.raises(ValueError, match="path|address"):
                session.paginate(path)
    assert server.asked == []


async def test_arguments_of_the_wrong_kind_are_refused():
    async with AsyncSession("https://h", TOKEN) as session:
        with pytest.raises(TypeError, match="path must be a string"):
            await session.request("GET", None)
        with pytest.raises(ValueError, match="method must be"):
            await session.request("GET /x", "x/")
        with pytest.raises(ValueError, match="70005 characters"):
            await session.request("GET", "x/", query={"a": "y" * 70_000})
        for query in ("a=b", 3, {"a": object()}):
            with pytest.raises(TypeError, match="query"):
                await session.request("GET", "x/", query=query)


async def test_redirect_of_any_route_is_an_error_unless_the_answer_is_wanted():
    with ScriptedServer(Answer(status=302, headers={"Location": "https://evil.example/"})) as server:
        async with session_for(server) as session:
            with pytest.raises(ProtocolError):
                await session.request("GET", "x/")
            with pytest.raises(ProtocolError):
                await session.begin("POST", "x/")
            assert (await session.request("GET", "x/", type_=Response)).status == 302


async def test_any_list_is_read_to_its_end():
    with Emulator(deployments=25, image_size=None) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            raw = await session.paginate("deployments/", query={"limit": 10}).collect()
            typed = [each async for each in session.paginate("deployments/", type_=Deployment)]
            assert [each["id"] for each in raw] == [each.id for each in typed]
            assert len(raw) == 25
        assert sum("/deployments/" in each.path for each in emulator.requests) >= 3


async def test_any_operation_is_begun_and_awaited():
    with Emulator(deployments=5, operation_seconds=0.05, image_size=None) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            (active,) = await session.deployments.list(status=["active"], limit=1).collect()
            operation = await session.begin(
                "PATCH", f"deployments/{active.id}/status/", json={"status": "inactive"}
            )
            assert (await operation).status == "inactive"
    with ScriptedServer(Answer(status=200)) as server:
        async with session_for(server) as session:
            assert await (await session.begin("POST", "x/")) is None


async def test_artifact_of_a_path_gets_the_token_and_one_of_a_url_gets_nothing(tmp_path):
    body = b"bytes" * 1000
    answer = Answer(body=body, headers={"ETag": '"x"'})
    with ScriptedServer(answer) as server, ScriptedServer(answer) as other:
        async with session_for(server, headers={"X-Gateway-Key": "g4t3w4y-k3y"}) as session:
            sha256 = hashlib.sha256(body).hexdigest()
            for number, address in enumerate(
                ["files/1/", f"{server.endpoint}/files/1/", [f"{other.origin}/x?signature=1"]]
            ):
                artifact = session.artifact(address, filename=f"f{number}", size=len(body), sha256=sha256)
                result = await artifact.download(tmp_path)
                assert result.sha256 == sha256
    first, second = (server.asked[0], server.asked[-1])
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.headers["x-gateway-key"] == "g4t3w4y-k3y"
    for asked in (second, *other.asked):
        assert "authorization" not in asked.headers
        assert "x-gateway-key" not in asked.headers
        assert asked.headers["user-agent"].startswith("datarobot-mlops-async/")
    assert other.asked[0].target == "/x?signature=1"


async def test_headers_and_query_of_a_session_stand_in_every_request():
    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        headers = {"User-Agent": "churn-job/3.1", "X-Gateway-Key": "g4t3w4y-k3y"}
        async with session_for(server, headers=headers) as session:
            view = session.with_options(headers={"X-Trace": "7"}, query={"tenant": ["a b"]})
            await session.deployments.get("d1")
            await view.deployments.get("d1")
            await view.with_options(query={"x": 1}).request("GET", "y/?z=2")
    plain, traced, both = server.asked
    python = re.escape(f"churn-job/3.1 datarobot-mlops-async/{__version__} Python/3.")
    assert re.match(python, plain.headers["user-agent"])
    assert (plain.headers["x-gateway-key"], plain.headers.get("x-trace")) == ("g4t3w4y-k3y", None)
    assert (traced.headers["x-gateway-key"], traced.headers["x-trace"]) == ("g4t3w4y-k3y", "7")
    assert traced.target == "/api/v2/deployments/d1/?tenant=a%20b"
    assert both.target == "/api/v2/y/?z=2&tenant=a%20b&x=1"


async def test_gateways_key_is_taken_out_of_what_the_gateway_says():
    with ScriptedServer(Answer(status=404, body=b"no route for key g4t3w4y-k3y, tr4c3-s3cr3t")) as server:
        async with session_for(server, headers={"X-Gateway-Key": "g4t3w4y-k3y"}) as session:
            with pytest.raises(NotFoundError) as caught:
                await session.with_options(headers={"X-Key": "tr4c3-s3cr3t"}).deployments.get("d1")
    assert "g4t3w4y" not in str(caught.value)
    assert "tr4c3" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"Authorization": "Bearer x"}, ValueError),
        ({"Host": "h"}, ValueError),
        ({"Content-Length": "3"}, ValueError),
        ({"a b": "c"}, ValueError),
        ({"X": "c4n4ry\r\nY: 1"}, ValueError),
        ({"X": "c4n4rý"}, ValueError),
        ({"X": 3}, TypeError),
    ],
)
def test_header_that_cannot_be_set_is_refused_without_its_value(headers, error):
    with pytest.raises(error, match="headers") as caught:
        AsyncSession("https://h", TOKEN, headers=headers)
    assert "c4n4r" not in str(caught.value)


async def test_hooks_see_each_attempt_without_its_secrets_and_survive_their_own_errors(caplog):
    seen = []

    async def on_response(info):
        seen.append(info)
        raise RuntimeError("in the hook")

    answers = [Answer(status=503, headers={"X-Request-ID": "r-1"}), Answer(instead="reset"), Answer()]
    with ScriptedServer(*answers) as server:
        async with session_for(server, on_request=seen.append, on_response=on_response) as session:
            await session.request("GET", "deployments/d1/", query={"search": "c4n4ry"})
    requests = [each for each in seen if isinstance(each, RequestInfo)]
    ends = [each for each in seen if isinstance(each, ResponseInfo)]
    assert [each.attempt for each in requests] == [1, 2, 3]
    assert requests[0].url == f"{server.endpoint}/deployments/d1/"
    assert requests[0].route == "/deployments/{deployment_id}/"
    assert [(each.status, each.error, each.request_id) for each in ends] == [
        (503, None, "r-1"),
        (None, "ReadError", None),
        (200, None, None),
    ]
    assert [each.request for each in ends] == requests
    assert all(each.elapsed > 0 for each in ends)
    assert "c4n4ry" not in repr(seen)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        requests[0].url = "x"
    failures = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(failures) == 3
    assert "in the hook" in failures[0].exc_text


async def test_hooks_and_log_see_every_request_of_a_download(storage, tmp_path, caplog):
    storage.put("image", 5 * MIB)
    seen = []
    caplog.set_level(logging.DEBUG, "datarobot_mlops_async")
    hooks = {"on_request": seen.append, "on_response": seen.append}
    async with artifact_at(storage.endpoint, "files/image", session_options=hooks) as artifact:
        await artifact.download(tmp_path / "image")
    requests = [each for each in seen if isinstance(each, RequestInfo)]
    ends = [each for each in seen if isinstance(each, ResponseInfo)]
    # The artifact's address, and then one piece after the other.
    assert len(requests) == len(storage.requests) > 3
    assert sorted(map(id, requests)) == sorted(id(each.request) for each in ends)
    assert requests[0].url == f"{storage.endpoint}/files/image"
    assert {(each.method, each.route) for each in requests} == {("GET", "/files/image")}
    assert [each.status for each in ends[:2]] == [302, 206]
    assert caplog.text.count("GET ") >= len(requests)
    assert "Signature" in storage.requests[-1].target
    assert "Signature" not in repr(seen) + caplog.text
    assert TOKEN not in repr(seen) + caplog.text


async def test_download_cancelled_in_a_hook_leaves_no_connection(storage, tmp_path):
    storage.put("image", MIB)
    told = anyio.Event()

    async def on_response(end):
        told.set()
        await anyio.sleep_forever()

    options = {"on_response": on_response}
    async with (
        artifact_at(storage.endpoint, "files/direct/image", session_options=options) as artifact,
        anyio.create_task_group() as group,
    ):
        group.start_soon(artifact.download, tmp_path / "image")
        await told.wait()
        group.cancel_scope.cancel()


async def test_opened_session_is_used_without_a_block_and_closed_by_hand():
    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        session = await AsyncSession.open(server.endpoint, TOKEN, timeout=5)
        try:
            assert (await session.deployments.get("d1")).id == "d1"
        finally:
            await session.aclose()


async def test_artifact_of_several_urls_is_fetched_from_whoever_has_it(tmp_path):
    body = b"bytes" * 1000
    sha256 = hashlib.sha256(body).hexdigest()
    with (
        ScriptedServer(Answer(status=404)) as gone,
        ScriptedServer(Answer(body=body, headers={"ETag": '"x"'})) as good,
    ):
        async with session_for(good) as session:
            urls = [f"{good.origin}/x", f"{gone.origin}/x"]
            artifact = session.artifact(urls, filename="f", size=len(body), sha256=sha256)
            assert (await artifact.download(tmp_path)).sha256 == sha256
            for bad in ([], ["https://h/x", "files/"], "../x", ["ftp://h/x"]):
                with pytest.raises(ValueError, match="address|path"):
                    session.artifact(bad)
    assert not any("authorization" in asked.headers for asked in (*gone.asked, *good.asked))


LOG = """
import asyncio, sys, datarobot_mlops_async
async def main():
    for _ in range(2):
        async with datarobot_mlops_async.AsyncSession(*sys.argv[1:]) as session:
            await session.request("GET", "version/")
asyncio.run(main())
"""


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 0), ("loud", None)])
def test_script_is_told_what_happens_on_standard_error(level, lines, monkeypatch):
    monkeypatch.setenv("DATAROBOT_MLOPS_LOG", level)
    with ScriptedServer(Answer()) as server:
        script = subprocess.run(
            # Not in the program's text, which a traceback quotes from CPython 3.13 on.
            [sys.executable, "-c", LOG, server.endpoint, "c4n4ry-t0k3n"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "c4n4ry" not in script.stderr
    if lines is None:
        assert "DATAROBOT_MLOPS_LOG must be debug, info, warning or error" in script.stderr
    else:
        assert script.stderr.count("DEBUG datarobot_mlops_async: GET /version/ 200 in ") == lines
        assert len(script.stderr.splitlines()) == lines
