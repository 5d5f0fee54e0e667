"""Fixtures that every test may use, and what every test is held to."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

if os.environ.get("TEST_WITH_HTTPX2"):
    # Before anything imports httpx.
    import httpx2

    httpx2.alias_httpx()

import anyio
import anyio.lowlevel

BACKENDS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what it puts in the background; the programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
_DESCRIPTORS = Path("/proc/self/fd")
_PATIENCE = 5.0


@pytest.fixture(params=BACKENDS)
def anyio_backend(request):
    """Run each async test on every event loop."""
    return BACKENDS[request.param]


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch, tmp_path_factory):
    """No test sees the settings or proxies of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("DATAROBOT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    if os.environ.get("TEST_OVER_HTTPX"):
        monkeypatch.setenv("DATAROBOT_MLOPS_TRANSPORT", "httpx")


@pytest.fixture(scope="session", autouse=True)
def _event_loops_are_warm():
    """uvloop opens a pipe with the process's first loop and keeps it."""
    for name, options in BACKENDS.values():
        anyio.run(anyio.lowlevel.checkpoint, backend=name, backend_options=options)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    """No thread, socket or file outlives its test. Servers in other threads get a moment to close theirs."""
    threads, descriptors = _threads(), _count_descriptors()
    yield
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        left = _threads() - threads
        more = _count_descriptors() - descriptors
        if not left and more <= 0:
            return
        time.sleep(0.01)
    assert not left, "threads were left behind"
    assert more <= 0, f"{more} sockets or files were left behind: {_describe()}"


def _threads():
    # Trio and anyio keep idle worker threads for ten seconds; the emulator's loop keeps its executor.
    others = ("Trio thread", "AnyIO worker", "asyncio_")
    return {each for each in threading.enumerate() if not each.name.startswith(others)}


def _count_descriptors():
    return len(os.listdir(_DESCRIPTORS)) if _DESCRIPTORS.is_dir() else 0  # noqa: PTH208 - counted a lot


def _describe():
    return [os.readlink(each) for each in _DESCRIPTORS.iterdir() if each.is_symlink()]  # noqa: PTH115
