"""Calls and downloads through SOCKS5 proxies, and through proxies that are spoken to under TLS."""

from __future__ import annotations

import socket
import ssl

import pytest

from datarobot_mlops_async import AsyncSession, Hint
from datarobot_mlops_async._streaming._connection import Connection
from datarobot_mlops_async.errors import (
    CertificateError,
    ConfigError,
    ConnectError,
    ConnectTimeoutError,
    ReadError,
    TransportError,
)
from tests.servers.clients import MIB, session_for
from tests.servers.odd import OddServer, says
from tests.servers.storage import TOKEN

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio
# On asyncio calls go over our own transport, on trio over httpx's.
on_both = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
PASSWORD = ("user", "p@ss:w\u00f6rd")
REFUSED = {
    "no SOCKS": ({"method": b"HT"}, "does not speak SOCKS5", Hint.CHECK_PROXY),
    "another login": ({"method": b"\x05\xff"}, "wants another login", Hint.CHECK_PROXY),
    "says more": ({"method": b"\x05\x02HTTP"}, "more than it was asked", Hint.CHECK_PROXY),
    "hangs up": ({"method": b""}, "closed the connection before it answered", Hint.CHECK_PROXY),
    "wrong password": ({"login": b"\x01\x01"}, "refused the user name or the password", Hint.CHECK_PROXY),
    "hangs up at the password": ({"login": b""}, "before it answered", Hint.CHECK_PROXY),
    "not allowed": ({"reply": b"\x05\x02\x00\x01" + bytes(6)}, "its rules do not allow it", Hint.CHECK_PROXY),
    "refused": ({"reply": b"\x05\x05\x00\x04" + bytes(18)}, "refused the connection", Hint.CHECK_ENDPOINT),
    "another code": ({"reply": b"\x05\x63\x00\x03\x01x" + bytes(2)}, "code 99", Hint.CHECK_PROXY),
    "half a reply": ({"reply": b"\x05\x00\x00\x01"}, "before it answered", Hint.CHECK_PROXY),
}


async def _use(endpoint, tmp_path, **options):
    """Call twice and download twice; return the bytes."""
    async with session_for(endpoint, **options) as session:
        for _ in range(2):
            await session.deployments.list().first_page()
        contents = []
        for name in "ab":
            await session.artifact("files/image").download(tmp_path / name)
            contents.append((tmp_path / name).read_bytes())
    return contents


async def test_calls_and_downloads_go_through_a_socks_proxy(tls_storage, tls, socks_proxy, tmp_path):
    stored = tls_storage.put("image", MIB + 77)
    endpoint = tls_storage.endpoint.replace("127.0.0.1", "localhost")
    socks_proxy.password = PASSWORD
    url = socks_proxy.url_for(*PASSWORD)
    contents = await _use(endpoint, tmp_path, proxy=url, verify=tls.ca_file)
    assert contents == [stored.data] * 2
    # Names are the proxy's to resolve; a signed URL's host goes the same way.
    assert {each.partition(":")[0] for each in socks_proxy.lines} == {"localhost", "127.0.0.1"}


@on_both
async def test_socks_proxy_of_the_environment_is_used_for_plain_http(
    storage, socks_proxy, tmp_path, monkeypatch
):
    stored = storage.put("image", MIB + 77)
    monkeypatch.setenv("ALL_PROXY", socks_proxy.url.replace("socks5:", "socks5h:"))
    monkeypatch.setenv("NO_PROXY", "")
    assert await _use(storage.endpoint, tmp_path) == [stored.data] * 2
    assert len(socks_proxy.lines) >= 3


@on_both
@pytest.mark.parametrize("behaviour", REFUSED)
async def test_socks_proxy_that_refuses_is_told_and_leaves_no_socket(behaviour, socks_proxy):
    replies, message, hint = REFUSED[behaviour]
    socks_proxy.replies, socks_proxy.password = replies, PASSWORD
    options = {"proxy": socks_proxy.url_for(*PASSWORD), "retry": 0}
    async with AsyncSession("https://service.example", TOKEN, **options) as session:
        for ask in (session.deployments.get("d1"), session.artifact("x", filename="x").download("x")):
            with pytest.raises(ConnectError, match=message) as caught:
                await ask
            assert caught.value.hint is hint
            assert "w\u00f6rd" not in str(caught.value)


@on_both
async def test_socks_proxy_that_wants_a_password_says_so(socks_proxy):
    socks_proxy.password = PASSWORD
    async with AsyncSession("https://service.example", TOKEN, proxy=socks_proxy.url, retry=0) as session:
        with pytest.raises(ConnectError, match="wants a user name and a password"):
            await session.deployments.get("d1")


@on_both
async def test_password_too_long_for_socks_is_a_config_error(socks_proxy):
    socks_proxy.password = PASSWORD
    url = socks_proxy.url_for("user", "x" * 256)
    async with AsyncSession("https://service.example", TOKEN, proxy=url, retry=0) as session:
        with pytest.raises(ConfigError, match="at most 255 bytes"):
            await session.deployments.get("d1")


@on_both
@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1"])
async def test_socks_proxy_gets_an_address_as_one(host, storage, socks_proxy):
    socks_proxy.hosts["::1"] = "127.0.0.1"
    endpoint = storage.endpoint.replace("127.0.0.1", host)
    async with session_for(endpoint, proxy=socks_proxy.url) as session:
        await session.deployments.list().first_page()
    assert socks_proxy.lines[0].startswith(host.strip("[]") + ":")


@on_both
async def test_mute_socks_proxy_ends_with_the_time_for_connecting(socks_proxy, tmp_path):
    socks_proxy.replies["method"] = None
    config = tmp_path / "drconfig.yaml"
    config.write_text("endpoint: https://service.example\ntoken: t\nconnect_timeout: 0.05\n")
    async with AsyncSession(config_file=config, proxy=socks_proxy.url, retry=0) as session:
        for ask in (session.deployments.get("d1"), session.artifact("x", filename="x").download("x")):
            with pytest.raises(ConnectTimeoutError, match=r"no connection within 0\.05 s"):
                await ask


@on_both
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["open", "password"])
async def test_downloads_go_through_a_proxy_under_tls(
    password, storage, tls_storage, tls, tls_proxy, tmp_path
):
    tls_proxy.password = password
    url = tls_proxy.url_for(*PASSWORD) if password else tls_proxy.url
    for server in (storage, tls_storage):
        stored = server.put("image", MIB + 77)
        assert await _use(server.endpoint, tmp_path, proxy=url, verify=tls.ca_file) == [stored.data] * 2
        (tmp_path / "a").unlink()
        (tmp_path / "b").unlink()
    assert {each.partition(" ")[0] for each in tls_proxy.lines} == {"GET", "CONNECT"}


@on_both
async def test_proxy_under_tls_that_is_not_trusted_or_refuses_is_told(tls, tls_proxy, tls_storage, tmp_path):
    tls_proxy.password = PASSWORD
    options = {"proxy": tls_proxy.url, "retry": 0}
    async with session_for(tls_storage.endpoint, **options) as session:
        with pytest.raises(CertificateError):
            await session.artifact("files/image", filename="x").download(tmp_path / "x")
    async with session_for(tls_storage.endpoint, verify=tls.ca_file, **options) as session:
        with pytest.raises(ConnectError, match=r"refused the tunnel \(407\)"):
            await session.artifact("files/image", filename="x").download(tmp_path / "x")
    with OddServer(says(b"nonsense\r\n\r\n"), tls=tls.server_context()) as server:
        options["proxy"] = server.origin
        async with session_for(tls_storage.endpoint, verify=tls.ca_file, **options) as session:
            with pytest.raises(TransportError):
                await session.artifact("files/image", filename="x").download(tmp_path / "x")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_tunnel_is_not_asked_for_on_a_connection_that_was_given_up():
    ours, theirs = socket.socketpair()
    connection = Connection(ours, read_timeout=5)
    connection.interrupt()
    with theirs, pytest.raises(ReadError, match="dropped"):
        connection.open_tunnel(ssl.create_default_context(), "proxy.example", None)
    connection.close()
