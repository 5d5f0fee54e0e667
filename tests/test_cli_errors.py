"""What goes wrong: one line on stderr, an exit code, and a word on the mistakes that everyone makes first."""

from __future__ import annotations

import io
import re
import ssl
import sys

import pytest
import trustme

from datarobot_mlops_async import Hint
from datarobot_mlops_async.cli import _app, main
from datarobot_mlops_async.cli._messages import ExitCode, failure_of
from datarobot_mlops_async.errors import ConnectError, OperationTimeoutError
from tests.command_line import Here, there
from tests.scripted import Answer, ScriptedServer

LIST = ("deployments", "list")
TOKEN = "secret-token-that-nobody-may-see"


@pytest.fixture
def dr(capfd, monkeypatch):
    return Here(capfd, monkeypatch)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def test_no_token_says_where_to_put_one(dr):
    ran = dr(*LIST)
    assert ran.code == 3
    assert "DATAROBOT_API_TOKEN" in ran.error
    assert "--token-file" in ran.error
    assert "token=" not in ran.error


def test_expired_token_says_where_to_get_another(dr, datarobot_emulator, monkeypatch):
    monkeypatch.setenv("DATAROBOT_API_TOKEN", TOKEN)
    ran = dr(*LIST)
    assert ran.code == 3
    assert "401" in ran.error
    assert "expired" in ran.error
    assert TOKEN not in ran.err


def test_endpoint_of_another_server_is_doubted(dr, token_file):
    for answer in (
        Answer(status=404, body=b"<html>not found</html>"),
        Answer(status=405),
        Answer(body=b"<html>a page</html>"),
    ):
        with ScriptedServer(answer) as server:
            ran = dr("--endpoint", server.endpoint, "--token-file", token_file, "--retries", 0, *LIST)
        assert ran.code in {1, 4}
        assert "is this DataRobot?" in ran.error


def test_missing_thing_is_no_wrong_endpoint(dr, datarobot_emulator):
    ran = dr("deployments", "get", "nope")
    assert ran.code == 4
    assert "DataRobot?" not in ran.error


def test_endpoint_that_nobody_serves_says_what_to_check(dr, token_file, monkeypatch):
    where = ("--endpoint", "http://127.0.0.1:9", "--token-file", token_file, "--retries", 0)
    ran = dr(*where, *LIST)
    assert ran.code == 5
    assert "--proxy" in ran.error
    monkeypatch.setenv("HTTP_PROXY", "http://user:password@127.0.0.1:9")
    ran = dr(*where, *LIST)
    assert ran.code == 5
    assert "HTTP_PROXY" in ran.error
    assert "password" not in ran.error


def test_certificate_of_ones_own_authority_says_which_option_trusts_it(dr, token_file, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(Answer(body=b'{"data": [], "next": null}'), tls=context) as server:
        where = ("--endpoint", server.endpoint, "--token-file", token_file)
        refused = dr(*where, *LIST)
        assert refused.code == 5
        assert "--ca-file" in refused.error
        assert "verify=" not in refused.error
        assert dr(*where, "--ca-file", tmp_path / "ca.pem", *LIST).code == 0
        assert dr(*where, "--insecure", *LIST).code == 0


def test_client_certificate_is_shown_where_the_server_wants_one(dr, token_file, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = authority.issue_cert("me.example")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    with ScriptedServer(Answer(body=b'{"data": [], "next": null}'), tls=context) as server:
        where = ("--endpoint", server.endpoint, "--token-file", token_file, "--ca-file", tmp_path / "ca.pem")
        refused = dr(*where, "--retries", 0, *LIST)
        assert refused.code == 5
        assert "--cert FILE" in refused.error
        assert dr(*where, "--cert", tmp_path / "both.pem", *LIST).code == 0
        pair = ("--cert", tmp_path / "cert.pem", "--cert-key", tmp_path / "key.pem")
        assert dr(*where, *pair, *LIST).code == 0
    assert dr(*where, "--cert-key", tmp_path / "key.pem", *LIST).code == 2


def test_proxy_is_named_by_its_variable_only():
    failure = failure_of(
        ConnectError("GET http://x: cannot connect"), {"https_proxy": "http://me:secret@proxy"}
    )
    assert "https_proxy" in failure.message
    assert "secret" not in failure.message


def test_operation_that_takes_too_long_can_be_waited_for_again():
    failure = failure_of(
        OperationTimeoutError(
            "the operation at status/1/ was not over within 1 s; the server goes on with it: "
            "await it again, or resume it with session.operation(location)",
            operation=None,
        )
    )
    assert failure.code == ExitCode.OPERATION
    assert "dr-mlops operations wait" in failure.message


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["deploymets", "list"], "No such command"),
        (["deployments", "lst"], "--help"),
        (["deployments", "list", "--no-such"], "--no-such"),
        (["deployments", "get"], "Missing"),
        (["--timeout", "soon", "deployments", "list"], "--timeout"),
        (["--insecure", "--ca-file", "ca.pem", "deployments", "list"], "exclude"),
        (["--timeout", "0", "deployments", "list"], "timeout"),
    ],
)
def test_wrong_command_line_is_one_line(dr, datarobot_emulator, arguments, part):
    ran = dr(*arguments)
    assert ran.code == 2
    assert ran.error.startswith("dr-mlops: ")
    assert part in ran.error
    assert not datarobot_emulator.requests


@pytest.mark.parametrize("arguments", [[], ["deployments"]])
def test_no_command_shows_help(dr, arguments):
    ran = dr(*arguments)
    assert ran.code == 2
    assert "Usage: dr-mlops" in ran.out + ran.err


def test_error_from_the_server_cannot_steer_the_terminal(dr, token_file):
    body = b'{"message": "\\u001b[2Jno [bold]way[/bold]"}'
    with ScriptedServer(Answer(status=400, body=body)) as server:
        ran = dr("--endpoint", server.endpoint, "--token-file", token_file, *LIST)
    assert ran.code == 1
    assert "no [bold]way[/bold]" in ran.error
    assert "\x1b" not in ran.err


def test_token_comes_from_a_file_and_from_stdin(dr, datarobot_emulator, tmp_path, monkeypatch):
    endpoint, token = datarobot_emulator.endpoint, datarobot_emulator.token
    for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"):
        monkeypatch.delenv(name)
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    assert dr("--endpoint", endpoint, "--token-file", path, *LIST).code == 0
    assert dr("--endpoint", endpoint, "--token-file", "-", *LIST, stdin=f"{token}\n").code == 0


@pytest.mark.parametrize(
    ("content", "part"), [(None, "No such file"), (b"\n", "empty"), (b"\xff", "not text")]
)
def test_token_file_without_a_token_is_refused(dr, tmp_path, content, part):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    ran = dr("--endpoint", "http://127.0.0.1", "--token-file", path, *LIST)
    assert ran.code == 3
    assert part in ran.error


def test_environment_completes_one_half_but_gives_away_none_of_its_pair(
    dr, datarobot_emulator, token_file, monkeypatch
):
    endpoint, token = datarobot_emulator.endpoint, datarobot_emulator.token
    refused = dr("--endpoint", "http://127.0.0.1:9", *LIST)
    assert refused.code == 3
    assert "--token-file is not" in refused.error
    assert dr("--token-file", token_file, *LIST).code == 3

    monkeypatch.delenv("DATAROBOT_ENDPOINT")
    assert dr("--endpoint", endpoint, *LIST).code == 0
    monkeypatch.delenv("DATAROBOT_API_TOKEN")
    monkeypatch.setenv("DATAROBOT_ENDPOINT", endpoint)
    token_file.write_text(token)
    assert dr("--token-file", token_file, *LIST).code == 0


def test_configuration_file_is_read(dr, datarobot_emulator, tmp_path, monkeypatch):
    path = tmp_path / "drconfig.yaml"
    path.write_text(f"endpoint: {datarobot_emulator.endpoint}\ntoken: {datarobot_emulator.token}\n")
    for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"):
        monkeypatch.delenv(name)
    ran = dr("--config-file", path, "--timeout", 5, "--retries", 1, "--insecure", *LIST)
    assert (ran.code, ran.err) == (0, "")


def test_warning_is_one_line(dr, token_file):
    ran = dr("--endpoint", "http://service.invalid", "--token-file", token_file, "--retries", 0, *LIST)
    warning, error = ran.err.splitlines()
    assert warning.startswith("dr-mlops: warning: ")
    assert "unencrypted" in warning
    assert error.startswith("dr-mlops: GET ")


@pytest.mark.datarobot_emulator(faults=["GET /deployments/ status=503 retry-after=0 times=1"])
def test_log_shows_requests_and_no_token(dr, datarobot_emulator):
    ran = dr("-v", *LIST)
    assert ran.code == 0
    assert len(ran.lines) == 20
    assert "INFO GET " in ran.err
    assert "the server asks to wait 0 s" in ran.err
    assert [line.split("DEBUG ")[1][:20] for line in ran.err.splitlines() if "DEBUG" in line] == [
        "GET /deployments/ 50",
        "GET /deployments/ 20",
    ]
    assert datarobot_emulator.token not in ran.err


def test_strict_refuses_what_the_page_does_not_know(dr, datarobot_emulator):
    datarobot_emulator.dialect = "newer"
    assert dr(*LIST).code == 0
    assert dr("--strict", *LIST).code == 1


def test_bug_is_one_line_too_and_shows_its_place_when_asked(dr, datarobot_emulator, monkeypatch, capfd):
    def broken(*_arguments):
        raise KeyError("a bug")

    monkeypatch.setattr(sys.stdout, "write", broken)
    ran = dr(*LIST)
    assert ran.code == 1
    assert "internal error: KeyError" in ran.error
    assert _app.run(["-v", *LIST]) == 1
    assert "in broken" in capfd.readouterr().err


def test_version_is_shown(dr):
    assert dr("--version").out.startswith("dr-mlops 0.")


def test_missing_extra_names_what_to_install(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert said.getvalue() == "dr-mlops needs click: pip install 'datarobot-mlops-async[cli]'\n"


def test_program_ends_with_the_exit_code(datarobot_emulator):
    ran = there("deployments", "get", "nope")
    assert ran.code == 4
    assert ran.error.startswith("dr-mlops: GET ")


def test_other_file_at_the_destination_names_the_option_that_replaces_it(dr, datarobot_emulator, tmp_path):
    (tmp_path / "image").write_text("mine")
    ran = dr("pps-image", "download", tmp_path / "image")
    assert ran.code == 7
    assert "--overwrite replaces it" in ran.err
    assert "overwrite=True" not in ran.err


def test_dead_proxy_is_what_is_to_be_checked(dr, datarobot_emulator):
    with ScriptedServer() as nobody:
        proxy = f"http://127.0.0.1:{nobody.port}"
    ran = dr("--proxy", proxy, "--retries", 0, *LIST)
    assert ran.code == 5
    assert "check --proxy" in ran.error
    assert "set HTTPS_PROXY" not in ran.error


def test_https_to_a_port_without_it_says_so_at_once(dr, token_file):
    with ScriptedServer(Answer(status=400)) as server:
        endpoint = server.endpoint.replace("http:", "https:")
        ran = dr("--endpoint", endpoint, "--token-file", token_file, *LIST)
    assert ran.code == 5
    assert "does not speak TLS there: use http://" in ran.error


def test_certificate_of_another_name_does_not_advise_another_authority(dr, token_file, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        where = ("--endpoint", server.endpoint, "--token-file", token_file, "--ca-file", tmp_path / "ca.pem")
        ran = dr(*where, *LIST)
    assert ran.code == 5
    assert "use a host name that the certificate has" in ran.error
    assert "--ca-file" not in ran.error


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not there"), ("no certificate", "is not a usable CA file")]
)
def test_bad_ca_file_is_named_and_no_setting_of_another_file(
    dr, datarobot_emulator, tmp_path, content, words
):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    endpoint = datarobot_emulator.endpoint.replace("http:", "https:")
    (tmp_path / "token").write_text("token")
    ran = dr("--endpoint", endpoint, "--token-file", tmp_path / "token", "--ca-file", path, *LIST)
    assert ran.code == 3
    assert f"{path} {words}" in ran.error
    assert "ssl_verify" not in ran.error


@pytest.mark.parametrize("hint", Hint)
def test_every_hint_is_worded_for_the_command_line(hint):
    said = failure_of(ConnectError("GET http://x: cannot connect", hint=hint), {}).message
    assert said.startswith("GET http://x: cannot connect; ")
    # No argument of Python's.
    assert not re.search(r"\b[a-z_]+=|session\.|await ", said), said


def test_error_of_the_system_is_words_and_no_number():
    assert failure_of(PermissionError(13, "Permission denied", "/x/y")).message == "/x/y: Permission denied"
    assert failure_of(OSError(28, "No space left on device")).message == "No space left on device"


def test_errors_that_came_together_are_told_by_the_first():
    inner = ExceptionGroup("", [PermissionError(13, "Permission denied", "/x/y"), KeyError("other")])
    assert failure_of(ExceptionGroup("", [inner])).message == "/x/y: Permission denied"


def test_token_comes_from_a_command(dr, datarobot_emulator, monkeypatch):
    endpoint, token = datarobot_emulator.endpoint, datarobot_emulator.token
    for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"):
        monkeypatch.delenv(name)
    assert dr("--endpoint", endpoint, "--token-command", f"printf '%s\\n' {token}", *LIST).code == 0


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("no-such-program read", "the token command cannot be run: No such file"),
        ("false", "the token command ended with status 1"),
        ("true", "the token command printed nothing"),
    ],
)
def test_command_that_gives_no_token_is_told(dr, command, part):
    ran = dr("--endpoint", "http://127.0.0.1:9", "--token-command", command, "--retries", 0, *LIST)
    assert ran.code == 3
    assert part in ran.error


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--token-command", "'"), "No closing quotation"),
        (("--token-command", " "), "--token-command is empty"),
        (("--header", "no colon"), "is not 'NAME: VALUE'"),
    ],
)
def test_global_option_that_makes_no_sense_is_refused(dr, options, part):
    ran = dr("--endpoint", "http://127.0.0.1:9", *options, *LIST)
    assert ran.code == 2
    assert part in ran.error


def test_headers_reach_the_server(dr, datarobot_emulator):
    assert dr("--header", "X-Gateway: a:b", "--header", "X-Other:c", *LIST).code == 0
    headers = {name.lower(): value for name, value in datarobot_emulator.requests[-1].headers.items()}
    assert (headers["x-gateway"], headers["x-other"]) == ("a:b", "c")


def test_token_command_is_asked_again_when_the_server_refuses(dr, datarobot_emulator, monkeypatch, tmp_path):
    endpoint, token = datarobot_emulator.endpoint, datarobot_emulator.token
    for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"):
        monkeypatch.delenv(name)
    script = tmp_path / "vault"
    script.write_text(
        f"#!/bin/sh\nif [ -e {tmp_path}/asked ]; then echo {token}; else echo old; fi\ntouch {tmp_path}/asked\n"
    )
    script.chmod(0o755)
    assert dr("--endpoint", endpoint, "--token-command", script, *LIST).code == 0


def test_one_source_of_the_token_is_enough(dr, token_file):
    ran = dr("--token-file", token_file, "--token-command", "true", *LIST)
    assert ran.code == 2
    assert "exclude" in ran.error
