from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import AsyncSession, Settings
from datarobot_mlops_async._config import ascii_host, normalize_endpoint
from datarobot_mlops_async.errors import ConfigError, InsecureConnectionWarning, MLOpsError

TOKEN = "c4n4ry-t0k3n"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """No test reads the settings of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ENDPOINT", "API_TOKEN", "SSL_VERIFY", "MAX_RETRIES", "CONFIG_FILE"):
        monkeypatch.delenv(f"DATAROBOT_{name}", raising=False)


def write_default_file(tmp_path, text):
    path = tmp_path / ".config" / "datarobot" / "drconfig.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("pasted", "endpoint"),
    [
        ("https://app.datarobot.com", "https://app.datarobot.com/api/v2"),
        ("https://app.datarobot.com/", "https://app.datarobot.com/api/v2"),
        ("https://app.datarobot.com/api/v2", "https://app.datarobot.com/api/v2"),
        (" https://app.datarobot.com/api/v2/ ", "https://app.datarobot.com/api/v2"),
        ("https://corp.example/datarobot/api/v2", "https://corp.example/datarobot/api/v2"),
        ("https://corp.example/datarobot/", "https://corp.example/datarobot/api/v2"),
        ("HTTPS://Corp.Example:443/x", "https://corp.example/x/api/v2"),
        ("https://corp.example:8443", "https://corp.example:8443/api/v2"),
        ("http://[::1]:8080/api/v2", "http://[::1]:8080/api/v2"),
    ],
)
def test_endpoint_is_normalised_in_every_pasted_form(pasted, endpoint):
    assert normalize_endpoint(pasted, "here") == endpoint
    assert normalize_endpoint(endpoint, "here") == endpoint


@pytest.mark.parametrize(
    "pasted",
    [
        "app.datarobot.com",
        "ftp://host/api/v2",
        "https://",
        "https://h:port",
        "https://h:99999",
        "https://[::1",
        "https://user:c4n4ry@host",
        "https://host/?token=c4n4ry",
        "https://host/#c4n4ry",
        "https://host/a b",
    ],
)
def test_endpoint_is_refused_without_being_shown(pasted):
    with pytest.raises(ConfigError, match="here") as caught:
        normalize_endpoint(pasted, "here")
    assert "c4n4ry" not in str(caught.value)


@given(st.text(max_size=60))
def test_endpoint_of_any_text_gives_a_url_or_our_error(text):
    for candidate in (text, f"https://{text}", f"https://host/{text}"):
        with contextlib.suppress(ConfigError):
            assert normalize_endpoint(candidate, "x").endswith("/api/v2")


def test_arguments_come_before_all_other_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://env.example")
    monkeypatch.setenv("DATAROBOT_API_TOKEN", "env")
    settings = Settings.load("https://arg.example", "arg")
    assert (settings.endpoint, settings.token, settings.source) == (
        "https://arg.example/api/v2",
        "arg",
        "arguments",
    )


def test_named_file_comes_before_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://env.example")
    monkeypatch.setenv("DATAROBOT_API_TOKEN", "env")
    named = tmp_path / "named.yaml"
    named.write_text("endpoint: https://named.example\ntoken: named\ntoken_type: Token\nconnect_timeout: 3\n")
    other = tmp_path / "other.yaml"
    other.write_text("endpoint: https://other.example\ntoken: other\nmax_retries: 7\n")
    monkeypatch.setenv("DATAROBOT_CONFIG_FILE", str(other))
    settings = Settings.load(config_file=named)
    assert (settings.endpoint, settings.token, settings.token_type) == (
        "https://named.example/api/v2",
        "named",
        "Token",
    )
    assert (settings.connect_timeout, settings.max_retries) == (3.0, 7)
    assert Settings.load().token == "other"


def test_environment_comes_before_default_file(tmp_path, monkeypatch):
    write_default_file(tmp_path, "endpoint: https://file.example\ntoken: file\nssl_verify: false\n")
    assert Settings.load().token == "file"
    assert Settings.load().verify is False
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://env.example")
    monkeypatch.setenv("DATAROBOT_API_TOKEN", "env")
    monkeypatch.setenv("DATAROBOT_MAX_RETRIES", "2")
    settings = Settings.load()
    # Another endpoint's "do not check certificates" is not taken over.
    assert (settings.token, settings.verify, settings.max_retries) == ("env", True, 2)


def test_file_without_credentials_lends_its_other_settings(tmp_path, monkeypatch):
    named = tmp_path / "named.yaml"
    named.write_text("connect_timeout: 4\nssl_verify: false\n")
    settings = Settings.load("https://h", "t", config_file=named)
    assert (settings.connect_timeout, settings.verify) == (4.0, True)


@pytest.mark.parametrize(("text", "verify"), [("true", True), ("0", False), ("No", False), ("1", True)])
def test_ssl_verify_is_read_from_the_environment(text, verify, monkeypatch):
    monkeypatch.setenv("DATAROBOT_SSL_VERIFY", text)
    assert Settings.load("https://h", "t").verify is verify
    assert Settings.load("https://h", "t", verify=True).verify is True


def test_ssl_verify_takes_a_ca_file(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("")
    assert Settings.load("https://h", "t", verify=path).verify == str(path)
    with pytest.raises(ConfigError, match="not there"):
        Settings.load("https://h", "t", verify="/nowhere/ca.pem")
    with pytest.raises(ConfigError, match="CA file"):
        Settings.load("https://h", "t", verify=3)
    for path in ("x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match="CA file"):
            Settings.load("https://h", "t", verify=path)


def test_home_of_a_user_who_is_not_there_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="~nobody-here/ca.pem is not there"):
        Settings.load("https://h", "t", verify="~nobody-here/ca.pem")
    with pytest.raises(ConfigError, match="~nobody-here/drconfig.yaml"):
        Settings.load(config_file="~nobody-here/drconfig.yaml")


def test_nothing_found_names_every_source(tmp_path):
    with pytest.raises(ConfigError, match=r"arguments, the environment: set DATAROBOT_ENDPOINT"):
        Settings.load()


@pytest.mark.parametrize(("endpoint", "token"), [("https://h", None), (None, TOKEN)])
def test_half_of_the_credentials_is_refused_even_if_another_source_has_the_rest(endpoint, token, monkeypatch):
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://env.example")
    monkeypatch.setenv("DATAROBOT_API_TOKEN", "env")
    with pytest.raises(ConfigError, match="one source") as caught:
        Settings.load(endpoint, token)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["tok\nen", "tok\r", "tok en", "\x00", "tökén", "to\x7fken"])
def test_unsafe_token_is_refused_without_being_shown(token):
    with pytest.raises(ConfigError, match="not shown") as caught:
        Settings.load("https://h", token)
    assert token not in str(caught.value)
    assert repr(token)[1:-1] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid YAML"),
        (f"token: '{TOKEN}", "not valid YAML"),
        ("just text", "must hold keys"),
        ("endpoint: 3\ntoken: x", "must be a string"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: soon", "connect_timeout must be a number"),
        ("endpoint: https://h\ntoken: x\nmax_retries: -1", "at least 0"),
        ("endpoint: https://h\ntoken: x\nmax_retries: .inf", "max_retries must be a whole number"),
        ("endpoint: https://h\ntoken: x\nmax_retries: 2.9", "max_retries must be a whole number"),
        ("endpoint: https://h\ntoken: x\nmax_retries: true", "max_retries must be a whole number"),
        ("endpoint: https://h\ntoken: x\nmax_retries: [2]", "max_retries must be a whole number"),
        ("endpoint: https://h\ntoken: x\nmax_retries: 1000000000", "at most 1000"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: .inf", "connect_timeout must be at least"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: 1.0e+300", "connect_timeout must be at least"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: 1e99999", "connect_timeout must be at least"),
        (f"endpoint: https://h\ntoken: x\nconnect_timeout: 1{'0' * 400}", "connect_timeout must be a number"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: true", "connect_timeout must be a number"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: [1]", "connect_timeout must be a number"),
        ("endpoint: https://h\ntoken: x\ntoken_type: [Bearer]", "token_type must be a string"),
        ("endpoint: https://h\ntoken: x\ntoken_type: true", "token_type must be a string"),
        ("endpoint: https://h\ntoken: x\nconnect_timeout: .nan", "at least"),
        ("!!python/object/apply:os.system [id]", "not valid YAML"),
        ("a: &a [*a, *a]", "no endpoint"),
    ],
)
def test_broken_file_is_a_config_error_that_names_it(text, message, tmp_path):
    path = write_default_file(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        Settings.load()
    assert str(path) in str(caught.value) or "must be" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in str(caught.value.__cause__)


@given(st.binary(max_size=80))
def test_any_file_gives_settings_or_our_error(content):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "x.yaml")
        path.write_bytes(content)
        with contextlib.suppress(MLOpsError):
            Settings.load(config_file=path, environ={})


def test_missing_named_file_is_a_config_error(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read"):
        Settings.load(config_file=tmp_path / "no.yaml")
    monkeypatch.setenv("DATAROBOT_CONFIG_FILE", str(tmp_path / "no.yaml"))
    with pytest.raises(ConfigError, match="DATAROBOT_CONFIG_FILE"):
        Settings.load("https://h", "t")


def test_proxy_must_be_a_proxy_url():
    assert Settings.load("https://h", "t", proxy="http://u:c4n4ry@p:1").proxy
    with pytest.raises(ConfigError) as caught:
        Settings.load("https://h", "t", proxy="c4n4ry")
    assert "c4n4ry" not in str(caught.value)


def test_settings_never_show_token_or_proxy():
    settings = Settings.load("https://h", TOKEN, proxy=f"http://u:{TOKEN}@p:1")
    assert TOKEN not in repr(settings)
    assert TOKEN.encode() not in pickle.dumps(settings)
    assert settings.authorization == f"Bearer {TOKEN}"


def test_settings_pickle_without_token_and_take_the_workers_own(monkeypatch):
    settings = Settings.load("https://h", TOKEN)
    travelled = pickle.loads(pickle.dumps(settings))
    assert (travelled.token, travelled.endpoint) == (None, settings.endpoint)
    with pytest.raises(ConfigError, match="no endpoint"):
        travelled.with_token()
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://elsewhere")
    monkeypatch.setenv("DATAROBOT_API_TOKEN", "other")
    with pytest.raises(ConfigError, match="same service"):
        AsyncSession.from_settings(travelled)
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://h/api/v2/")
    assert travelled.with_token().token == "other"


def test_settings_pickle_with_token_when_asked():
    settings = Settings.load("https://h", TOKEN).with_token_pickled()
    travelled = pickle.loads(pickle.dumps(settings))
    assert travelled.with_token().token == TOKEN
    assert travelled == settings
    assert TOKEN not in repr(settings)


def test_plain_http_warns_unless_it_stays_on_this_machine():
    with pytest.warns(InsecureConnectionWarning, match="unencrypted") as caught:
        AsyncSession("http://datarobot.example", "t")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for host in ("localhost", "127.0.0.1", "[::1]", "x.localhost"):
            AsyncSession(f"http://{host}:1", "t")
        AsyncSession("https://datarobot.example", "t")


def test_reading_no_file_does_not_import_yaml():
    code = (
        "import sys; from datarobot_mlops_async import Settings; Settings.load('https://h', 't');"
        "sys.exit('yaml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("host", "ascii_form"),
    [
        ("Datarobot.Example", "datarobot.example"),
        ("é.example", "xn--9ca.example"),
        ("fe80::1", "fe80::1"),
        ("v1.a:b", None),
        ("a..b", None),
        ("\u200b", None),
        ("a" * 64, None),
        ("a." * 127 + "b", None),
        ("", None),
    ],
)
def test_host_goes_out_in_ascii_or_not_at_all(host, ascii_form):
    assert ascii_host(host) == ascii_form
