"""Every Python block of the README, run as printed against the emulator."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import anyio
import pytest

from datarobot_mlops_async import AsyncSession
from datarobot_mlops_async.emulator import Emulator

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
# Blocks that are files of their own, and not statements to type: each has a test of its own below.
FILES = ("FastAPI(", "LocalCluster(", "def test_", "trio.run(")


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
    return {
        "deployment_id": deployment.id,
        "deployment_ids": [each.id for each in active if each.id != deployment.id][:5],
    }


@pytest.mark.parametrize("block", [each for each in BLOCKS if not any(mark in each for mark in FILES)], ids=name_of)
def test_block_runs_as_printed(block, prepared):
    code = compile(block, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run():
        result = eval(code, dict(prepared))
        if inspect.isawaitable(result):
            await result

    anyio.run(run)


def test_readme_has_blocks():
    assert len(BLOCKS) >= 6
