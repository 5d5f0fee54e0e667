from __future__ import annotations

import os
import pickle
import ssl
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from datarobot_mlops_async import AsyncSession, Outcome
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async.emulator import Emulator
from tests.scripted import Answer, ScriptedServer

TOKEN = "c4n4ry-t0k3n-0f-th3-p4r3nt"

# A worker as pools make them: an interpreter of its own that gets its work as a pickle.
WORKER = """
import pickle, sys, anyio
from datarobot_mlops_async import AsyncSession

async def main():
    settings, ids = pickle.load(sys.stdin.buffer)
    async with AsyncSession.from_settings(settings) as session:
        return await session.bulk(session.deployments.begin_deactivate, ids)

try:
    result = anyio.run(main)
except Exception as error:
    result = error
sys.stdout.buffer.write(pickle.dumps(result))
"""


@pytest.fixture
def emulator():
    with Emulator(deployments=20, token=TOKEN, operation_seconds=0.0, image_size=None) as running:
        yield running


@pytest.fixture(autouse=True)
def _environment_without_settings(monkeypatch, tmp_path):
    for name in ("DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN", "DATAROBOT_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def run_worker(settings, ids=(), **environment):
    """Return what the worker returned or raised, and what was sent to it."""
    sent = pickle.dumps((settings, list(ids)))
    worker = subprocess.run(
        [sys.executable, "-W", "error", "-c", WORKER],
        input=sent,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        check=True,
    )
    return pickle.loads(worker.stdout), sent


def settings_for(emulator):
    return AsyncSession(emulator.endpoint, TOKEN).settings


def test_worker_takes_its_token_from_its_own_environment(emulator):
    settings = settings_for(emulator)

    async def active():
        async with AsyncSession(emulator.endpoint, TOKEN) as session:
            return [each.id async for each in session.deployments.list(status="active", limit=3)]

    ids = anyio.run(active)
    outcomes, sent = run_worker(
        settings, ids, DATAROBOT_ENDPOINT=emulator.endpoint, DATAROBOT_API_TOKEN=TOKEN
    )
    assert TOKEN.encode() not in sent
    # Outcomes travel back as plain data, results and all.
    assert all(isinstance(each, Outcome) for each in outcomes)
    assert [(each.item, each.state, each.value.status) for each in outcomes] == [
        (id_, "succeeded", "inactive") for id_ in ids
    ]


def test_worker_takes_its_token_from_its_own_configuration_file(emulator):
    directory = Path.home() / ".config" / "datarobot"
    directory.mkdir(parents=True)
    (directory / "drconfig.yaml").write_text(f"endpoint: {emulator.endpoint}\ntoken: {TOKEN}\n")
    outcomes, _ = run_worker(settings_for(emulator))
    assert outcomes == []


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "no endpoint and token found"),
        (
            {"DATAROBOT_ENDPOINT": "https://elsewhere.example", "DATAROBOT_API_TOKEN": "x"},
            "for https://elsewhere.example/api/v2: set DATAROBOT_ENDPOINT and DATAROBOT_API_TOKEN in the worker",
        ),
    ],
)
def test_worker_without_a_token_for_the_same_service_says_what_to_set(emulator, environment, message):
    error, _ = run_worker(settings_for(emulator), **environment)
    assert type(error).__name__ == "ConfigError"
    assert message in str(error)


def test_token_travels_only_when_asked(emulator):
    outcomes, sent = run_worker(settings_for(emulator).with_token_pickled())
    assert outcomes == []
    assert TOKEN.encode() in sent


def test_settings_are_equal_after_the_journey_but_for_the_token(emulator):
    settings = settings_for(emulator)
    travelled = pickle.loads(pickle.dumps(settings))
    assert travelled.token is None
    assert travelled.endpoint == settings.endpoint
    assert pickle.loads(pickle.dumps(settings.with_token_pickled())) == settings
    assert TOKEN not in repr(settings)


def test_proxy_travels_with_the_settings(emulator):
    with ScriptedServer(Answer(status=502, body=b"{}")) as proxy:
        settings = AsyncSession(emulator.endpoint, TOKEN, proxy=proxy.origin).settings
        travelled = pickle.loads(pickle.dumps(settings))
        assert travelled.proxy == proxy.origin
        here = {"DATAROBOT_ENDPOINT": emulator.endpoint, "DATAROBOT_API_TOKEN": TOKEN}
        outcomes, _ = run_worker(settings, ["d1"], **here)
        assert [each.state for each in outcomes] == ["unknown"]
    assert proxy.asked


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"proxy": "http://user:p4ssw0rd@127.0.0.1:9"}, "proxy"),
        ({"cert": ("a.pem", "b.pem", "p4ssw0rd")}, "cert"),
    ],
)
def test_settings_that_lost_a_password_never_connect_without_it(emulator, options, what):
    settings = Settings.load(emulator.endpoint, TOKEN, **options)
    here = {"DATAROBOT_ENDPOINT": emulator.endpoint, "DATAROBOT_API_TOKEN": TOKEN}
    error, sent = run_worker(settings, **here)
    assert b"p4ssw0rd" not in sent
    assert f"password of their {what}" in str(error)
    assert pickle.loads(pickle.dumps(settings.with_token_pickled())) == settings


def test_settings_with_a_context_say_that_they_cannot_travel():
    settings = Settings.load("https://h", TOKEN, verify=ssl.create_default_context())
    with pytest.raises(TypeError, match="CA file"):
        pickle.dumps(settings)
