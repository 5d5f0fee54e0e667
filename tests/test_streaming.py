"""The transport of downloads: TLS, proxies, timeouts, cancellation, connections that are used again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading

import anyio
import httpx
import pytest

from datarobot_mlops_async._config import Settings
from datarobot_mlops_async._streaming import StreamingClient, resolve_location
from datarobot_mlops_async._streaming._connection import Connection
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import Address
from datarobot_mlops_async.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeoutError,
    ProtocolError,
    ReadError,
    TimeoutError,
)
from tests.servers.clients import MIB, artifact_at
from tests.servers.storage import TOKEN

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = MIB + 77


class Collector:
    """Takes a body in small portions."""

    def __init__(self, limit=1 << 30, portion=10_000):
        self._buffer = bytearray(portion)
        self._limit = limit
        self.data = bytearray()
        self.abandoned = False

    def get_buffer(self):
        return memoryview(self._buffer)[: max(0, self._limit - len(self.data))]

    def buffer_updated(self, count):
        self.data += self._buffer[:count]

    def abandon(self):
        self.abandoned = True


@contextlib.asynccontextmanager
async def client_for(*, read_timeout=5.0, connect_timeout=5.0, transport=None, **settings):
    made = Settings(endpoint="http://unused.invalid/api/v2", connect_timeout=connect_timeout, **settings)
    client = StreamingClient(made, read_timeout=read_timeout, max_threads=4, foreign_transport=transport)
    try:
        yield client
    finally:
        await client.aclose()


@contextlib.contextmanager
def listening(answer):
    """Run one function for each connection, in a thread."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.02)
    over = threading.Event()

    def serve():
        with server:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    accepted = server.accept()[0]
                    with accepted:
                        accepted.settimeout(5)
                        answer(accepted, over)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        thread.join()


def canned(*answers):
    """Answer the first request of each connection with these bytes, one answer each."""
    left = list(answers)

    def answer(accepted, over):
        accepted.recv(65536)
        accepted.sendall(left.pop(0))

    return answer


async def _get(client, url, limit=1 << 30, **headers):
    response = await client.get(url, headers)
    sink = Collector(limit)
    try:
        await response.drain(sink)
    finally:
        await response.aclose()
        await response.aclose()
    return response, bytes(sink.data)


AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


async def test_connection_is_used_again_after_a_whole_body_only():
    data = bytes(range(256)) * 4096
    connections = []

    def answer(accepted, over):
        connections.append(0)
        while accepted.recv(65536):
            connections[-1] += 1
            with contextlib.suppress(OSError):
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    with listening(answer) as url:
        async with client_for() as client:
            for limit in (len(data), len(data), 1000, len(data)):
                assert (await _get(client, url, limit=limit))[1] == data[:limit]
    # Half a body leaves the connection useless.
    assert connections == [3, 1]


async def test_idle_connection_that_the_server_closed_is_replaced():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with listening(canned(head, head)) as url:
        async with client_for() as client:
            for _ in range(2):
                assert (await _get(client, url))[1] == b"ok"
                await anyio.sleep(0.05)


async def test_connection_that_closes_while_it_is_used_again_is_replaced():
    def answer(accepted, over):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        # The second request on this connection gets nothing.
        accepted.recv(65536)

    with listening(answer) as url:
        async with client_for() as client:
            for _ in range(2):
                assert (await _get(client, url))[1] == b"ok"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nok", b"ok"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            b"",
        ),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", b""),
    ],
)
async def test_connection_that_must_not_be_used_again_is_closed(answer, body):
    with listening(canned(answer, answer)) as url:
        async with client_for() as client:
            for _ in range(2):
                # The second answer comes on a second connection, or not at all.
                assert (await _get(client, url))[1] == body


async def test_chunked_body_leaves_the_connection_usable():
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: a\r\nETag: b\r\nVia: 1\r\nVia: 2\r\n\r\n"
    )
    whole = chunked + b"2\r\nok\r\n0\r\n\r\n"

    def twice(accepted, over):
        for _ in range(2):
            accepted.recv(65536)
            accepted.sendall(whole)

    with listening(twice) as url:
        async with client_for() as client:
            for _ in range(2):
                response, body = await _get(client, url)
                assert body == b"ok"
                assert (response.headers["etag"], response.headers["via"]) == ("a", "1, 2")
    with listening(canned(whole)) as url:
        async with client_for() as client:
            assert (await _get(client, url, limit=1))[1] == b"o"


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", ReadError, "before it answered"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ProtocolError, "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, ProtocolError, "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", ReadError, "3 bytes of the body missing"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", ReadError, "broke off"),
    ],
)
async def test_answer_that_breaks_off_is_an_error_with_its_address(answer, error, message):
    with listening(canned(answer)) as url:
        async with client_for() as client:
            with pytest.raises(error, match=message):
                await _get(client, f"{url}/path?secret")


async def test_flood_of_informational_answers_is_refused():
    def answer(accepted, over):
        accepted.recv(65536)
        while True:
            accepted.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with listening(answer) as url:
        async with client_for() as client:
            with pytest.raises(ProtocolError, match="no answer"):
                await client.get(url, {})


async def test_errors_name_the_request_without_its_query():
    with listening(canned(b"")) as url:
        async with client_for() as client:
            with pytest.raises(ReadError) as caught:
                await client.get(f"{url}/path?secret", {})
    assert caught.value.url == f"{url}/path"
    assert caught.value.method == "GET"
    assert "secret" not in str(caught.value)


async def test_silence_is_a_timeout_before_and_in_the_body():
    def silent(accepted, over):
        over.wait(5)

    def half(accepted, over):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
        over.wait(5)

    for answer in (silent, half):
        with listening(answer) as url:
            async with client_for(read_timeout=0.1) as client:
                with pytest.raises(TimeoutError, match=r"within 0\.1 s|for 0\.1 s"):
                    await _get(client, url)


async def test_cancelling_a_body_ends_its_thread_and_tells_the_sink():
    over_all = threading.Event()

    def half(accepted, over):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
        # The client hangs up: that is what cancelling does.
        assert accepted.recv(1) == b""
        over_all.set()

    with listening(half) as url:
        async with client_for() as client:
            response, sink = await client.get(url, {}), Collector()
            with anyio.move_on_after(0.1) as scope:
                await response.drain(sink)
            await response.aclose()
            assert scope.cancelled_caught
            assert sink.abandoned
            assert over_all.wait(2)


async def test_unknown_host_and_closed_port_were_never_reached():
    async with client_for() as client:
        with pytest.raises(ConnectError, match="cannot be resolved"):
            await client.get("http://no-such-host.invalid/", {})
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(ConnectError, match="cannot connect"):
            await client.get(f"http://127.0.0.1:{port}/", {})


async def test_connection_that_takes_too_long_is_a_connect_timeout():
    with listening(lambda accepted, over: over.wait(5)) as url:
        async with client_for(connect_timeout=0.1) as client:
            with pytest.raises(ConnectTimeoutError, match=r"0\.1 s"):
                await client.get(url.replace("http:", "https:"), {})


async def test_tls_uses_the_given_authority_only(tls_storage, tls):
    stored = tls_storage.put("image", SIZE)
    url = f"{tls_storage.endpoint}/files/direct/image"
    async with client_for(verify=str(tls.ca_file)) as client:
        for _ in range(2):
            assert (await _get(client, url, **AUTHORIZED))[1] == stored.data
        with pytest.raises(CertificateError, match="not trusted"):
            async with client_for() as other:
                await other.get(url, AUTHORIZED)
    async with client_for(verify=False) as client:
        assert (await _get(client, url, **AUTHORIZED))[1] == stored.data


async def test_tls_to_a_server_without_it_was_never_reached():
    with listening(canned(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        async with client_for() as client:
            with pytest.raises(ConnectError, match="TLS handshake failed"):
                await client.get(url.replace("http:", "https:"), {})


@pytest.mark.parametrize("password", [None, ("user", "p@ss:word")])
async def test_proxy_forwards_http_and_tunnels_https(storage, tls_storage, tls, proxy, password):
    proxy.password = password
    credentials = "user:p%40ss%3Aword@" if password else ""
    address = proxy.url.replace("//", f"//{credentials}")
    async with client_for(proxy=address, verify=str(tls.ca_file)) as client:
        for server in (storage, tls_storage):
            stored = server.put("image", SIZE)
            url = f"{server.endpoint}/files/direct/image"
            for _ in range(2):
                assert (await _get(client, url, **AUTHORIZED))[1] == stored.data
    assert proxy.lines[0].startswith("GET http://127.0.0.1:")
    # One tunnel, used twice.
    assert [line for line in proxy.lines if line.startswith("CONNECT")] == [
        f"CONNECT {tls_storage.endpoint.split('/')[2]} HTTP/1.1"
    ]


async def test_proxy_that_refuses_the_tunnel_is_a_connect_error(tls_storage, proxy):
    proxy.password = ("user", "secret")
    async with client_for(proxy=proxy.url) as client:
        with pytest.raises(ConnectError, match=r"refused the tunnel \(407\)"):
            await client.get(f"{tls_storage.endpoint}/x", {})


async def test_proxy_that_hangs_up_is_a_connect_error():
    with listening(canned(b"")) as url:
        async with client_for(proxy=url) as client:
            with pytest.raises(ConnectError, match="before it answered"):
                await client.get("https://127.0.0.1:1/", {})


async def test_proxy_of_the_environment_is_used(storage, proxy, monkeypatch, tmp_path):
    stored = storage.put("image", SIZE)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert len(proxy.lines) >= 2


def _foreign(handler):
    return httpx.MockTransport(handler)


async def test_caller_s_transport_is_used_for_downloads_too(tmp_path):
    """No server stands behind a mock transport: that is what it is for."""
    data = bytes(range(256)) * 4_000
    targets = []

    def handle(request):
        targets.append(request.url.raw_path)
        if request.url.host == "api.invalid":
            return httpx.Response(302, headers={"Location": "https://store.invalid/x?a=%2Fb%7E&c="})
        assert "authorization" not in request.headers
        return httpx.Response(200, content=data)

    options = {"transport": _foreign(handle)}
    async with artifact_at("https://api.invalid", "files/x", session_options=options) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == data
    assert result.size == len(data)


async def test_errors_of_the_caller_s_transport_become_ours(tmp_path):
    def refuse(request):
        raise httpx.ConnectError("no route")

    async with client_for(transport=_foreign(refuse)) as client:
        with pytest.raises(ConnectError, match="no route"):
            await client.get("http://api.invalid/x?secret", {})


class _Breaking(httpx.AsyncByteStream):
    def __init__(self, *chunks, error=None, wait=False):
        self._chunks, self._error, self._wait = chunks, error, wait

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk
        if self._wait:
            await anyio.sleep_forever()
        if self._error is not None:
            raise self._error


async def test_general_body_that_breaks_keeps_what_came():
    stream = _Breaking(b"ok" * 600_000, b"more", error=httpx.ReadError("gone"))
    async with client_for(transport=_foreign(lambda _: httpx.Response(200, stream=stream))) as client:
        response, sink = await client.get("http://api.invalid/", {}), Collector()
        with pytest.raises(ReadError, match="gone"):
            await response.drain(sink)
        await response.aclose()
    assert len(sink.data) == 1_200_004


async def test_general_body_is_read_no_further_than_wanted():
    stream = _Breaking(b"ok" * 600_000, b"more")
    async with client_for(transport=_foreign(lambda _: httpx.Response(200, stream=stream))) as client:
        _, data = await _get(client, "http://api.invalid/", limit=5)
    assert data == b"okoko"


async def test_general_body_can_be_interrupted():
    stream = _Breaking(b"ok", wait=True)
    async with client_for(transport=_foreign(lambda _: httpx.Response(200, stream=stream))) as client:
        response = await client.get("http://api.invalid/", {})
        async with anyio.create_task_group() as group:

            async def interrupt():
                await anyio.sleep(0.05)
                response.interrupt()

            group.start_soon(interrupt)
            with pytest.raises(ReadError, match="dropped"):
                await response.drain(Collector())
        await response.aclose()


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://h", "/", "h"),
        ("http://h?q", "/?q", "h"),
        ("http://h/a?", "/a?", "h"),
        ("http://h:80/a%2fb?x=%c3%a9&y=a+b~#frag", "/a%2fb?x=%c3%a9&y=a+b~", "h:80"),
        ("https://u:p@[::1]:8443/ä", "/%C3%A4", "[::1]:8443"),
    ],
)
def test_address_keeps_every_byte_of_the_target(url, target, authority):
    address = Address.parse(url)
    assert (address.target, address.authority) == (target, authority)


@pytest.mark.parametrize(
    "url", ["", "h/a", "ftp://h/", "http://", "http://[", "http://h:x/", "http://h/a b", "http://h/\r\nX: y"]
)
def test_address_that_cannot_be_requested_is_refused(url):
    with pytest.raises(ProtocolError):
        Address.parse(url)


def test_location_is_relative_to_what_answered():
    assert resolve_location("http://h/a/b?c", "../d?e=%2F") == "http://h/d?e=%2F"
    assert resolve_location("https://h/a", "//other/x") == "https://other/x"
    assert resolve_location("http://h/a", " HTTP://h/B ") == "HTTP://h/B"


async def test_address_that_does_not_answer_is_overtaken(monkeypatch):
    silent = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with silent, listening(canned(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as url:
        port = int(url.rpartition(":")[2])
        silent.bind(("127.0.0.2", 0))
        dead = silent.getsockname()[1]
        _resolve_to(monkeypatch, ("127.0.0.2", dead), ("127.0.0.1", port))
        async with client_for() as client:
            assert (await _get(client, f"http://both.invalid:{port}/"))[1] == b"ok"


def _resolve_to(monkeypatch, *addresses):
    """Name servers are nothing that a test may ask."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    found = [(families[":" in each[0]], socket.SOCK_STREAM, 6, "", each) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)


async def test_second_family_is_tried_though_the_first_has_more_addresses(monkeypatch):
    with listening(canned(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as url:
        port = int(url.rpartition(":")[2])
        _resolve_to(monkeypatch, ("::1", port), ("::1", port), ("127.0.0.1", port))
        async with client_for() as client:
            assert (await _get(client, f"http://both.invalid:{port}/"))[1] == b"ok"


def test_connection_survives_a_hang_up_at_any_time():
    one, other = socket.socketpair()
    connection = Connection(one, read_timeout=1)
    assert not connection.is_stale()
    other.close()
    with pytest.raises(ReadError):
        for _ in range(100):
            connection.send(b"x" * 100_000)
    connection.interrupt()
    connection.interrupt()
    assert connection.is_stale()
    connection.close()
    connection.interrupt()


def test_broken_sockets_are_our_errors():
    one, other = socket.socketpair()
    with one, other:
        connection = Connection(one, read_timeout=1)
        other.sendall(b"xy")
        # What nobody asked for makes an idle connection useless.
        assert connection.is_stale()
        assert connection.read_into(memoryview(bytearray(5))) == 1
    with pytest.raises(ReadError, match="broke"):
        connection.read_into(memoryview(bytearray(1)))
    assert connection.is_stale()


async def test_address_that_no_route_leads_to_was_never_reached(monkeypatch):
    _resolve_to(monkeypatch, ("255.255.255.255", 1))
    async with client_for() as client:
        with pytest.raises(ConnectError, match="cannot connect"):
            await client.get("http://nowhere.invalid/", {})


class _Plain(httpx.AsyncByteStream):
    """A body whose iterator is no generator."""

    def __init__(self):
        self._left = [b"a", b"b"]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


async def test_general_body_may_come_from_any_iterator():
    async with client_for(transport=_foreign(lambda _: httpx.Response(200, stream=_Plain()))) as client:
        assert (await _get(client, "http://api.invalid/"))[1] == b"ab"


async def test_function_in_a_thread_returns_or_raises():
    assert await run_interruptible(lambda: 5, interrupt=lambda: None) == 5
    with pytest.raises(KeyError):
        await run_interruptible(lambda: {}["x"], interrupt=lambda: None)


async def test_cancelled_function_in_a_thread_has_ended_before_anything_goes_on():
    stop, ended = threading.Event(), threading.Event()

    def work():
        stop.wait(5)
        ended.set()

    with anyio.move_on_after(0.05) as scope:
        await run_interruptible(work, interrupt=stop.set)
    assert scope.cancelled_caught
    assert ended.is_set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_task_cancelled_by_asyncio_itself_waits_for_its_thread(anyio_backend):
    """On asyncio only: no other loop has a cancellation that breaks through shields."""
    stop, ended = threading.Event(), threading.Event()

    def work():
        stop.wait(5)
        threading.Event().wait(0.1)
        ended.set()

    task = asyncio.ensure_future(run_interruptible(work, interrupt=stop.set))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_function_that_had_no_thread_yet_never_runs(anyio_backend):
    """On asyncio only, for the same reason."""
    limiter = anyio.CapacityLimiter(1)
    stop, ran = threading.Event(), threading.Event()
    first = asyncio.ensure_future(run_interruptible(stop.wait, interrupt=stop.set, limiter=limiter))
    await asyncio.sleep(0.05)
    second = asyncio.ensure_future(run_interruptible(ran.set, interrupt=lambda: None, limiter=limiter))
    await asyncio.sleep(0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    stop.set()
    await first
    assert not ran.is_set()


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://é.example:8443/x", "xn--9ca.example:8443"),
        ("https://é.example/x", "xn--9ca.example"),
        ("https://u:p@h:81/x", "h:81"),
    ],
)
def test_address_names_its_host_in_ascii(url, authority):
    assert Address.parse(url).authority == authority


def under_tls(context, answer):
    """Speak TLS first; a client that does not like it is what some tests are about."""

    def shake_hands(accepted, over):
        with context.wrap_socket(accepted, server_side=True) as wrapped:
            answer(wrapped, over)

    return shake_hands


async def test_what_a_server_says_unasked_under_tls_is_no_answer(tls):
    connections = []

    def answer(accepted, over):
        connections.append(accepted)
        while accepted.recv(65536):
            # A record of its own behind the answer's, and both in one packet.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk")
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    with listening(under_tls(tls.server_context(), answer)) as url:
        async with client_for(verify=str(tls.ca_file)) as client:
            for _ in range(3):
                assert (await _get(client, url.replace("http:", "https:")))[1] == b"ok"
    assert len(connections) == 3


async def test_connection_under_tls_is_used_again(tls):
    data, connections = bytes(range(256)) * 4096, []

    def answer(accepted, over):
        connections.append(accepted)
        while accepted.recv(65536):
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    with listening(under_tls(tls.server_context(), answer)) as url:
        async with client_for(verify=str(tls.ca_file)) as client:
            for _ in range(3):
                assert (await _get(client, url.replace("http:", "https:")))[1] == data
    assert len(connections) == 1


@pytest.mark.parametrize("orderly", [True, False])
async def test_body_that_ends_with_a_connection_under_tls(tls, orderly):
    def answer(accepted, over):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\nok")
        with contextlib.suppress(OSError):
            if orderly:
                accepted.unwrap()

    with listening(under_tls(tls.server_context(), answer)) as url:
        async with client_for(verify=str(tls.ca_file)) as client:
            assert (await _get(client, url.replace("http:", "https:")))[1] == b"ok"


async def test_server_that_wants_a_client_certificate_says_so(tls):
    context = tls.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tls.ca_file)

    def refuse(accepted, over):
        with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as wrapped:
            with contextlib.suppress(ssl.SSLError):
                wrapped.do_handshake()
            # A close with something unread would overtake what was said.
            while socket.socket.recv(wrapped, 65536):
                pass

    with listening(refuse) as url:
        async with client_for(verify=str(tls.ca_file)) as client:
            with pytest.raises(CertificateError, match="certificate"):
                await client.get(url.replace("http:", "https:"), {})


async def test_header_of_any_bytes_is_sent_over_the_caller_s_transport_too():
    def handle(request):
        assert dict(request.headers.raw)[b"If-Range"] == b'"\xe9"'
        return httpx.Response(200)

    async with client_for(transport=_foreign(handle)) as client:
        response = await client.get("http://api.invalid/", {"If-Range": '"\xe9"'})
        await response.aclose()
