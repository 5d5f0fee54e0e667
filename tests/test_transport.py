"""The transport of API calls: what odd servers say, on every event loop and over both transports."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import gc
import gzip
import itertools
import resource
import socket
import threading
import zlib
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import httpx
import pytest

from datarobot_mlops_async import AsyncSession, Hint, _transport
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async._transport import HTTPClient, Route
from datarobot_mlops_async._transport._answer import MOST_BODY
from datarobot_mlops_async._transport._asyncio import AsyncioTransport
from datarobot_mlops_async._transport._pool import KEEP_IDLE, ConnectionPool
from datarobot_mlops_async.errors import (
    ConfigError,
    ConnectError,
    ProtocolError,
    ReadError,
    SessionStateError,
    TimeoutError,
)
from tests.conftest import BACKENDS
from tests.scripted import Answer, ScriptedServer
from tests.servers.odd import OddServer, says
from tests.waiting import cancelled_when, wait_until

pytestmark = pytest.mark.anyio
pytest_plugins = ["tests.servers.fixtures"]
OK = b"HTTP/1.1 200 OK\r\n"
HEADERS = {"authorization": "Bearer t", "accept": "application/json"}
TRANSPORTS = ("own", "httpx")


def pytest_generate_tests(metafunc):
    """Run each test over our own transport and over httpx's, which on trio is what everybody gets."""
    if "over" in metafunc.fixturenames:
        ways = [(loop, over) for loop in BACKENDS for over in TRANSPORTS if (loop, over) != ("trio", "httpx")]
        metafunc.parametrize(
            ("anyio_backend", "over"),
            [(BACKENDS[loop], over) for loop, over in ways],
            ids=[f"{loop}-{over}" for loop, over in ways],
            indirect=["over"],
        )


@pytest.fixture
def over(request, monkeypatch):
    if request.param == "httpx":
        monkeypatch.setenv("DATAROBOT_MLOPS_TRANSPORT", "httpx")
    return request.param


@asynccontextmanager
async def client_for(server, **options):
    client = HTTPClient(Settings.load(server.origin, "t", **options))
    try:
        yield client
    finally:
        await client.aclose()


def send(client, server, *, method="GET", path="/api/v2/x/", content=b"", timeout=10.0):
    return client.send(method, server.origin + path, headers=HEADERS, content=content, timeout=timeout)


# What the bytes are, what comes of them (a body, or an error), and whether the connection may be used again.
ODD_ANSWERS = {
    "length": (OK + b"Content-Length: 2\r\n\r\nhi", "keep", b"hi"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", "keep", b"hi"),
    "empty field": (OK + b"X-Empty:\r\nContent-Length: 2\r\n\r\nhi", "keep", b"hi"),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", "keep", b"hi"),
    "chunk extension and trailers": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nX-Trailer: t\r\n\r\n",
        "keep",
        b"hi",
    ),
    "until the end": (OK + b"\r\nhi", "close", b"hi"),
    "until the end, HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhi", "close", b"hi"),
    "kept HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        "keep",
        b"hi",
    ),
    "connection: close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", "close", b"hi"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "keep", b""),
    "no content, with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "keep", b""),
    "not modified, with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "keep", b""),
    "informational": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nhi",
        "keep",
        b"hi",
    ),
    "other bytes than ASCII": (OK + b"X-Name: \xe9\r\nContent-Length: 2\r\n\r\nhi", "keep", b"hi"),
    "upgrade offered": (
        OK + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
        "keep",
        b"hi",
    ),
    "gzip": (
        OK
        + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"hi"))
        + gzip.compress(b"hi"),
        "keep",
        b"hi",
    ),
    "deflate": (
        OK + b"Content-Encoding: deflate\r\nContent-Length: 10\r\n\r\n" + zlib.compress(b"hi"),
        "keep",
        b"hi",
    ),
    "raw deflate": (
        OK + b"Content-Encoding: deflate\r\nContent-Length: 4\r\n\r\n" + zlib.compress(b"hi")[2:-4],
        "keep",
        b"hi",
    ),
    "both lengths": (
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "close",
        None,
    ),
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", "close", None),
    "a negative length": (OK + b"Content-Length: -2\r\n\r\nhi", "close", None),
    "a length with a sign": (OK + b"Content-Length: +2\r\n\r\nhi", "close", None),
    "a length of 2^80": (OK + b"Content-Length: 1208925819614629174706176\r\n\r\nhi", "close", None),
    "another transfer encoding": (
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "close",
        None,
    ),
    "a damaged chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", "close", None),
    "a short body": (OK + b"Content-Length: 9\r\n\r\nhi", "close", None),
    "a short chunked body": (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhi", "close", None),
    "folded": (OK + b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "a blank before the colon": (OK + b"X-Odd : a\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "NUL": (OK + b"X-Odd: a\0b\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "no colon": (OK + b"X-Odd\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "ICY": (b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "status 99": (b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "status 1000": (b"HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nhi", "close", None),
    "a line before": (b"\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", "close", None),
    "switching protocols": (
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi",
        "close",
        None,
    ),
    "no HTTP": (b"220 smtp.example ESMTP\r\n", "close", None),
    "nothing": (b"", "close", None),
    "a reset": (OK + b"Content-Length: 9\r\n\r\nhi", "reset", None),
    "endless fields": (OK + b"X-Odd: a\r\n" * 20_000 + b"\r\n", "close", None),
    "an endless field": (OK + b"X-Odd: " + b"a" * 300_000 + b"\r\n\r\n", "close", None),
    "endless informational answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000, "close", None),
    "gzip in gzip": (
        OK + b"Content-Encoding: gzip, gzip\r\nContent-Length: 2\r\n\r\nhi",
        "keep",
        None,
    ),
    "damaged gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "keep", None),
    "half of a gzip": (
        OK + b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + gzip.compress(b"hi")[:12],
        "keep",
        None,
    ),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_odd_answers_are_read_or_refused(name, over):
    data, then, body = ODD_ANSWERS[name]
    await _is_read_or_refused([data], then, body)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", [name for name, (data, _, _) in ODD_ANSWERS.items() if len(data) < 1000])
async def test_odd_answers_mean_the_same_byte_by_byte(name):
    data, then, body = ODD_ANSWERS[name]
    await _is_read_or_refused([data[i : i + 1] for i in range(len(data))], then, body)


async def _is_read_or_refused(parts, then, body):
    with OddServer(says(*parts, then=then)) as server:
        async with client_for(server) as client:
            if body is None:
                with pytest.raises((ProtocolError, ReadError)) as caught:
                    await send(client, server)
                assert caught.value.url == f"{server.origin}/api/v2/x/"
            else:
                assert (await send(client, server)).content == body


@pytest.mark.parametrize("name", [name for name, (_, _, body) in ODD_ANSWERS.items() if body is not None])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_answers_that_are_read_mean_to_httpx_the_same(name):
    data, then, body = ODD_ANSWERS[name]
    with OddServer(says(data, then=then)) as server:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(), trust_env=False) as client:
            assert (await client.get(server.origin)).content == body


@pytest.mark.parametrize(
    "name", ["length", "chunked", "no content", "not modified, with a length", "informational"]
)
async def test_connection_is_kept_after_a_whole_answer(name, over):
    data, _, body = ODD_ANSWERS[name]
    with OddServer(says(data, then="keep")) as server:
        async with client_for(server) as client:
            for _ in range(5):
                assert (await send(client, server)).content == body
        assert server.connections == 1


@pytest.mark.parametrize(
    "junk",
    [b"x", OK + b"Content-Length: 4\r\n\r\nevil", b"HTTP/1.1 500", b"\x00" * 9],
    ids=["a byte", "an answer", "half an answer", "zeros"],
)
@pytest.mark.parametrize("late", [False, True], ids=["with the answer", "later"])
async def test_bytes_behind_an_answer_are_never_the_next_one(junk, late, over):
    def answer(connection, request, number):
        good = OK + b"Content-Length: 2\r\n\r\n%02d" % number
        if late:
            connection.sendall(good)
            answered.acquire(timeout=10)
            connection.sendall(junk)
            said.append(number)
        else:
            connection.sendall(good + junk)

    answered, said = threading.Semaphore(0), []
    with OddServer(answer) as server:
        async with client_for(server) as client:
            for number in range(1, 4):
                assert (await send(client, server)).content == b"%02d" % number
                if late:
                    answered.release()
                    await wait_until(lambda number=number: number in said)
        assert server.connections == 3


async def test_head_of_an_answer_to_head_is_no_promise_of_a_body(over):
    with OddServer(says(OK + b"Content-Length: 5\r\n\r\n", then="keep")) as server:
        async with client_for(server) as client:
            for _ in range(2):
                answer = await send(client, server, method="HEAD")
                assert (answer.status, answer.content) == (200, b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_idle_connection_that_the_server_closed_is_replaced(method, over):
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi", then="close")) as server:
        async with client_for(server) as client:
            for _ in range(3):
                assert (await send(client, server, method=method, content=b"{}")).content == b"hi"
                await wait_until(lambda: not server.open)
        assert len(server.requests) == server.connections == 3


async def test_request_whose_answer_is_lost_is_not_sent_again(over):
    def answer(connection, request, number):
        if number == 2:
            return False
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
        return True

    with OddServer(answer) as server:
        async with client_for(server) as client:
            await send(client, server)
            with pytest.raises(ReadError):
                await send(client, server, method="POST", content=b"{}")
            assert (await send(client, server)).content == b"hi"
        assert [each.split(b" ")[0] for each in server.requests] == [b"GET", b"POST", b"GET"]


async def test_refusal_before_the_whole_body_was_sent_is_an_answer(over):
    body = b"x" * 30_000_000

    def refuse():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            while connection.recv(1_000_000):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = HTTPClient(Settings.load(origin, "t"))
        answer = await client.send("POST", f"{origin}/x", headers=HEADERS, content=body, timeout=20)
        await client.aclose()
        thread.join()
    assert (answer.status, answer.content) == (413, b"no")


async def test_large_body_arrives_whole(over):
    body = bytes(range(256)) * 40_000
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi", then="keep")) as server:
        async with client_for(server) as client:
            await send(client, server, method="PUT", content=body, timeout=30)
            await send(client, server, method="PUT", content=b"")
        assert server.requests[0].endswith(b"\r\n\r\n" + body)
        assert b"content-length: 0\r\n" in server.requests[1].lower()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("layers", [1, 2])
async def test_small_answer_that_unpacks_to_a_giant_is_refused(layers):
    packed, encoding = gzip.compress(bytes(MOST_BODY + 1), 1), b"gzip"
    if layers == 2:
        packed, encoding = gzip.compress(packed, 9), b"gzip, gzip"
    data = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(packed)) + packed
    with OddServer(says(data)) as server:
        async with client_for(server) as client:
            with pytest.raises(ProtocolError, match="larger than|one that was asked for"):
                await send(client, server)


async def test_time_for_an_attempt_covers_the_whole_answer(over):
    def dribble(connection, request, number):
        connection.sendall(OK + b"Content-Length: 100000\r\n\r\n")
        while not server.release.wait(0.02):
            connection.sendall(b"x")

    with OddServer(dribble) as server:
        async with client_for(server) as client:
            with pytest.raises(TimeoutError, match="no whole answer within 0.3 s"):
                await send(client, server, timeout=0.3)


async def test_flood_of_informational_answers_leaves_the_loop_to_others(over):
    def flood(connection, request, number):
        while not server.release.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with OddServer(flood) as server:
        async with client_for(server) as client:
            with pytest.raises(ProtocolError, match="bytes of header fields"):
                await send(client, server, timeout=30)


async def test_session_closed_with_requests_in_flight_leaves_no_socket(over):
    def hang(connection, request, number):
        server.release.wait(10)

    with OddServer(hang) as server:
        session = AsyncSession(server.origin, "t")
        await session.__aenter__()
        ended = []

        async def call():
            with pytest.raises(SessionStateError, match="closed while"):
                await session.deployments.get("d1")
            ended.append(1)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(call)
            await wait_until(lambda: len(server.requests) >= 8)
            await session.aclose()
            assert_no_socket_to(server.port)
        assert len(ended) == 8


async def test_client_that_is_closed_while_it_connects_leaves_no_socket(over):
    # Nobody accepts, and the second connection waits for room in the backlog.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        client = HTTPClient(Settings.load(f"https://127.0.0.1:{port}", "t", verify=False))

        async def call():
            with pytest.raises(SessionStateError):
                await client.send(
                    "GET", f"https://127.0.0.1:{port}/", headers=HEADERS, content=b"", timeout=30
                )

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(call)
            await wait_until(lambda: sockets_to(port))
            await client.aclose()
            assert_no_socket_to(port)


def sockets_to(port):
    """Return this process's own sockets whose other end is a port."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in lines if int(line.split()[2].split(":")[1], 16) == port}
    links = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(each.readlink()))
    return [each for each in links if each.removeprefix("socket:[").rstrip("]") in inodes]


def assert_no_socket_to(port):
    assert sockets_to(port) == []


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_session_that_outlives_its_loop_leaves_no_socket_and_closes_quietly(backend, transport, monkeypatch):
    if transport == "httpx":
        monkeypatch.setenv("DATAROBOT_MLOPS_TRANSPORT", "httpx")
    name, options = BACKENDS[backend]

    async def use():
        await session.__aenter__()
        await session.deployments.get("d1")

    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        session = AsyncSession(server.endpoint, "t")
        anyio.run(use, backend=name, backend_options=options)
        assert_no_socket_to(server.port)
        anyio.run(session.aclose, backend=name, backend_options=options)


async def test_request_cancelled_while_its_body_is_sent_leaves_nothing_unfinished(over):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = HTTPClient(Settings.load(origin, "t"))
        # Nobody reads, and no buffer takes so much.
        with anyio.move_on_after(0.05) as scope:
            await client.send("POST", origin + "/x", headers=HEADERS, content=bytes(2**26), timeout=60)
        assert scope.cancelled_caught
        await client.aclose()
    # An unfinished generator is a warning here, on trio, and warnings are errors.
    gc.collect()


async def test_call_that_is_cancelled_closes_its_connection_though_no_answer_comes(over):
    with OddServer(lambda *_: server.release.wait(10)) as server:
        async with client_for(server) as client:
            for number in range(1, 4):
                async with cancelled_when(lambda number=number: len(server.requests) == number):
                    await send(client, server)
            with anyio.fail_after(5):
                await wait_until(lambda: not sockets_to(server.port))


@pytest.mark.parametrize("way", ["plain", "tls", "tunnel"])
async def test_calls_cancelled_anywhere_leave_everything_working(way, over, tls, proxy, anyio_backend_name):
    """Hundreds of calls are cut off at random moments: while connecting, shaking hands, sending, waiting, reading."""
    random = Random(way)
    body = b"x" * 20_000

    def answer(connection, request, number):
        # It names its request; an answer that somebody else gets is found out.
        path = request.split()[1]
        connection.sendall(OK + b"X-Path: %b\r\nContent-Length: %d\r\n\r\n" % (path, len(body)) + body[:9])
        connection.sendall(body[9:])

    context = None if way == "plain" else tls.server_context()
    options = {"verify": str(tls.ca_file), "proxy": proxy.url if way == "tunnel" else None}
    cut_off = 0
    numbers = itertools.count()

    async def call():
        path = f"/api/v2/{next(numbers)}/"
        response = await send(client, server, path=path)
        assert response.headers["x-path"] == path
        return response.content

    async def cut_off_call():
        nonlocal cut_off
        delay = random.random() ** 2 * (0.001 if way == "plain" else 0.004)
        how = random.choice(["scope", "wait_for", "cancel"]) if anyio_backend_name == "asyncio" else "scope"
        if how == "scope":
            with anyio.move_on_after(delay) as scope:
                await call()
            cut_off += scope.cancelled_caught
        elif how == "wait_for":
            with contextlib.suppress(builtins.TimeoutError):
                await asyncio.wait_for(call(), delay)
                cut_off -= 1
            cut_off += 1
        else:
            task = asyncio.create_task(call())
            await asyncio.sleep(delay)
            cut_off += task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def worker():
        for _ in range(60):
            await cut_off_call()

    with OddServer(answer, tls=context) as server:
        async with client_for(server, **options) as client:
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(worker)
            assert cut_off > 50
            with anyio.fail_after(10):
                # Idle ones at most, of those that had been in use together.
                await wait_until(lambda: len(sockets_to(server.port) + sockets_to(proxy.port)) <= 2 * 8)
            async with anyio.create_task_group() as group:
                for _ in range(32):
                    group.start_soon(call)
            assert await call() == body
        # uvloop closes a socket in one of its next rounds.
        with anyio.fail_after(10):
            await wait_until(lambda: not sockets_to(server.port) + sockets_to(proxy.port))


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
async def test_own_transport_serves_an_httpx_client(tls):
    """It is an httpx transport like any other: several origins, streamed bodies, redirects, no timeout."""

    async def parts():
        yield b"ab"
        yield b"cd"

    def answer(connection, request, number):
        if request.startswith(b"GET /moved "):
            connection.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: %b/x\r\nContent-Length: 0\r\n\r\n" % there.origin.encode()
            )
        else:
            connection.sendall(OK + b"Content-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhi")

    with OddServer(answer) as server, OddServer(answer, tls=tls.server_context()) as there:
        transport = AsyncioTransport(Settings.load(server.origin, "t", verify=False))
        async with httpx.AsyncClient(transport=transport, timeout=None, follow_redirects=True) as client:
            assert (await client.get(f"{server.origin}/moved?a=%20")).url.path == "/moved"
            assert (await client.get(f"{server.origin}/moved")).url == f"{there.origin}/x"
            streamed = await client.post(server.origin, content=parts())
            assert streamed.headers.get_list("set-cookie") == ["a=1", "b=2"]
            with pytest.raises(ProtocolError, match="cannot be sent"):
                await client.get(server.origin, headers={"X-Odd": "a\r\nb: c"})
        assert server.requests[-1].endswith(b"\r\n\r\nabcd")
        assert b"transfer-encoding" not in server.requests[-1].lower()


async def test_several_addresses_are_tried_until_one_answers(over):
    """``localhost`` may be ::1 first, where nobody listens."""
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi", then="keep")) as server:
        server.origin = server.origin.replace("127.0.0.1", "localhost")
        async with client_for(server) as client:
            assert (await send(client, server)).content == b"hi"


async def test_process_that_may_open_nothing_more_cannot_connect(over):
    answer = says(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", then="close")
    with OddServer(answer) as server:
        async with client_for(server) as client:
            await send(client, server)
            with nothing_can_be_opened(), pytest.raises(ConnectError, match="cannot connect"):
                await send(client, server)


@contextlib.contextmanager
def nothing_can_be_opened():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_name_that_cannot_be_resolved_was_never_reached(over):
    async with AsyncSession("https://nowhere.invalid", "t", retry=0) as session:
        with pytest.raises(ConnectError, match=r"nowhere\.invalid|cannot connect"):
            await session.deployments.get("d1")


async def test_address_with_unsendable_characters_is_refused(over):
    with OddServer(says(b"")) as server:
        async with client_for(server) as client:
            with pytest.raises(ProtocolError, match="cannot be sent"):
                await send(client, server, path="/a b\r\nX: y")
        assert server.requests == []


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_idle_connections_are_dropped_after_half_a_minute():
    clock = Clock()
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi", then="keep")) as server:
        pool = ConnectionPool(Route.find(server.origin, None), None, clock=clock)

        async def ask():
            return await pool.exchange("GET", b"GET / HTTP/1.1\r\n\r\n", b"", connect_timeout=5, timeout=5)

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask)
        assert server.connections == 4
        clock.now += KEEP_IDLE - 1
        await ask()
        clock.now += 2
        # The one used last is still good; of the others one goes with each request.
        for _ in range(3):
            await ask()
        await wait_until(lambda: server.open == 1)
        assert server.connections == 4
        clock.now += KEEP_IDLE + 1
        await ask()
        assert server.connections == 5
        await pool.aclose()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


async def test_client_that_is_closed_sends_nothing(over):
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi")) as server:
        async with client_for(server) as client:
            await send(client, server)
        with pytest.raises(SessionStateError, match="closed"):
            await send(client, server)
        assert len(server.requests) == 1


async def test_transport_of_the_callers_own_is_closed_even_when_it_was_never_used():
    closed = []

    class Own(httpx.AsyncBaseTransport):
        async def aclose(self):
            closed.append(True)

    async with AsyncSession("https://h", "t", transport=Own()):
        pass
    assert closed == [True]


@pytest.mark.parametrize("alert", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15"], ids=["whole", "its first byte"])
async def test_tls_alert_says_which_scheme(over, alert):
    with OddServer(says(alert)) as server:
        async with client_for(server) as client:
            with pytest.raises(ConnectError, match="the server speaks TLS") as caught:
                await send(client, server)
    assert caught.value.hint is Hint.USE_HTTPS
    # Told by what came, and not by asking again.
    assert server.connections == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_body_beyond_the_limit_is_refused():
    def pour(connection, request, number):
        connection.sendall(OK + b"\r\n")
        for _ in range(MOST_BODY // 1_000_000 + 2):
            connection.sendall(bytes(1_000_000))

    with OddServer(pour) as server:
        async with client_for(server) as client:
            with pytest.raises(ProtocolError, match="larger than"):
                await send(client, server, timeout=60)


async def test_encoded_nothing_is_nothing(over):
    with OddServer(says(OK + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", then="keep")) as server:
        async with client_for(server) as client:
            assert (await send(client, server)).content == b""


async def test_password_of_a_forwarding_proxy_is_sent_with_each_request(over):
    with OddServer(says(OK + b"Content-Length: 2\r\n\r\nhi", then="keep")) as proxy:
        address = proxy.origin.replace("//", "//user:p%40ss@")
        client = HTTPClient(Settings.load("http://127.0.0.1:1", "t", proxy=address))
        for _ in range(2):
            await client.send("GET", "http://127.0.0.1:1/x", headers=HEADERS, content=b"", timeout=10)
        await client.aclose()
    for each in proxy.requests:
        assert each.startswith(b"GET http://127.0.0.1:1/x HTTP/1.1\r\n")
        assert b"proxy-authorization: basic dxnlcjpwqhnz\r\n" in each.lower()


async def test_proxy_that_nobody_serves_is_told_as_the_proxy(over):
    client = HTTPClient(Settings.load("https://h.example", "t", proxy="http://127.0.0.1:9", verify=False))
    with pytest.raises(ConnectError, match=r"refused|cannot connect"):
        await client.send("GET", "https://h.example/x", headers=HEADERS, content=b"", timeout=10)
    await client.aclose()


async def test_proxy_that_resets_the_tunnel_is_a_connect_error(over):
    with OddServer(says(then="reset")) as proxy:
        client = HTTPClient(Settings.load("https://h.example", "t", proxy=proxy.origin, verify=False))
        with pytest.raises((ConnectError, ReadError)):
            await client.send("GET", "https://h.example/x", headers=HEADERS, content=b"", timeout=10)
        await client.aclose()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_own_transport_leaves_tls_proxies_to_httpx():
    transport = AsyncioTransport(Settings.load("https://h", "t", proxy="https://127.0.0.1:1"))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ConfigError, match="httpx"):
            await client.get("https://h/x")


def test_room_has_no_other_names():
    with pytest.raises(AttributeError):
        _ = _transport.nothing


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_session_whose_loop_was_just_closed_closes_quietly(monkeypatch):
    # The sockets of httpx's can be closed by their loop alone.
    monkeypatch.delenv("DATAROBOT_MLOPS_TRANSPORT", raising=False)

    async def use():
        await session.__aenter__()
        await session.deployments.get("d1")

    with ScriptedServer(Answer(body=b'{"id": "d1"}')) as server:
        session = AsyncSession(server.endpoint, "t")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
        asyncio.run(session.aclose())
        del loop
        gc.collect()
        assert_no_socket_to(server.port)
