"""Every Python block of the README, run as printed against the emulator."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from datarobot_mlops_async import AsyncSession, Outcome
from datarobot_mlops_async.emulator import Emulator
from tests.scripted import Answer, ScriptedServer

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
# Blocks that are files of their own, and not statements to type: each has a test of its own below.
FILES = ("FastAPI(", "LocalCluster(", "def test_", "import obstore", "webhook", "nightly", "airflow")


pytest_plugins = ["pytester", "tests.servers.fixtures"]


def name_of(block):
    return next(line for line in block.splitlines() if "import" not in line and line.strip())[:60]


@pytest.fixture
def emulator():
    with Emulator(deployments=400, image_size=2**20, operation_seconds=0.05) as running:
        yield running


@pytest.fixture
def prepared(emulator, monkeypatch, tmp_path):
    """An environment like a reader's: settings in it, and an empty directory."""
    monkeypatch.setenv("DATAROBOT_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("DATAROBOT_API_TOKEN", emulator.token)
    monkeypatch.chdir(tmp_path)
    return anyio.run(_names)


async def _names():
    async with AsyncSession() as session:
        active = await session.deployments.list(status=["active"], limit=40).collect()
        for deployment in active:
            capabilities = await session.deployments.capabilities(deployment.id)
            if any(each.supported for each in capabilities if "scoring_code" in each.name):
                break

    return {
        "deployment_id": deployment.id,
        "deployment_ids": [each.id for each in active if each.id != deployment.id][:5],
    }


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if not any(mark in each for mark in FILES)], ids=name_of
)
def test_block_runs_as_printed(block, prepared):
    code = compile(block, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run():
        result = eval(code, dict(prepared))
        if inspect.isawaitable(result):
            await result

    anyio.run(run)


def test_readme_has_blocks():
    assert len(BLOCKS) >= 6


def block_with(mark):
    (block,) = [each for each in BLOCKS if mark in each]
    return block


def test_fastapi_recipe_serves_from_one_session(prepared):
    namespace = {}
    exec(block_with("FastAPI("), namespace)
    app = namespace["app"]

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


def test_webhook_recipe_tells_who_fails_and_who_has_recovered(emulator, prepared, tmp_path):
    namespace = {}
    with ScriptedServer(Answer()) as hook:
        block = block_with("webhook").replace("https://chat.example.com/hook", f"{hook.origin}/hook")
        exec(block.replace("interval=60", "interval=0.05"), namespace)

        async def serve():
            async with namespace["lifespan"](None):
                while not (tmp_path / "watch.state").exists():
                    await anyio.sleep(0.01)
                    emulator.drift(20)

        anyio.run(serve)
        told = [json.loads(each.body)["text"] for each in hook.asked]
    assert told
    assert all(text.endswith((" fails", " has recovered")) for text in told)
    assert (tmp_path / "watch.state").read_text().startswith('{"watch": 1')


def test_nightly_recipe_finishes_what_a_killed_night_has_begun(emulator, prepared, tmp_path, capsys):
    script = tmp_path / "nightly.py"
    # Killed in the moment in which the first locations are known, as by a reboot.
    killed = (
        "import os, signal, threading, time\n\n\ndef watch():\n    while not (os.path.exists('nightly.jsonl') and "
        "'status/' in open('nightly.jsonl').read()):\n        time.sleep(0.001)\n    os.kill(os.getpid(), signal.SIGKILL)\n\n\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
    )
    script.write_text(killed + block_with("nightly"))
    first = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert first.returncode == -signal.SIGKILL, first.stderr
    script.write_text(block_with("nightly"))
    second = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    # Whose answer the kill has lost is named; all others are done.
    left = second.stdout.splitlines()
    assert second.returncode == len(left), second.stderr
    assert all(" unknown " in line for line in left)
    assert (tmp_path / "nightly.jsonl").exists() == bool(left)
    patches = [each.path for each in emulator.requests if each.method == "PATCH"]
    assert len(patches) == len(set(patches)) > 5


class BaseTrigger:
    """What Airflow gives its triggers, as far as the recipe uses it."""

    def __init__(self):
        self.task_instance = None


class TriggerEvent:
    def __init__(self, payload):
        self.payload = payload


def test_airflow_recipe_waits_from_the_location_alone(prepared, monkeypatch):
    for name in ("airflow", "airflow.triggers", "airflow.triggers.base"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow.triggers.base"].__dict__.update(BaseTrigger=BaseTrigger, TriggerEvent=TriggerEvent)
    namespace = {"__name__": "my_dag"}
    exec(block_with("airflow"), namespace)
    begun = anyio.run(namespace["begin"], prepared["deployment_ids"][0])
    name, stored = begun.serialize()
    assert name == "my_dag.OperationTrigger"
    json.dumps(stored)

    async def triggerer():
        (event,) = [each async for each in namespace["OperationTrigger"](**stored).run()]
        async with AsyncSession() as session:
            return event.payload, await session.deployments.get(prepared["deployment_ids"][0])

    payload, deployment = anyio.run(triggerer)
    assert payload == stored["location"]
    assert deployment.status == "inactive"


def test_dask_recipe_spreads_a_bulk_run_over_processes(prepared, tmp_path):
    script = tmp_path / "spread.py"
    names = [each for each in prepared["deployment_ids"] if each != prepared["deployment_id"]][:4]
    script.write_text(
        f"{block_with('LocalCluster(')}\n\nif __name__ == '__main__':\n    print(*deactivate_all({names!r}), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes = [Outcome.from_json(line) for line in done.stdout.splitlines()]
    assert sorted(each.item for each in outcomes) == sorted(names)
    assert {each.state for each in outcomes} <= {"succeeded", "failed"}


def test_readers_own_test_passes(pytester):
    pytester.makepyfile(block_with("def test_"))
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=1)


SHELL = [
    line
    for block in re.findall(
        r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for line in block.splitlines()
]


def command_with(mark):
    return next(each for each in SHELL if mark in each)


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    """The README's emulator, started as printed but for its port and a faster storage."""
    with emulator_printed(monkeypatch, tmp_path, "--storage-rate 64MiB"):
        yield


@contextmanager
def emulator_printed(monkeypatch, tmp_path, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = command_with("dr-mlops emulator") + f" --port 0 {options}"
    with subprocess.Popen(["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                name, found, value = line.strip().removeprefix("export ").partition("=")
                if found and name.startswith("DATAROBOT_"):
                    monkeypatch.setenv(name, value.strip("'\""))
                if "DATAROBOT_ENDPOINT" in os.environ and "DATAROBOT_API_TOKEN" in os.environ:
                    break
            yield
        finally:
            process.terminate()


def run_printed(command, *, kill_when=None):
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        if kill_when is not None:
            deadline = time.monotonic() + 30
            while not kill_when() and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors.decode()


def test_printed_way_to_a_site_without_a_network_works(monkeypatch, tmp_path, registry):
    with emulator_printed(monkeypatch, tmp_path, "--image-size 4MiB"):
        code, errors = run_printed(command_with("--sidecar --manifest"))
        assert code == 0, errors
    # The service is gone by now.
    (image,) = Path("images").glob("*.tar.gz")
    for mark in ("pps-image verify", "push registry.site"):
        line = command_with(mark).partition("#")[0].replace("FILE", image.name)
        if "push" in mark:
            line = f"{line.replace('registry.site', registry)} --insecure-registry"
        code, errors = run_printed(line)
        assert code == 0, errors
    assert "not compared" not in errors
    back = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/ml/pps:1"]
    pulled = json.loads(subprocess.run(back, check=True, stdout=subprocess.PIPE).stdout)
    manifest = json.loads(Path(f"{image}.manifest.json").read_text())
    assert pulled["config"]["digest"].removeprefix("sha256:") == manifest["docker_image_id"].removeprefix(
        "sha256:"
    )


def test_printed_download_of_many_goes_on_after_a_kill(monkeypatch, tmp_path):
    jars = Path("jars")
    with emulator_printed(monkeypatch, tmp_path, "--image-size 1MiB"):
        command = command_with("--search churn jars/")
        run_printed(command, kill_when=lambda: len(list(jars.glob("*.jar"))) > 2)
        done = {each: each.stat().st_mtime_ns for each in jars.glob("*.jar")}
        assert done
        code, errors = run_printed(command)
        assert code in {0, 8}, errors  # not every model has scoring code
        assert "are here already" in errors
    assert len(list(jars.glob("*.jar"))) > len(done)
    assert done == {each: each.stat().st_mtime_ns for each in done}


def test_printed_list_command_works(emulated):
    returncode, errors = run_printed(command_with("deployments list"))
    assert returncode == 0, errors


def test_printed_bulk_run_survives_faults_and_a_kill(emulated):
    journal, command = Path("run.jsonl"), command_with("--resume run.jsonl")
    returncode, _ = run_printed(command, kill_when=lambda: journal.exists() and journal.stat().st_size > 2000)
    assert returncode == -signal.SIGKILL
    run_printed(command)
    time.sleep(2.5)  # the operations of killed requests, which nobody waits for, take two seconds
    returncode, errors = run_printed(command_with("--repeat-unknown"))
    assert returncode == 0, errors

    async def still_active():
        async with AsyncSession() as session:
            return await session.deployments.list(status="active", search="churn").collect()

    assert anyio.run(still_active) == []


def test_printed_download_survives_a_kill(emulated):
    command = command_with("pps-image download")
    returncode, _ = run_printed(command, kill_when=lambda: any(Path("images").glob(".*.json")))
    assert returncode == -signal.SIGKILL
    assert not [each for each in Path("images").iterdir() if not each.name.startswith(".")]
    returncode, errors = run_printed(command)
    assert returncode == 0, errors
    (image,) = Path("images").iterdir()
    assert image.stat().st_size == 256 * 2**20
