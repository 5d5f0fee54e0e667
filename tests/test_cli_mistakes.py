"""The mistakes that newcomers make: what the screen says points the right way, however wide it is."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.command_line import Here
from tests.scripted import ScriptedServer

LIST = ("deployments", "list")
SCREENS = [{"terminal": True, "columns": 40}, {"terminal": True, "columns": 80}, {}]


@pytest.fixture(params=SCREENS, ids=["terminal-40", "terminal-80", "pipe"])
def said(request, capfd, monkeypatch, tmp_path):
    """Run a command line that is refused, on some screen, and return its code and the line that says why."""
    token = tmp_path / "token"
    token.write_text("a-token")

    def run(*arguments, endpoint=None):
        where = () if endpoint is None else ("--endpoint", endpoint, "--token-file", token)
        ran = Here(capfd, monkeypatch)(*where, *arguments, **request.param)
        # It is told at once: nobody waits for another try.
        assert "retrying" not in ran.raw
        return ran.code, ran.err.splitlines()[-1]

    return run


def tls_server(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert(name).configure_cert(context)
    return ScriptedServer(tls=context), authority


def test_dead_proxy_is_to_be_checked_and_not_to_be_set(said):
    code, line = said(
        "--proxy", "http://127.0.0.1:9", "--retries", 0, *LIST, endpoint="http://service.example"
    )
    assert code == 5
    assert "check --proxy, or leave it out" in line
    assert "use --proxy" not in line


def test_https_to_a_port_without_tls_names_the_scheme_to_use(said):
    with ScriptedServer() as server:
        code, line = said(*LIST, endpoint=server.endpoint.replace("http:", "https:"))
    assert code == 5
    assert "use http://" in line


def test_http_to_a_port_with_tls_names_the_scheme_to_use(said):
    server, _ = tls_server("127.0.0.1")
    with server:
        code, line = said(*LIST, endpoint=server.endpoint.replace("https:", "http:"))
    assert code == 5
    assert "use https://" in line
    assert "disconnected" not in line


def test_name_that_a_certificate_lacks_is_no_question_of_authorities(said, tmp_path):
    server, authority = tls_server("another.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with server:
        code, line = said("--ca-file", tmp_path / "ca.pem", *LIST, endpoint=server.endpoint)
    assert code == 5
    assert "use a host name that the certificate has" in line
    assert "--ca-file" not in line


def test_file_of_authorities_that_has_none_is_named(said, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    code, line = said("--ca-file", tmp_path / "ca.pem", *LIST, endpoint="https://service.example")
    assert code == 3
    assert "ca.pem" in line
    assert "ssl_verify" not in line


def test_file_that_is_there_is_replaced_by_an_option(said, datarobot_emulator, tmp_path):
    (tmp_path / "image").write_text("mine")
    code, line = said("pps-image", "download", tmp_path / "image")
    assert code == 7
    assert "--overwrite replaces it" in line
    assert "overwrite=True" not in line
