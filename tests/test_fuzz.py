"""Whatever a server names, in whatever header: only our exceptions come out, soon, and the token stays at home."""

from __future__ import annotations

import hashlib
import socket
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

import anyio
import httpx
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async._download._context import Tuning
from datarobot_mlops_async._streaming import Address, resolve_location
from datarobot_mlops_async._streaming._connection import Connection
from datarobot_mlops_async._streaming._http import exchange_heads
from datarobot_mlops_async.errors import MLOpsError, ProtocolError
from tests.fuzzing import fuzzed

pytestmark = pytest.mark.anyio
HOME = "https://home.example:8443/api/v2"
NO_RETRIES = RetryPolicy(max_retries=0)
_MOST_REQUESTS = 250


# Found here, rarely by chance; the tests at the end have them for certain.
# Header values as httpx and h11 hand them over: Latin-1 without line breaks.
ANY_VALUE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=60)
PIECES = st.sampled_from(
    [
        "http://", "https://", "//", "/", "\\", "?", "#", "@", ":", "[", "]", "%", "..", "%2e", " ", "\t", "home.example",
        ":8443", ":0", ":99999", "/api/v2/", "evil.example", "u:p@", "127.0.0.1", "status/", "offset=", "&", "é", "%00",
    ]
)  # fmt: skip
ANY_ADDRESS = (
    st.lists(PIECES | ANY_VALUE.filter(lambda text: len(text) < 5), max_size=8).map("".join) | ANY_VALUE
)
NUMBER = st.integers(-1, 12) | st.sampled_from([2**31, 2**63, 10**19])


class Service:
    """Answers as told, and looks at every request: its number, and where the token went."""

    def __init__(self, answer):
        self._answer = answer
        self._left = iter(range(_MOST_REQUESTS))

    def __call__(self, request):
        assert next(self._left, None) is not None, "that many requests lead nowhere"
        url = request.url
        at_home = (url.scheme, url.host, url.port) == ("https", "home.example", 8443)
        assert at_home or "authorization" not in request.headers
        return self._answer(request)


def session_for(answer):
    transport = httpx.MockTransport(Service(answer))
    return AsyncSession(HOME, "home-token", retry=NO_RETRIES, timeout=5, transport=transport)


def at_home(request):
    return request.url.host == "home.example"


@fuzzed(50)
@given(nexts=st.lists(ANY_ADDRESS | st.none(), min_size=1, max_size=4), rows=st.integers(0, 3))
async def test_any_next_is_followed_at_home_or_is_our_error(nexts, rows):
    numbers, ids = count(), count()

    def answer(request):
        assert at_home(request)
        next_ = nexts[next(numbers) % len(nexts)]
        return httpx.Response(
            200, json={"data": [{"id": str(next(ids))} for _ in range(rows)], "next": next_}
        )

    async with session_for(answer) as session:
        with suppress(MLOpsError):
            await session.deployments.list(limit=50).collect()


@fuzzed(50)
@given(status=st.sampled_from([300, 301, 302, 303, 304, 307, 308]), location=ANY_ADDRESS)
async def test_any_redirect_of_a_call_is_our_error(status, location):
    async with session_for(lambda request: redirect(status, location)) as session:
        with pytest.raises(ProtocolError):
            await session.deployments.get("d1")


def redirect(status, location):
    return httpx.Response(status, headers={"location": location.encode("latin-1", "replace")})


@fuzzed(50)
@given(
    begun=ANY_ADDRESS,
    status=st.sampled_from([200, 202, 302, 303, 307]),
    told=ANY_ADDRESS,
    body=st.sampled_from([b"", b"{}", b'{"status": "COMPLETED"}', b'{"status": 5}', b"[]", b"<"])
    | st.binary(max_size=9),
)
async def test_any_location_of_an_operation_is_asked_at_home_or_is_our_error(begun, status, told, body):
    def answer(request):
        assert at_home(request)
        if request.method == "PATCH":
            return redirect(202, begun)
        response = redirect(status, told)
        return httpx.Response(status, headers=response.headers, content=body)

    async with session_for(answer) as session:
        with suppress(MLOpsError):
            operation = await session.deployments.begin_activate("d1")
            await operation.status()
            await session.operation(begun).status()


@given(base=st.sampled_from(["https://h/a/b?c", "http://h:81/"]), location=ANY_ADDRESS)
def test_any_redirect_of_a_download_leads_to_an_address_that_can_be_sent_or_is_our_error(base, location):
    try:
        target = resolve_location(base, location)
        address = Address.parse(target)
    except ProtocolError:
        return
    assert target.startswith(("http://", "https://")) or target.lower().startswith("http")
    assert 0 < address.port < 65536
    assert address.target.startswith("/")
    assert address.target.isascii()
    assert address.target.isprintable()
    assert not set(address.target) & set(" \r\n")


content_ranges = st.builds(
    "{}{}{}-{}/{}".format,
    st.sampled_from(["bytes", "BYTES", "octets", ""]),
    st.sampled_from([" ", "=", "  "]),
    NUMBER,
    NUMBER,
    NUMBER | st.just("*"),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-range": content_ranges | ANY_VALUE,
        "content-length": NUMBER.map(str) | ANY_VALUE,
        "content-encoding": st.sampled_from(["gzip", "identity", "br, gzip"]) | ANY_VALUE,
        "content-disposition": ANY_VALUE.map(lambda name: f"attachment; filename={name}") | ANY_VALUE,
        "etag": st.sampled_from(['"a"', 'W/"a"', '"']) | ANY_VALUE,
        "last-modified": ANY_VALUE,
        "accept-ranges": st.sampled_from(["bytes", "none"]) | ANY_VALUE,
        "digest": st.sampled_from(["sha-256=", "sha-256=AAAA"]) | ANY_VALUE,
        "location": ANY_ADDRESS,
    },
)
deviations = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from([200, 206, 302, 303, 307, 308, 400, 403, 404, 416, 500, 503]),
        "headers": headers,
        "content": st.binary(max_size=12),
    },
)


class Store:
    """An object behind a redirect, served in ranges as it should be but for some answers."""

    def __init__(self, content, deviations):
        self._content = content
        self._deviations = iter(deviations)

    def __call__(self, request):
        if at_home(request):
            status, fields, content = 302, {"location": "https://store.example/x?signature=1"}, b""
        else:
            status, fields, content = self._object(request.headers.get("range"))
        deviation = next(self._deviations, None) or {}
        content = deviation.get("content", content)
        fields = {"content-length": str(len(content)), **fields, **deviation.get("headers", {})}
        encoded = {name: value.encode("latin-1", "replace") for name, value in fields.items()}
        return httpx.Response(
            deviation.get("status", status), headers=encoded, stream=httpx.ByteStream(content)
        )

    def _object(self, asked):
        size = len(self._content)
        if asked is None:
            return 200, {"etag": '"a"'}, self._content
        first, last = asked.removeprefix("bytes=").split("-")
        start, end = int(first), min(int(last or size) + 1, size)
        if start >= size:
            return 416, {"content-range": f"bytes */{size}"}, b""
        return (
            206,
            {"content-range": f"bytes {start}-{end - 1}/{size}", "etag": '"a"'},
            self._content[start:end],
        )


def artifact_of(session, **promised):
    # Pieces smaller than the object, so that there are several.
    tuning = Tuning(block=4, window=16, blocks=4, shortest_piece=2, longest_piece=4, restarts=1, tick=0.001)
    return evolve(session.artifact("some/where/"), tuning=tuning, **promised)


objects = {
    "content": st.binary(max_size=20),
    "deviating": st.lists(deviations, max_size=5),
    "promised": st.booleans(),
}


def digest_of(content, *, promised):
    return hashlib.sha256(content).hexdigest() if promised else None


@fuzzed(50)
@given(**objects)
async def test_any_answers_to_a_download_give_a_whole_file_in_its_directory_or_our_error(
    content, deviating, promised
):
    with tempfile.TemporaryDirectory() as directory:
        async with session_for(Store(content, deviating)) as session:
            artifact = artifact_of(session, sha256=digest_of(content, promised=promised))
            try:
                with anyio.fail_after(10):
                    result = await artifact.download(f"{directory}/below/")
            except MLOpsError:
                assert any(deviating)
                return
        assert result.path.parent == Path(directory, "below").resolve()
        assert result.path.stat().st_size == result.size
        assert result.path.read_bytes() == content or not promised
        assert [each.name for each in result.path.parent.iterdir()] == [result.path.name]


@fuzzed(50)
@given(**objects)
async def test_any_answers_to_a_stream_give_its_bytes_or_our_error(content, deviating, promised):
    async with session_for(Store(content, deviating)) as session:
        artifact, received = artifact_of(session, sha256=digest_of(content, promised=promised)), b""
        try:
            with anyio.fail_after(10):
                async with artifact.stream() as chunks:
                    received = b"".join([chunk async for chunk in chunks])
        except MLOpsError:
            assert any(deviating)
            return
    assert received == content or not promised


heads = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 206\r\n", b"HTTP/1.1 99 x\r\n", b"HTTP/2 200\r\n", b""]),
    st.lists(
        st.sampled_from(
            [
                b"Content-Length: 3\r\n", b"Content-Length: -3\r\n", b"Content-Length: 3, 4\r\n", b"Content-Length: x\r\n",
                b"Content-Length: " + b"9" * 5000 + b"\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
                b"Location : x\r\n", b" folded\r\n", b"\xff: \xff\r\n", b"no colon\r\n", b"\n", b"\r", b":\r\n",
            ]
        ),
        max_size=3,
    ).map(b"".join),
    st.sampled_from([b"\r\n", b"\n\n", b""]),
    st.sampled_from([b"abc", b"abcdef", b"3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\n", b"x\r\n"]) | st.binary(max_size=20),
)  # fmt: skip


class Buffer:
    def __init__(self):
        self.taken = 0

    def get_buffer(self):
        return memoryview(bytearray(16))

    def buffer_updated(self, number):
        self.taken += number

    def abandon(self):
        raise AssertionError("nobody abandons it")


@fuzzed(50)
@given(sent=heads | st.binary(max_size=60))
def test_any_bytes_of_a_server_are_an_answer_or_our_error(sent):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, read_timeout=5)
        sink = Buffer()
        try:
            with suppress(MLOpsError):
                exchange_heads(connection, "GET", "/", {"Host": "h"}).drain(sink)
        finally:
            connection.close()
    assert sink.taken <= len(sent)


async def test_redirect_of_a_call_to_no_url_is_our_error():
    async with session_for(lambda request: redirect(302, "http://[")) as session:
        with pytest.raises(ProtocolError):
            await session.deployments.get("d1")


@pytest.mark.parametrize("host", ["\x80", "\xe9" * 80], ids=["control", "long"])
async def test_redirect_of_a_download_to_a_name_that_no_host_has_is_our_error(host):
    async with session_for(lambda request: redirect(302, f"https://{host}/")) as session:
        with pytest.raises(MLOpsError):
            async with artifact_of(session).stream():
                pass


@pytest.mark.parametrize(
    "host", ["\x80", "a\u200bb", "a..b", "é" * 80], ids=["control", "invisible", "empty", "long"]
)
async def test_endpoint_at_a_name_that_no_host_has_is_our_error(host):
    with pytest.raises(MLOpsError):
        async with AsyncSession(f"https://{host}", "home-token", retry=NO_RETRIES) as session:
            await session.deployments.get("d1")
