from __future__ import annotations

import ssl

import pytest
import trustme

from datarobot_mlops_async import AsyncSession, Settings
from datarobot_mlops_async._transport import proxy_for, ssl_context
from datarobot_mlops_async._transport._httpx import TransportPool
from datarobot_mlops_async.errors import CertificateError, ConfigError, InsecureConnectionWarning
from tests.scripted import Answer, ScriptedServer

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


def test_tls_context_is_made_once():
    assert ssl_context(True) is ssl_context(True)
    assert ssl_context(True) is not ssl_context(False)


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


def test_socks_proxy_without_its_package_says_what_to_install():
    with pytest.raises(ConfigError, match=r"httpx\[socks\]"):
        AsyncSession("https://h", "t", proxy="socks5://p:1")


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
