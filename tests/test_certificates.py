"""Whom a TLS connection trusts and what it shows, with chains of certificates' own: API calls and downloads."""

from __future__ import annotations

import datetime
import os
import ssl

import pytest
import trustme

from datarobot_mlops_async import AsyncSession, Hint
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async.errors import CertificateError, ConfigError, ConnectError, ReadError
from tests.conftest import BACKENDS
from tests.scripted import Answer, ScriptedServer
from tests.servers.odd import OddServer, says

pytestmark = pytest.mark.anyio
DEPLOYMENT = Answer(body=b'{"id": "d1"}')


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Two transports; uvloop has asyncio's."""
    return BACKENDS[request.param]


class Chain:
    """Files of an authority, and servers that have its certificates."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = trustme.CA()
        self.ca_file = self.write("ca.pem", self.authority.cert_pem)

    def write(self, name, *blobs):
        path = self.directory / name
        for number, blob in enumerate(blobs):
            blob.write_to_path(path, append=number > 0)
        return path

    def server(self, issued=None, *answers, client_authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (issued or self.authority.issue_cert("127.0.0.1")).configure_cert(context)
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            client_authority.configure_trust(context)
        return ScriptedServer(*(answers or [DEPLOYMENT]), tls=context)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return Chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return Chain(tmp_path_factory.mktemp("other"))


@pytest.fixture(autouse=True)
def _no_foreign_authorities(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


async def call(server, **options):
    async with AsyncSession(server.endpoint, "t", **options) as session:
        return (await session.deployments.get("d1")).id


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_authority_named_by_the_environment_is_trusted(name, chain, monkeypatch):
    monkeypatch.setenv(name, str(chain.ca_file))
    with chain.server() as server:
        assert await call(server) == "d1"
    monkeypatch.setenv(name, str(chain.directory / "none.pem"))
    with chain.server() as server, pytest.raises(ConfigError, match=name):
        await call(server)


async def test_context_of_the_callers_own_decides(chain):
    context = ssl.create_default_context(cafile=chain.ca_file)
    with chain.server() as server:
        assert await call(server, verify=context) == "d1"
        with pytest.raises(CertificateError):
            await call(server, verify=ssl.create_default_context())


async def test_directory_of_authorities_is_trusted(chain, tmp_path):
    # OpenSSL finds an authority by the hash of its name.
    canonical = tmp_path / f"{_openssl_hash(chain.ca_file)}.0"
    canonical.write_bytes(chain.ca_file.read_bytes())
    with chain.server() as server:
        assert await call(server, verify=tmp_path) == "d1"


def _openssl_hash(path):
    import subprocess

    return subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", path], check=True, capture_output=True, text=True
    ).stdout.strip()


async def test_missing_intermediate_is_not_trusted(chain):
    intermediate = chain.authority.create_child_ca()
    issued = intermediate.issue_cert("127.0.0.1")
    with chain.server(issued) as server:
        assert await call(server, verify=chain.ca_file) == "d1"
    # A server that forgets its intermediate.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = chain.write("alone.pem", issued.private_key_pem, issued.cert_chain_pems[0])
    context.load_cert_chain(path)
    with ScriptedServer(DEPLOYMENT, tls=context) as server, pytest.raises(CertificateError) as caught:
        await call(server, verify=chain.ca_file)
    assert caught.value.hint is Hint.TRUST_AUTHORITY


async def test_expired_certificate_is_told(chain):
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issued = chain.authority.issue_cert("127.0.0.1", not_after=yesterday)
    with chain.server(issued) as server, pytest.raises(CertificateError, match="expired"):
        await call(server, verify=chain.ca_file)


async def test_certificate_of_another_host_asks_for_its_name(chain):
    issued = chain.authority.issue_cert("datarobot.example")
    with chain.server(issued) as server, pytest.raises(CertificateError) as caught:
        await call(server, verify=chain.ca_file)
    assert caught.value.hint is Hint.USE_CERTIFIED_NAME
    assert caught.value.attempts == 1


async def test_client_certificate_is_shown_to_the_endpoint(chain, other):
    client = other.authority.issue_cert("client.example")
    both = other.write("client.pem", client.private_key_pem, *client.cert_chain_pems)
    key = other.write("key.pem", client.private_key_pem)
    alone = other.write("certificate.pem", *client.cert_chain_pems)
    with chain.server(client_authority=other.authority) as server:
        assert await call(server, verify=chain.ca_file, cert=both) == "d1"
        assert await call(server, verify=chain.ca_file, cert=(str(alone), str(key))) == "d1"
        asked = len(server.asked)
        with pytest.raises(CertificateError, match="client's certificate") as caught:
            await call(server, verify=chain.ca_file)
        assert caught.value.hint is Hint.GIVE_CERTIFICATE
        assert caught.value.attempts == 1
        assert len(server.asked) == asked


async def test_key_with_a_password_is_read(chain, other, tmp_path):
    from cryptography.hazmat.primitives import serialization

    client = other.authority.issue_cert("client.example")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"s3cr3t"),
    )
    (tmp_path / "key.pem").write_bytes(locked)
    alone = other.write("certificate.pem", *client.cert_chain_pems)
    cert = (str(alone), str(tmp_path / "key.pem"), "s3cr3t")
    with chain.server(client_authority=other.authority) as server:
        assert await call(server, verify=chain.ca_file, cert=cert) == "d1"
    assert "s3cr3t" not in repr(Settings.load("https://h", "t", cert=cert))
    # Nobody is asked at the terminal.
    for wrong in (cert[:2], (*cert[:2], "w0rng")):
        with pytest.raises(ConfigError, match="cannot be used") as caught:
            AsyncSession("https://h", "t", cert=wrong)
        assert "w0rng" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_key_is_a_config_error(other):
    client = other.authority.issue_cert("client.example")
    path = other.write("locked.pem", client.private_key_pem, *client.cert_chain_pems)
    path.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        AsyncSession("https://h", "t", cert=path)


@pytest.mark.parametrize("cert", [(), (1,), 5, ("a", "b", "c", "d")])
def test_what_is_no_certificate_is_refused(cert):
    with pytest.raises(ConfigError, match="client certificate"):
        Settings.load("https://h", "t", cert=cert)
    with pytest.raises(ConfigError, match="context"):
        Settings.load("https://h", "t", cert="x.pem", verify=ssl.create_default_context())


def test_missing_certificate_is_a_config_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match="none.pem"):
        AsyncSession("https://h", "t", cert=tmp_path / "none.pem")


async def test_certificate_of_the_configuration_file_is_shown(chain, other, tmp_path):
    client = other.authority.issue_cert("client.example")
    both = other.write("client.pem", client.private_key_pem, *client.cert_chain_pems)
    with chain.server(client_authority=other.authority) as server:
        config = tmp_path / "drconfig.yaml"
        config.write_text(
            f"endpoint: {server.endpoint}\ntoken: t\nssl_verify: {chain.ca_file}\nssl_cert: {both}\n"
        )
        async with AsyncSession(config_file=config) as session:
            assert (await session.deployments.get("d1")).id == "d1"


@pytest.mark.parametrize("as_context", [False, True], ids=["file", "context"])
async def test_authority_of_the_endpoint_is_added_for_storage(
    as_context, chain, other, tmp_path, monkeypatch
):
    """The endpoint has a private authority, and the image lies where the system's authorities are trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(other.ca_file))
    image = Answer(body=b"PK\x03\x04" + b"x" * 4996)
    verify = ssl.create_default_context(cafile=chain.ca_file) if as_context else chain.ca_file
    for storage_chain in (other, chain):
        with storage_chain.server(None, image) as storage:
            moved = Answer(status=302, headers={"Location": f"{storage.origin}/image?sig=x"}, body=b"")
            with chain.server(None, moved) as server:
                async with AsyncSession(server.endpoint, "t", verify=verify) as session:
                    artifact = session.deployments.scoring_code("d1", source_code=True)
                    result = await (await artifact if hasattr(artifact, "__await__") else artifact).download(
                        tmp_path / f"{id(storage_chain)}"
                    )
            assert result.size == 5000
    # The system's authorities are not the endpoint's.
    with other.server() as server, pytest.raises(CertificateError):
        await call(server, verify=verify)


async def test_http_to_a_tls_port_says_which_scheme_at_once(chain):
    with chain.server() as server, pytest.raises(ConnectError) as caught:
        async with AsyncSession(server.endpoint.replace("https:", "http:"), "t") as session:
            await session.deployments.get("d1")
    assert caught.value.hint is Hint.USE_HTTPS
    assert caught.value.attempts == 1


async def test_https_to_a_plain_port_says_which_scheme_at_once():
    with ScriptedServer(DEPLOYMENT) as server, pytest.raises(ConnectError) as caught:
        async with AsyncSession(server.endpoint.replace("http:", "https:"), "t", verify=False) as session:
            await session.deployments.get("d1")
    assert caught.value.hint is Hint.USE_HTTP
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "page",
    [
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ],
    ids=["nginx", "Go", "Apache"],
)
async def test_page_of_a_tls_server_for_plain_requests_is_understood(page):
    with ScriptedServer(Answer(status=400, body=page)) as server, pytest.raises(ConnectError) as caught:
        await call(server)
    assert caught.value.hint is Hint.USE_HTTPS
    assert len(server.asked) == 1


async def test_server_that_hangs_up_on_everybody_is_no_wrong_scheme():
    with OddServer(says(b"")) as server, pytest.raises(ReadError) as caught:
        async with AsyncSession(server.origin, "t", retry=0) as session:
            await session.deployments.get("d1")
    assert caught.value.hint is None
