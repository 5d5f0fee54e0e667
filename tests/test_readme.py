"""Every Python block of the README, run as printed against the emulator."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import pytest

from datarobot_mlops_async import AsyncSession, Outcome
from datarobot_mlops_async.emulator import Emulator

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
# Blocks that are files of their own, and not statements to type: each has a test of its own below.
FILES = ("FastAPI(", "LocalCluster(", "def test_")


pytest_plugins = ["pytester"]


def name_of(block):
    return next(line for line in block.splitlines() if "import" not in line and line.strip())[:60]


@pytest.fixture(scope="module")
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

    async def upload_part(chunk):
        assert chunk

    return {
        "resuming": False,
        "upload_part": upload_part,
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
