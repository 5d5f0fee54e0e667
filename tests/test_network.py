from __future__ import annotations

import os
import ssl

import pytest
import trustme

from datarobot_mlops_async import AsyncSession, Settings
from datarobot_mlops_async._transport import proxy_for, tls_context
from datarobot_mlops_async._transport._httpx import TransportPool
from datarobot_mlops_async.errors import (
    CertificateError,
    ConfigError,
    InsecureConnectionWarning,
    TransportError,
)
from tests.scripted import Answer, ScriptedServer
from tests.servers.odd import OddServer, says

pytestmark = pytest.mark.anyio
DEPLOYMENT = Answer(body=b'{"id": "d1"}')


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(DEPLOYMENT, tls=context) as running:
        yield running


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


async def test_ca_file_of_ones_own_is_trusted(server, ca_file):
    async with AsyncSession(server.endpoint, "t", verify=ca_file) as session:
        assert (await session.deployments.get("d1")).id == "d1"


async def test_ca_file_named_by_the_environment_is_trusted(server, ca_file, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    async with AsyncSession(server.endpoint, "t") as session:
        assert (await session.deployments.get("d1")).id == "d1"


async def test_ca_directory_is_accepted(server, tmp_path):
    async with AsyncSession(server.endpoint, "t", verify=tmp_path) as session:
        with pytest.raises(CertificateError):
            await session.deployments.get("d1")


async def test_untrusted_certificate_is_told_with_the_remedy_and_tried_once(server):
    async with AsyncSession(server.endpoint, "t") as session:
        with pytest.raises(CertificateError, match="verify=") as caught:
            await session.deployments.get("d1")
    assert caught.value.attempts == 1
    assert server.asked == []


async def test_check_can_be_turned_off(server):
    async with AsyncSession(server.endpoint, "t", verify=False) as session:
        assert (await session.deployments.get("d1")).id == "d1"


def test_unusable_ca_file_is_a_config_error(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(ConfigError, match="not a usable CA file"):
        AsyncSession("https://h", "t", verify=path)


def test_tls_context_is_made_once_until_its_files_change(ca_file):
    def context(verify):
        return tls_context(Settings.load("https://h", "t", verify=verify), "https://h/x")

    assert context(True) is context(True)
    assert context(True) is not context(False)
    first = context(ca_file)
    assert context(ca_file) is first
    os.utime(ca_file, ns=(0, 0))
    assert context(ca_file) is not first


async def test_requests_go_through_the_proxy():
    with ScriptedServer(DEPLOYMENT) as proxy:
        with pytest.warns(InsecureConnectionWarning):
            session = AsyncSession("http://datarobot.example", "t", proxy=proxy.origin)
        async with session:
            assert (await session.deployments.get("d1")).id == "d1"
    assert proxy.asked[0].target == "http://datarobot.example/api/v2/deployments/d1/"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "https://h/x", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://h/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://h/x", None),
        ({"ALL_PROXY": "http://p:2"}, "http://h/x", "http://p:2"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other,h"}, "https://h/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other"}, "https://h/x", "http://p:1"),
        ({}, "https://h/x", None),
    ],
)
def test_proxy_of_the_environment_is_used_unless_excepted(environment, url, proxy, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url, Settings.load("https://h", "t")) == proxy


def test_proxy_of_the_settings_comes_first(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "h")
    assert proxy_for("https://h", Settings.load("https://h", "t", proxy="http://mine:3")) == "http://mine:3"


class Recorded:
    reusable = True

    def __init__(self):
        self.closed = False

    async def aclose(self):
        self.closed = True


async def test_pool_uses_the_last_connection_first_and_drops_idle_ones():
    made = []
    now = 1000.0
    pool = TransportPool(lambda: made.append(Recorded()) or made[-1], clock=lambda: now)
    async with pool.connection() as first, pool.connection() as second:
        assert made == [first, second]
    # The second was given back first, so the first is the one used last.
    async with pool.connection() as again:
        assert again is first
    now += 31
    async with pool.connection() as again:
        assert again is first
    assert second.closed
    assert not first.closed
    await pool.aclose()
    assert first.closed


@pytest.mark.parametrize(
    ("url", "exceptions", "expected"),
    [
        ("https://h.example/x", "h.example", True),
        ("https://h.example/x", "H.Example.", True),
        ("https://a.h.example/x", "h.example", True),
        ("https://a.h.example/x", ".h.example", True),
        ("https://a.h.example/x", "*.h.example", True),
        ("https://other-h.example/x", "h.example", False),
        ("https://h.example/x", "other,  h.example", True),
        ("https://h.example/x", "other h.example", True),
        ("https://h.example/x", "*", True),
        ("https://h.example/x", "h.example:443", True),
        ("https://h.example:8443/x", "h.example:443", False),
        ("https://h.example:8443/x", "h.example:8443", True),
        ("https://h.example/x", "", False),
        ("https://h.example/x", ".", False),
        ("https://10.1.2.3/x", "10.0.0.0/8", True),
        ("https://11.1.2.3/x", "10.0.0.0/8", False),
        ("https://10.1.2.3/x", "10.1.2.3", True),
        ("https://10.1.2.3:8080/x", "10.1.2.3:8080", True),
        ("https://10.1.2.3/x", "10.1.2.3/33", False),
        ("https://[fd00::1]/x", "fd00::/8", True),
        ("https://[fd00::1]:8443/x", "[fd00::1]:8443", True),
        ("https://[fd00::1]:8443/x", "[fd00::1]:443", False),
        ("https://[fd00::1]/x", "fd00::1", True),
        ("https://[fe80::1]/x", "fd00::/8", False),
        ("https://h.example/x", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_is_read_with_ports_and_blocks(url, exceptions, expected, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(url, Settings.load("https://h", "t")) is None) is expected


async def test_tls_proxy_is_trusted_as_verify_says(server, ca_file, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(DEPLOYMENT, tls=context) as proxy:
        for verify in (ca_file, False):
            with pytest.warns(InsecureConnectionWarning):
                session = AsyncSession("http://datarobot.example", "t", proxy=proxy.origin, verify=verify)
            async with session:
                assert (await session.deployments.get("d1")).id == "d1"
        with pytest.warns(InsecureConnectionWarning):
            session = AsyncSession("http://datarobot.example", "t", proxy=proxy.origin)
        async with session:
            with pytest.raises(CertificateError):
                await session.deployments.get("d1")
    assert {each.target for each in proxy.asked} == {"http://datarobot.example/api/v2/deployments/d1/"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 407 Who\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\njunk",
        b"what\r\n\r\n",
        b"x" * 70_000,
    ],
    ids=["nothing", "dropped", "refused", "junk", "no HTTP", "endless"],
)
async def test_proxy_that_opens_no_tunnel_is_told_and_wedges_nothing(answer, ca_file):
    with OddServer(says(answer)) as proxy:
        async with AsyncSession(
            "https://127.0.0.1:1", "t", proxy=proxy.origin, retry=0, verify=ca_file
        ) as session:
            for _ in range(3):
                with pytest.raises(TransportError):
                    await session.deployments.get("d1")
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n")
