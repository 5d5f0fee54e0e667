"""The token, signatures of URLs and passwords are seen by nobody, whatever goes right or wrong."""

from __future__ import annotations

import gc
import json

import httpx
import pytest

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async.cli._app import run
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import ConfigError
from tests.canaries import CONTENT, NOWHERE, PASSWORD, SIGNATURE, TOKEN, watched
from tests.scripted import Answer, ScriptedServer
from tests.surface import Ids, call_everything, find_ids

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio
# What is shown hardly depends on the event loop, and there is much to look at.
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
on_asyncio_and_trio = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
ONCE_MORE = RetryPolicy(max_retries=1, initial_backoff=0.001, max_backoff=0.001)
# Gateways' pages like to show the request that they refuse, some of them escaped.
ECHO = f"<html><h1>Refused</h1><pre>GET / HTTP/1.1\\nAuthorization: Bearer {TOKEN}</pre></html>"
ESCAPED = ECHO.replace("+", "&#43;").replace("/", "&#x2F;").replace("=", "&#61;")


def session_for(endpoint, **options):
    return AsyncSession(endpoint, TOKEN, **{"retry": ONCE_MORE, "timeout": 5, **options})


@pytest.fixture
def emulator():
    with Emulator(deployments=300, image_size=2**20, operation_seconds=0.0, token=TOKEN) as running:
        yield running


FAULTS = {
    "none": [],
    "refused": [f"* ** status=400 body='{ECHO}'"],
    "refused, escaped": [f"* ** status=403 body='{ESCAPED}'"],
    "unavailable": ["* ** status=503 body=html"],
    "not what was asked for": [f"* ** body='{ECHO}'"],
    "cut": ["* ** truncate=20"],
    "reset": ["* ** reset"],
    "links elsewhere": ["* ** links=https://elsewhere.example"],
    "operations fail": ["GET ** latency=0.001", "* ** outcome=ERROR"],
    "deprecated": ["* ** deprecation"],
    "storage refuses": ["GET storage status=403"],
    "storage expires": ["GET storage expired"],
    "storage breaks": ["GET storage reset"],
    "storage is wrong": ["GET storage corrupt=10"],
    "storage changes": ["GET storage changed=object"],
}


@on_asyncio_and_trio
@pytest.mark.parametrize("what", FAULTS)
async def test_nothing_shows_a_secret_on_the_emulator(what, emulator, tmp_path):
    async with session_for(emulator.endpoint) as session:
        ids = await find_ids(session)
        for fault in FAULTS[what]:
            emulator.fault(fault)
        with watched() as evidence:
            raised = await call_everything(session, ids, evidence, tmp_path)
    assert bool(raised) == (what not in {"none", "deprecated", "links elsewhere"}), raised


def json_answer(document, status=200, **headers):
    return Answer(status=status, body=json.dumps(document).encode(), headers=headers)


NOT_FOUND = Answer(status=404)
METADATA = json_answer(
    {"filename": "image.tar.gz", "imageSize": 3, "hash": "0" * 64, "hashAlgorithm": "SHA256"}
)
SIGNED = f"image.tar.gz?X-Amz-Credential=me&X-Amz-Signature={SIGNATURE}"
# What S3 says when it disagrees with a signature.
REFUSAL = f"""<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we \
calculated does not match the signature you provided.</Message><SignatureProvided>{SIGNATURE}</SignatureProvided>\
<CanonicalRequest>GET /image.tar.gz X-Amz-Signature={SIGNATURE}</CanonicalRequest></Error>"""


def redirect(location):
    """Answer requests for the image with a redirect."""
    image = "/api/v2/mlops/portablePredictionServerImage/"
    answers = {f"{image}metadata/": METADATA, image: Answer(status=302, headers={"Location": location})}
    return lambda asked: answers.get(asked.target, NOT_FOUND)


STORAGE = {
    "refuses": Answer(status=403, body=REFUSAL.encode()),
    "sends a header that is none": Answer(headers={"Location ": f"/{SIGNED}"}),
    "sends a status line that is none": Answer(status=f"/{SIGNED}"),
    "redirects for ever": Answer(status=302, headers={"Location": f"/{SIGNED}"}),
    "redirects to no URL": Answer(status=302, headers={"Location": f"http://[{SIGNATURE}/{SIGNED}"}),
    "redirects to no port": Answer(status=302, headers={"Location": f"http://h:{SIGNATURE}/{SIGNED}"}),
    "redirects to another scheme": Answer(status=302, headers={"Location": f"ftp://h/{SIGNED}"}),
    "redirects with a password": Answer(
        status=302, headers={"Location": f"http://u:{PASSWORD}@127.0.0.1:9/{SIGNED}"}
    ),
    "resets": Answer(instead="reset"),
    "breaks": Answer(instead="cut", body=b"x" * 100),
    "lies about the range": Answer(status=206, headers={"Content-Range": f"bytes {SIGNATURE}"}),
    "encodes": Answer(headers={"Content-Encoding": f"{SIGNATURE}"}),
}
IMAGE = ["pps_image.artifact, streamed", "pps_image.artifact, downloaded"]


@on_asyncio
@pytest.mark.parametrize("way", ["of our own", "of httpx"])
@pytest.mark.parametrize("what", STORAGE)
async def test_no_signature_is_seen_when_the_storage(what, way, tmp_path):
    transport = {"transport": httpx.AsyncHTTPTransport()} if way == "of httpx" else {}
    with (
        ScriptedServer(STORAGE[what]) as storage,
        ScriptedServer(redirect(f"{storage.origin}/{SIGNED}")) as server,
        watched() as evidence,
    ):
        async with session_for(server.endpoint, **transport) as session:
            raised = await call_everything(session, Ids(), evidence, tmp_path, IMAGE)
    assert set(raised) == set(IMAGE)


@on_asyncio
async def test_no_object_shows_a_secret_while_it_works(emulator, tmp_path):
    """As a debugger or a crash reporter would see it, which write down what stands in each frame."""
    shown, leaks = set(), set()

    def look(_progress):
        for each in gc.get_objects():
            module = type(each).__module__
            if str(module).startswith("datarobot_mlops_async.") and ".emulator" not in module:
                name = f"{module}.{type(each).__name__}"
                shown.add(name)
                if NOWHERE.search(repr(each)):
                    leaks.add(name)

    async with session_for(emulator.endpoint, on_response=look) as session:
        assert await session.deployments.list().first_page()
        image = await session.pps_image.artifact()
        await image.download(tmp_path, on_progress=look)
        fetched = emulator.requests_to("GET storage")[-1]
        signed = f"{emulator.storage_endpoint}{fetched.path}?{fetched.query}"
        for artifact in (image, session.artifact(signed, filename="image")):
            async with artifact.stream(on_progress=look, mirrors=[signed]) as chunks:
                async for _ in chunks:
                    look(None)
    assert len(shown) > 30
    assert not leaks


ANSWERS = {
    "JSON that echoes": json_answer(
        {"message": f"Bad header Bearer {TOKEN}", "errors": {"token": TOKEN}}, 422
    ),
    "JSON that echoes and escapes": Answer(
        status=400, body=json.dumps({"message": TOKEN}).replace("+", "\\u002b").replace("/", "\\/").encode()
    ),
    "a login page": Answer(body=ESCAPED.encode()),
    "a failed operation": lambda asked: json_answer(
        {"status": "ERROR", "message": TOKEN} if "/status/s/" in asked.target else {}, Location="status/s/"
    ),
    "a signed resource": lambda asked: (
        Answer(status=303, headers={"Location": f"https://s3/{SIGNED}"})
        if "/status/s/" in asked.target
        else json_answer({}, Location="status/s/")
    ),
    "a signed next": lambda asked: (
        json_answer({"data": [], "next": f"https://s3/{SIGNED}"}) if "?" in asked.target else NOT_FOUND
    ),
    "a next that is none": lambda asked: (
        json_answer({"data": [], "next": f"http://[{SIGNATURE}"}) if "?" in asked.target else NOT_FOUND
    ),
    "a header that is none": Answer(headers={"Location ": f"/{SIGNED}"}),
    "content": json_answer({"id": "d1", "label": CONTENT, "data": [{"label": CONTENT}], "next": None}),
    "content that is refused": json_answer({"message": CONTENT}, 409),
}


@on_asyncio
@pytest.mark.parametrize(
    "what",
    ANSWERS,
)
async def test_no_secret_is_seen_when_the_answer_is(what, tmp_path):
    with ScriptedServer(ANSWERS[what]) as server, watched() as evidence:
        async with session_for(server.endpoint) as session:
            raised = await call_everything(session, Ids(), evidence, tmp_path)
    assert raised


PROXIES = [
    "http://u:{password}@127.0.0.1:{port}",
    "https://u:{password}@127.0.0.1:{port}",
    "socks5://u:{password}@127.0.0.1:{port}",
    "http://u:{password}/x@127.0.0.1:{port}",
    "http://u:{password}#x@127.0.0.1:{port}",
    "u:{password}@127.0.0.1:{port}",
]


@on_asyncio
@pytest.mark.parametrize("source", ["argument", "environment"])
@pytest.mark.parametrize("form", PROXIES)
async def test_no_password_of_a_proxy_is_seen(form, source, socks_proxy, tmp_path, monkeypatch):
    socks_proxy.password = "u", "another"
    with ScriptedServer(Answer(status=407)) as server, watched() as evidence:
        port = socks_proxy.port if form.startswith("socks") else server.port
        proxy = form.format(password=PASSWORD, port=port)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        try:
            session = session_for(
                "http://localhost.example", **({"proxy": proxy} if source == "argument" else {})
            )
        except ConfigError as error:
            evidence.catch("AsyncSession", error)
            return
        async with session:
            raised = await call_everything(session, Ids(), evidence, tmp_path, ["deployments.get", *IMAGE])
    assert raised


COMMANDS = [
    ["deployments", "list"],
    ["deployments", "list", "--json"],
    ["deployments", "get", "d1", "--json"],
    ["deployments", "deactivate", "d1", "d2", "--yes", "--resume", "journal.jsonl"],
    ["pps-image", "metadata"],
    ["pps-image", "download", "images/"],
    ["operations", "status", "status/s1/"],
    ["bundles", "get", "b1"],
]


@pytest.mark.parametrize("what", ["a login page", "a refusal", "a signed redirect", "no HTTP", "no token"])
def test_terminal_shows_no_secret_when_the_answer_is(what, monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    answers = {
        "a login page": Answer(body=ECHO.encode()),
        "a refusal": Answer(status=401, body=ECHO.encode()),
        "a signed redirect": redirect(f"http://127.0.0.1:9/{SIGNED}"),
        "no HTTP": Answer(status="x"),
        "no token": Answer(status=401),
    }
    with ScriptedServer(answers[what]) as server, watched() as evidence:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", server.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN", TOKEN + "\n " if what == "no token" else TOKEN)
        monkeypatch.setenv("DATAROBOT_MAX_RETRIES", "0")
        for command in COMMANDS:
            assert run(["--verbose", *command]) or command == ["pps-image", "metadata"]
            evidence.note(f"terminal: {' '.join(command)}", "".join(capfd.readouterr()))
        for file in tmp_path.rglob("*"):
            evidence.note("file", file.read_text() if file.is_file() else "")
