"""The programs that a new user writes first, as they stand in the README, each against the emulator."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
import types
from pathlib import Path

import anyio
import httpx
import nbformat
import pytest
import trustme

from datarobot_mlops_async import AsyncSession, Outcome
from datarobot_mlops_async.emulator import Emulator
from tests.command_line import screen
from tests.scripted import Answer, ScriptedServer

pytest_plugins = ["pytester", "tests.servers.fixtures"]

DIRECTORY = Path(__file__).parent / "programs"
README = (DIRECTORY.parents[1] / "README.md").read_text(encoding="utf-8")
FIRST = {"behind_a_gateway.py", "service.py", "nightly.py", "notebook.ipynb", "to_bucket.py", "own_tests.py"}
FLEET = pytest.mark.datarobot_emulator(deployments=400)


def text_of(path):
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    (cell,) = nbformat.read(path, as_version=4).cells
    return f"{cell.source}\n"


@pytest.mark.parametrize(
    "name", sorted(each.name for each in DIRECTORY.iterdir() if each.suffix in {".py", ".ipynb"})
)
def test_program_stands_in_the_readme(name):
    if name in FIRST:
        assert f"```python\n{text_of(DIRECTORY / name)}```\n" in README
    else:
        assert f"(tests/programs/{name})" in README


def test_first_programs_are_all_there():
    assert {each.name for each in DIRECTORY.iterdir()} >= FIRST


@pytest.fixture
def program(datarobot_emulator, monkeypatch, tmp_path):
    """Return a program as a module; the emulator is in its environment and its directory is empty."""
    monkeypatch.chdir(tmp_path)

    def load(name):
        spec = importlib.util.spec_from_file_location(Path(name).stem, DIRECTORY / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def some_ids(number):
    async def ask():
        async with AsyncSession() as session:
            return [each.id async for each in session.deployments.list(status="active", limit=number)]

    return anyio.run(ask)


def run(path, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, path, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert code is None or done.returncode == code, done.stderr
    return done


def test_gateway_that_wants_everything_gets_it(monkeypatch, tmp_path, socks_proxy):
    service, clients = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    clients.configure_trust(context)
    service.issue_cert("datarobot.corp.example").configure_cert(context)
    shown = clients.issue_cert("churn-job.corp.example")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAROBOT_MLOPS_LOG", "debug")
    service.cert_pem.write_to_path("corp-ca.pem")
    shown.private_key_pem.write_to_path("client.key")
    shown.cert_chain_pems[0].write_to_path("client.pem")
    socks_proxy.password, socks_proxy.hosts = ("job", "s3cret"), {"datarobot.corp.example": "127.0.0.1"}
    refused = "GET /version/ status=401 times=1"
    with Emulator(
        deployments=30,
        image_size=100_000,
        operation_seconds=0,
        image_redirect=None,
        tls=context,
        faults=[refused],
    ) as emulator:
        Path("token.txt").write_text(f"{emulator.token}\n")
        endpoint = emulator.endpoint.replace("127.0.0.1", "datarobot.corp.example")
        done = run(DIRECTORY / "behind_a_gateway.py", endpoint, socks_proxy.url_for("job", "s3cret"))
        assert {"GET /version/ 401", "PATCH /deployments/{deployment_id}/status/ 202"} <= {
            line.rpartition(" ")[0].rpartition(" ")[0] for line in done.stdout.splitlines()
        }
        headers = [each.headers for each in emulator.requests]
        assert all(each["user-agent"].startswith("churn-job/3.1 ") for each in headers)
        assert all(each["x-gateway-key"] == "secret" for each in headers)
        assert "7" in {each.get("x-trace") for each in headers}
        assert not any(each in done.stdout + done.stderr for each in (emulator.token, "s3cret", "secret"))
    (image,) = Path("images").iterdir()
    assert image.stat().st_size == 100_000
    assert "GET /version/ 200" in done.stderr
    assert {each.partition(":")[0] for each in socks_proxy.lines} == {"datarobot.corp.example"}


@FLEET
def test_service_answers_from_one_session(program):
    app = program("service.py").app

    async def visit():
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            return await client.get("/failing"), await client.get("/failing")

    first, second = anyio.run(visit)
    assert first.status_code == 200
    assert first.json()
    assert first.json() == second.json()


@FLEET
def test_night_finishes_what_a_killed_night_has_begun(program, datarobot_emulator, tmp_path):
    # Killed in the moment in which the first locations are known, as by a reboot.
    killed = (
        "import os, signal, threading, time\n\n\ndef watch():\n    while not (os.path.exists('nightly.jsonl') and "
        "'status/' in open('nightly.jsonl').read()):\n        time.sleep(0.001)\n    os.kill(os.getpid(), signal.SIGKILL)\n\n\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
    )
    (tmp_path / "killed.py").write_text(killed + text_of(DIRECTORY / "nightly.py"))
    run("killed.py", code=-signal.SIGKILL)
    second = run(DIRECTORY / "nightly.py", code=None)
    # Whose answer the kill has lost is named; all others are done.
    left = second.stdout.splitlines()
    assert second.returncode == len(left), second.stderr
    assert all(" unknown " in line for line in left)
    assert (tmp_path / "nightly.jsonl").exists() == bool(left)
    patches = [each.path for each in datarobot_emulator.requests if each.method == "PATCH"]
    assert len(patches) == len(set(patches)) > 5


@pytest.mark.datarobot_emulator(image_size=2**22, storage_rate=2**25)
def test_notebook_shows_a_bar_and_where_the_file_is(program, tmp_path):
    shutil.copy(DIRECTORY / "notebook.ipynb", tmp_path)
    # A kernel of its own runs in the notebook's directory.
    run(Path(sys.executable).with_name("jupyter-execute"), "--inplace", "notebook.ipynb")
    outputs = nbformat.read("notebook.ipynb", as_version=4).cells[0].outputs
    bar = screen("".join(each.text for each in outputs if each.get("name") == "stderr"))
    assert re.search(r"100%.*4\.00", bar)
    (image,) = (tmp_path / "images").iterdir()
    assert image.name in outputs[-1].data["text/plain"]


def test_own_tests_pass(pytester):
    shutil.copy(DIRECTORY / "own_tests.py", pytester.path / "test_own.py")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=1)


@FLEET
def test_chat_is_told_who_fails_and_who_has_recovered(program, datarobot_emulator, tmp_path):
    lifespan = program("webhook.py").lifespan
    with ScriptedServer(Answer()) as hook:

        async def serve():
            async with lifespan(None, f"{hook.origin}/hook", 0.05):
                while not (tmp_path / "watch.state").exists():
                    await anyio.sleep(0.01)
                    datarobot_emulator.drift(20)

        anyio.run(serve)
        told = [json.loads(each.body)["text"] for each in hook.asked]
    assert told
    assert all(text.endswith((" fails", " has recovered")) for text in told)
    assert (tmp_path / "watch.state").read_text().startswith('{"watch": 1')


def test_script_without_asyncio_reads_what_it_asks_for(program):
    (chosen,) = some_ids(1)
    assert re.fullmatch(r".+ is one of \d+", program("without_asyncio.py").main(chosen))


class BaseTrigger:
    """What Airflow gives its triggers, as far as the program uses it."""

    def __init__(self):
        self.task_instance = None


class TriggerEvent:
    def __init__(self, payload):
        self.payload = payload


def test_trigger_waits_from_the_location_alone(program, monkeypatch):
    for name in ("airflow", "airflow.triggers", "airflow.triggers.base"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow.triggers.base"].__dict__.update(BaseTrigger=BaseTrigger, TriggerEvent=TriggerEvent)
    module = program("airflow_trigger.py")
    (chosen,) = some_ids(1)
    name, stored = anyio.run(module.begin, chosen).serialize()
    assert name == "airflow_trigger.OperationTrigger"
    json.dumps(stored)

    async def triggerer():
        (event,) = [each async for each in module.OperationTrigger(**stored).run()]
        async with AsyncSession() as session:
            return event.payload, await session.deployments.get(chosen)

    payload, deployment = anyio.run(triggerer)
    assert payload == stored["location"]
    assert deployment.status == "inactive"


def test_workers_share_a_bulk_run(program):
    names = some_ids(4)
    done = run(DIRECTORY / "dask_workers.py", *names)
    outcomes = [Outcome.from_json(line) for line in done.stdout.splitlines()]
    assert sorted(each.item for each in outcomes) == sorted(names)
    assert {each.state for each in outcomes} <= {"succeeded", "failed"}
