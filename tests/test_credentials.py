"""Tokens that change."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from datarobot_mlops_async import AsyncSession, PollPolicy, Settings
from datarobot_mlops_async._api import Credentials
from datarobot_mlops_async._config import TokenCommand, TokenFile
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async.errors import (
    APIStatusError,
    AuthenticationError,
    ConfigError,
    StalledError,
    TimeoutError,
)
from tests.polled import quickly
from tests.scripted import Answer, ScriptedServer
from tests.waiting import cancelled_when, wait_until

pytestmark = pytest.mark.anyio
DEPLOYMENT = Answer(body=b'{"id": "d1"}')


class Revoking:
    """A server that takes only the tokens which the test has not revoked."""

    def __init__(self, answer=DEPLOYMENT):
        self.answer = answer
        self.revoked = set()

    def __call__(self, asked):
        if asked.headers["authorization"].removeprefix("Bearer ") in self.revoked:
            return Answer(status=401, body=b"refused: " + asked.headers["authorization"].encode())
        return self.answer(asked) if callable(self.answer) else self.answer


class Source:
    """Gives numbered tokens, plain or with an expiry."""

    def __init__(self, expires=None):
        self.expires = expires
        self.given = 0

    def __call__(self):
        self.given += 1
        token = f"t0k3n-number-{self.given}"
        return token if self.expires is None else (token, self.expires())


def tokens_of(server):
    return [asked.headers["authorization"].removeprefix("Bearer t0k3n-number-") for asked in server.asked]


async def test_token_of_a_callable_is_asked_once_for_all_who_wait():
    source = Source()

    async def slowly():
        await anyio.sleep(0.01)
        return source()

    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, slowly) as session, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(session.deployments.get, "d1")
    assert source.given == 1
    assert tokens_of(server) == ["1"] * 20


async def test_refused_token_is_renewed_once_for_all_and_the_requests_repeated():
    source, revoking = Source(), Revoking()
    with ScriptedServer(revoking) as server:
        async with AsyncSession(server.endpoint, source) as session:
            await session.deployments.get("d1")
            revoking.revoked.add("t0k3n-number-1")
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(session.deployments.get, "d1")
            assert source.given == 2
            # A request that changes something was refused: repeating it does nothing twice.
            revoking.revoked.add("t0k3n-number-2")
            await session.deployments.begin_set_status("d1", "inactive")
    assert tokens_of(server)[-2:] == ["2", "3"]
    assert source.given == 3


async def test_second_refusal_raises_and_shows_no_token_ever_seen():
    revoking = Revoking()
    revoking.revoked |= {"t0k3n-number-1", "t0k3n-number-2", "t0k3n-number-3", "t0k3n-number-4"}
    with ScriptedServer(revoking) as server:
        async with AsyncSession(server.endpoint, Source()) as session:
            for _ in range(2):
                with pytest.raises(AuthenticationError, match=r"\[secret\]") as caught:
                    await session.deployments.get("d1")
                assert "t0k3n" not in str(caught.value)
    assert tokens_of(server) == ["1", "2", "2", "3"]


async def test_token_that_does_not_change_is_not_tried_twice():
    with ScriptedServer(Answer(status=401)) as server:
        async with AsyncSession(server.endpoint, "static-token") as session:
            with pytest.raises(AuthenticationError):
                await session.deployments.get("d1")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "expires",
    [lambda: time.time() - 1, lambda: datetime.now(UTC) - timedelta(seconds=1)],
    ids=["seconds", "datetime"],
)
async def test_token_is_asked_again_before_it_expires(expires):
    source = Source(expires)
    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, source) as session:
            for _ in range(3):
                await session.deployments.get("d1")
            source.expires = lambda: time.time() + 3600
            for _ in range(3):
                await session.deployments.get("d1")
    assert tokens_of(server) == ["1", "2", "3", "4", "4", "4"]


async def test_token_that_is_still_good_is_used_while_its_source_fails(caplog):
    now, answers = 1000.0, []

    def source():
        if isinstance(answers[0], Exception):
            raise answers[0]
        answer = answers.pop(0)
        return answer() if callable(answer) else answer

    settings = Settings.load("https://h", source)
    credentials = Credentials(settings, Redactor(), clock=lambda: now)
    answers[:] = [("first", 1600.0), RuntimeError("the vault is sealed")]
    assert await credentials.get(1.0) == "Bearer first"
    now = 1569.0
    assert credentials.known == "Bearer first"
    # Half a minute before it expires it is asked for again.
    now = 1571.0
    assert credentials.known is None
    assert await credentials.get(1.0) == "Bearer first"
    assert "was not renewed" in caplog.text
    assert credentials.known == "Bearer first"
    now = 1580.0
    answers[:] = [never]
    assert await credentials.get(0.01) == "Bearer first"
    assert "gave no token within 0.01 s" in caplog.text
    now = 1601.0
    answers[:] = [RuntimeError("the vault is sealed")]
    with pytest.raises(ConfigError, match="failed with RuntimeError"):
        await credentials.get(1.0)
    answers[:] = [("second", datetime.fromtimestamp(1700, UTC))]
    assert await credentials.get(1.0) == "Bearer second"


async def test_source_that_fails_after_a_refusal_is_an_error():
    def source():
        if server.asked:
            raise RuntimeError("the vault is sealed")
        return "t0k3n-number-1"

    with ScriptedServer(Answer(status=401)) as server:
        async with AsyncSession(server.endpoint, source) as session:
            with pytest.raises(ConfigError, match="failed with RuntimeError"):
                await session.deployments.get("d1")
    assert tokens_of(server) == ["1"]


@pytest.mark.parametrize("token", ["two words", "new\nline", 3, None, b"bytes"])
async def test_source_that_gives_no_token_is_an_error_of_ours(token):
    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, lambda: token) as session:
            with pytest.raises(ConfigError) as caught:
                await session.deployments.get("d1")
    assert "two words" not in str(caught.value)
    assert server.asked == []


async def test_cancelled_question_is_asked_again_by_the_next():
    source = Source()

    async def slowly():
        if not source.given:
            source.given = 1
            await anyio.sleep_forever()
        return source()

    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, slowly) as session:
            with anyio.move_on_after(0.01):
                await session.deployments.get("d1")
            await session.deployments.get("d1")
    assert tokens_of(server) == ["2"]


async def never():
    await anyio.sleep_forever()


@pytest.fixture
def mute_file(tmp_path):
    """A pipe into which nobody writes before the test is over."""
    os.mkfifo(tmp_path / "token")
    yield tmp_path / "token"
    # Both ways, which waits for nobody.
    os.close(os.open(tmp_path / "token", os.O_RDWR))


async def test_source_that_hangs_is_bounded_by_the_requests_timeout(mute_file):
    sleeper = TokenCommand(f"{sys.executable} -c 'import time; time.sleep(60)'")
    for source, name in (
        (never, "callable"),
        (sleeper, "token command"),
        (TokenFile(str(mute_file)), "token file"),
    ):
        with ScriptedServer(DEPLOYMENT) as server:
            async with AsyncSession(server.endpoint, source, timeout=0.05, retry=0) as session:
                with pytest.raises(TimeoutError, match=f"the {name} .*gave no token within 0.05 s"):
                    await session.deployments.get("d1")
                with pytest.raises(StalledError, match=name):
                    await session.artifact("files/", filename="f").download(mute_file.parent)
        assert server.asked == []


async def test_source_that_hangs_after_a_refusal_is_bounded_too():
    async def source():
        return await never() if server.asked else "t0k3n-number-1"

    with ScriptedServer(Answer(status=401)) as server:
        async with AsyncSession(server.endpoint, source, timeout=1, retry=0) as session:
            with pytest.raises(TimeoutError, match="gave no token"):
                await session.deployments.get("d1")
    assert tokens_of(server) == ["1"]


async def test_refused_download_whose_token_cannot_be_renewed_leaves_no_connection(tmp_path):
    def source():
        if server.asked:
            raise RuntimeError("the vault is sealed")
        return "t0k3n-number-1"

    # A connection that nobody closes is a warning, and that an error, when it is collected.
    with ScriptedServer(Answer(status=401)) as server:
        async with AsyncSession(server.endpoint, source, retry=0) as session:
            with pytest.raises(ConfigError, match="failed with RuntimeError"):
                await session.artifact("files/", filename="f").download(tmp_path)
        gc.collect()


async def test_whoever_waits_while_another_asks_waits_no_longer_than_their_own_timeout():
    with ScriptedServer(DEPLOYMENT) as server:
        async with AsyncSession(server.endpoint, never) as session, anyio.create_task_group() as group:
            group.start_soon(session.deployments.get, "d1")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
                await session.with_options(timeout=0.01).deployments.get("d1")
            group.cancel_scope.cancel()


async def test_cancelled_token_command_is_killed(tmp_path):
    started = tmp_path / "pid"
    source = TokenCommand(f"sh -c 'echo $$ > {started}.new; mv {started}.new {started}; exec sleep 600'")
    credentials = Credentials(Settings.load("https://h", source), Redactor())
    async with cancelled_when(started.exists):
        await credentials.get(60.0)
    # Cancelled before asyncio knew that it had begun, it is killed at once and taken leave of a little later.
    with anyio.fail_after(60):
        await wait_until(lambda: not is_running(int(started.read_text())))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_polls_and_downloads_renew_the_token_too(tmp_path):
    source, polls = Source(), iter(range(100))

    def answer(asked):
        if asked.method == "PATCH":
            return Answer(status=202, headers={"Location": "/api/v2/status/s/"}, body=b"")
        if "/status/s/" in asked.target:
            if next(polls) == 1:
                revoking.revoked.add("t0k3n-number-1")
            return Answer(body=b'{"status": "COMPLETED"}' if source.given == 2 else b'{"status": "RUNNING"}')
        return Answer(body=b"bytes", headers={"ETag": '"x"'}) if "files" in asked.target else DEPLOYMENT

    revoking = Revoking(answer)
    with ScriptedServer(revoking) as server:
        async with AsyncSession(server.endpoint, source, polling=PollPolicy(delays=quickly)) as session:
            await (await session.deployments.begin_set_status("d1", "inactive"))
            assert source.given == 2
            revoking.revoked.add("t0k3n-number-2")
            assert (await session.artifact("files/", filename="f").download(tmp_path)).size == 5
            revoking.revoked |= {"t0k3n-number-3", "t0k3n-number-4"}
            with pytest.raises(APIStatusError, match=r"\[secret\]"):
                await session.artifact("files/", filename="g").download(tmp_path)
    assert source.given == 4


async def test_token_file_is_read_again_when_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "token"
    path.write_text("t0k3n-number-1\n")
    revoking = Revoking()
    with ScriptedServer(revoking) as server:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", server.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN_FILE", str(path))
        async with AsyncSession() as session:
            await session.deployments.get("d1")
            path.write_text("t0k3n-number-2\n")
            revoking.revoked.add("t0k3n-number-1")
            await session.deployments.get("d1")
            path.unlink()
            revoking.revoked.add("t0k3n-number-2")
            with pytest.raises(ConfigError, match=r"token file .* cannot be read: No such file"):
                await session.deployments.get("d1")
    assert tokens_of(server) == ["1", "1", "2", "2"]


async def test_token_file_gives_a_token_for_a_few_seconds(tmp_path):
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        await TokenFile(str(tmp_path / "token"))()
    (tmp_path / "token").write_text(" x \n")
    token, expires = await TokenFile(str(tmp_path / "token"))()
    assert token == "x"
    assert 0 < expires - time.time() <= 5


async def test_token_command_is_run_without_a_shell():
    assert await TokenCommand(f"{sys.executable} -c \"print('a-token')\"")() == "a-token"
    with pytest.raises(ConfigError, match="ended with status 3"):
        await TokenCommand(f"{sys.executable} -c 'raise SystemExit(3)'")()
    with pytest.raises(ConfigError, match="cannot be run"):
        await TokenCommand("/nonexistent/command")()


def test_file_names_a_token_file_and_half_of_the_credentials_is_refused(tmp_path):
    config = tmp_path / "drconfig.yaml"
    config.write_text("endpoint: https://h\ntoken_file: /run/token\n")
    assert Settings.load(config_file=config).token_source == TokenFile("/run/token")
    for text, message in (
        ("token_file: /run/token", "token is set but endpoint is not"),
        ("endpoint: https://h\ntoken_file: [1]", "token_file must be a string"),
    ):
        config.write_text(text)
        with pytest.raises(ConfigError, match=message):
            Settings.load(config_file=config)


def test_settings_pickle_without_their_source_of_tokens(monkeypatch):
    session = AsyncSession("https://h", lambda: "token")
    travelled = pickle.loads(pickle.dumps(session.settings))
    assert travelled.token_source is None
    monkeypatch.setenv("DATAROBOT_ENDPOINT", "https://h")
    monkeypatch.setenv("DATAROBOT_API_TOKEN_FILE", "/run/token")
    assert travelled.with_token().token_source == TokenFile("/run/token")
    assert session.settings.with_token() is session.settings
