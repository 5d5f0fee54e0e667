"""The docstrings' examples, run as printed, and what the API reference has to show."""

from __future__ import annotations

import ast
import datetime
import importlib
import inspect
import os
import re
import textwrap
from pathlib import Path

import anyio
import pytest

import datarobot_mlops_async
from datarobot_mlops_async import AsyncSession, models
from datarobot_mlops_async.emulator import Emulator

ROOMS = (
    "", ".artifacts", ".bulk", ".emulator", ".errors", ".models", ".operations", ".pagination", ".resources", ".session",
)  # fmt: skip


def public_objects():
    """Yield every public object of the library's public rooms once, with its name."""
    seen = set()
    for room in ROOMS:
        module = importlib.import_module(f"{datarobot_mlops_async.__name__}{room}")
        found = [(module.__name__, module)]
        for name in module.__all__:
            value = getattr(module, name)
            found.append((name, value))
            if inspect.isclass(value) and value.__module__.startswith(module.__name__.split(".")[0]):
                found += [
                    (f"{name}.{each}", getattr(it, "__func__", it))
                    for each, it in vars(value).items()
                    if not each.startswith("_")
                ]
        for name, value in found:
            documented = (
                value is module
                or inspect.isclass(value)
                or inspect.isroutine(value)
                or isinstance(value, property)
            )
            if documented and id(value) not in seen:
                seen.add(id(value))
                yield name, value


def examples():
    for name, value in public_objects():
        for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", f"{inspect.getdoc(value) or ''}\n"):
            if "├" not in block:  # a drawing
                yield pytest.param(textwrap.dedent(block), id=name)


def test_every_public_object_says_what_it_is():
    silent = [name for name, value in public_objects() if not (inspect.getdoc(value) or "").strip()]
    assert silent == []


def test_every_resource_has_an_example():
    resources = importlib.import_module("datarobot_mlops_async.resources")
    for name in resources.__all__:
        value = getattr(resources, name)
        if inspect.isclass(value) and hasattr(AsyncSession("https://h", "t"), attribute_of(name)):
            assert "::\n\n" in inspect.getdoc(value), name


def attribute_of(name):
    return {"PPSImage": "pps_image"}.get(name, re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower())


@pytest.mark.parametrize("block", list(examples()))
def test_example_runs_as_printed(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = compile(block, "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run(emulator):
        async with AsyncSession() as session:
            ids = [each.id for each in await session.deployments.list(status="active", limit=4).collect()]
            gone = (await session.deployments.list(status="inactive", limit=1).collect())[0]
            await session.deployments.delete(gone.id)
            Path("deactivate.jsonl").touch()
            given = {
                **{name: getattr(datarobot_mlops_async, name) for name in datarobot_mlops_async.__all__},
                **{name: getattr(datetime, name) for name in ("UTC", "datetime", "timedelta")},
                **vars(models),
                "Emulator": Emulator,
                "os": os,
                "session": session,
                "ids": ids[1:],
                "deployment_id": ids[0],
                "artifact": await session.pps_image.artifact(),
            }
            with anyio.fail_after(30):
                running = eval(code, given)
                if inspect.isawaitable(running):
                    await running

    with Emulator(deployments=60, image_size=2**18, operation_seconds=0.02) as emulator:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN", emulator.token)
        anyio.run(run, emulator)
