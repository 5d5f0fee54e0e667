"""Every Python block of the README, run as printed against the emulator."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from datarobot_mlops_async import AsyncSession
from datarobot_mlops_async.emulator import Emulator
from tests.servers.mirror import mirroring
from tests.test_programs import DIRECTORY, FIRST, text_of

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
PROGRAMS = {text_of(DIRECTORY / name) for name in FIRST}

pytest_plugins = ["tests.servers.fixtures"]


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


@pytest.mark.parametrize("block", [each for each in BLOCKS if each not in PROGRAMS], ids=name_of)
def test_block_runs_as_printed(block, prepared):
    code = compile(block, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run():
        result = eval(code, dict(prepared))
        if inspect.isawaitable(result):
            await result

    anyio.run(run)


def test_readme_has_blocks():
    assert len(BLOCKS) >= 10


def test_table_of_operations_is_that_of_the_api_page():
    rows = re.findall(r"^\| `([A-Z]+) (/\S+)` \| (.*?) \|", TEXT, re.MULTILINE)
    assert sorted((method, f"/api/v2{path}") for method, path, _ in rows) == sorted(
        (each["method"], each["path"]) for each in CONTRACT["operations"]
    )
    session = AsyncSession("https://h", "t")
    for method, path, call in rows:
        resource, name = re.match(r"`(?:await )?(\w+)\.(\w+)\(", call).groups()
        documented = " ".join(inspect.getdoc(getattr(getattr(session, resource), name)).split())
        assert f"``{method} {path}``" in documented, call


def test_picture_shows_what_the_benchmarks_have_measured():
    drawn = runpy.run_path(str(README.parent / "benchmarks" / "picture.py"))["picture"]()
    assert f"```text\n{drawn}```" in TEXT


SHELL = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def command_with(mark):
    return next(each for each in SHELL if mark in each)


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    """The README's emulator, started as printed but for its port and more speed."""
    with emulator_printed(monkeypatch, tmp_path, "--storage-rate 64MiB --operation-seconds 0.2s"):
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
    # Pulled back: an image's id is the SHA-256 of its configuration.
    subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{registry}/ml/pps:1", "dir:back"],
        check=True,
    )
    configuration = json.loads(Path("back/manifest.json").read_text())["config"]["digest"]
    pulled = Path("back", configuration.removeprefix("sha256:")).read_bytes()
    manifest = json.loads(Path(f"{image}.manifest.json").read_text())
    assert hashlib.sha256(pulled).hexdigest() == manifest["docker_image_id"].removeprefix("sha256:")


def test_printed_download_of_many_goes_on_after_a_kill(monkeypatch, tmp_path):
    jars = Path("jars")

    def fetched():
        return {each: each.stat().st_mtime_ns for each in jars.glob("*.jar")}

    with emulator_printed(monkeypatch, tmp_path, "--deployments 4500 --operation-seconds 0.01s"):
        command = command_with("--search churn jars/")
        run_printed(command, kill_when=lambda: len(fetched()) > 100)
        done = fetched()
        assert 100 < len(done) < 200
        code, errors = run_printed(command)
        assert code in {0, 8}, errors  # not every model has scoring code
        assert "are here already" in errors
    assert len(fetched()) > 200
    assert done.items() <= fetched().items()


def test_printed_download_from_a_mirror_that_lies_brings_the_service_s_bytes(monkeypatch, tmp_path):
    with emulator_printed(monkeypatch, tmp_path, "--image-size 4MiB"), mirroring(bytes(4 * 2**20)) as mirror:
        command = command_with("--mirror").partition("#")[0]
        code, errors = run_printed(re.sub(r"https://mirror\S+", f"'{mirror.url}'", command))
        assert code == 0, errors
        (image,) = Path("images").iterdir()
        code, errors = run_printed(f"dr-mlops pps-image verify {image} --service")
        assert code == 0, errors
    assert mirror.asked
    assert mirror.tokens == 0


def test_printed_bulk_run_survives_faults_and_a_kill(emulated):
    returncode, errors = run_printed(command_with("deployments list"))
    assert returncode == 0, errors
    journal, command = Path("run.jsonl"), command_with("--resume run.jsonl")
    returncode, _ = run_printed(command, kill_when=lambda: journal.exists() and journal.stat().st_size > 2000)
    assert returncode == -signal.SIGKILL
    run_printed(command)
    time.sleep(0.3)  # the operations of killed requests, which nobody waits for, end by themselves
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
