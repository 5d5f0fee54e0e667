"""The library where a system lacks what this one has: no positioned writes, no locks, no ``/proc``, open files that stay.

What is missing is taken away in a process of its own, before the library is imported.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from anyio import to_thread

from datarobot_mlops_async.emulator import Emulator
from tests.servers.clients import MIB, artifact_at, leftovers

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has"),
]

SIZE = 2 * MIB + 12_345

_LACKING = """
import io, os, select, signal, sys

LACKING = {
    os: "pwrite pread preadv pwritev fstatvfs fchmod geteuid getuid O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY"
        " register_at_fork fork posix_fadvise fdatasync",
    select: "poll epoll",
    signal: "SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGPIPE SIGWINCH pthread_sigmask",
}
for module, names in LACKING.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None

real_open, real_listdir, real_stat = os.open, os.listdir, os.stat

def hidden(function):
    def call(path, *args, **more):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(2, "no /proc", str(path))
        if function is real_open and os.path.isdir(path):
            raise PermissionError(13, "directories cannot be opened", str(path))
        return function(path, *args, **more)
    return call

def is_open(path):
    try:
        wanted = real_stat(path)
    except FileNotFoundError:
        return False
    for each in real_listdir("/proc/self/fd"):
        try:
            if os.path.samestat(wanted, real_stat(f"/proc/self/fd/{each}")):
                return True
        except OSError:
            pass
    return False

def unmovable(function):
    def call(path, *args, **more):
        for each in (path, *args[:1]):
            if is_open(each):
                raise PermissionError(13, "another process is using the file", str(path))
        return function(path, *args, **more)
    return call

os.open = hidden(os.open)
for name in ("rename", "replace", "unlink", "remove"):
    setattr(os, name, unmovable(getattr(os, name)))
"""

_DOWNLOAD = """
import anyio
from datarobot_mlops_async.errors import ReadError
from tests.servers.clients import artifact_at

async def main():
    endpoint, destination, sha256, times = sys.argv[1:]
    results = []

    async def download(artifact):
        try:
            results.append(await artifact.download(destination, overwrite=True))
        except ReadError:
            results.append(None)

    async with artifact_at(endpoint, "files/image", sha256=sha256) as artifact:
        async with anyio.create_task_group() as group:
            for _ in range(int(times)):
                group.start_soon(download, artifact)
    print([each and each.resumed_from for each in results])

anyio.run(main)
"""


_WORK = """
import anyio
from datarobot_mlops_async import AsyncSession, read_journal
from datarobot_mlops_async.cli import main

async def work():
    async with AsyncSession(verify=sys.argv[1]) as session:
        ids = [each.id async for each in session.deployments.list(status="active", limit=5)]
        for _ in range(2):
            await session.bulk(session.deployments.begin_deactivate, ids[:5], resume_from="run.jsonl")
        return read_journal("run.jsonl").counts["succeeded"]

done = anyio.run(work)
print(done)
ca_file = sys.argv[1]
for command in ("deployments list --limit 2", "pps-image download images/ --sidecar"):
    sys.argv = ["dr-mlops", "--ca-file", ca_file, *command.split()]
    try:
        main()
    except SystemExit as error:
        assert not error.code, command
"""


async def test_calls_bulk_and_commands_where_the_system_lacks_much(tls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Emulator(deployments=30, image_size=MIB, operation_seconds=0, tls=tls.server_context()) as emulator:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN", emulator.token)
        arguments = [sys.executable, "-c", _LACKING + _WORK, str(tls.ca_file)]
        done = await to_thread.run_sync(
            lambda: subprocess.run(arguments, capture_output=True, text=True, check=False)
        )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "5"
    assert len(lines) == 4  # two deployments, the image's path, what the bulk run did
    assert {each.suffix for each in (tmp_path / "images").iterdir()} == {".gz", ".sha256"}


async def _download(storage, path, sha256, times=1):
    arguments = [sys.executable, "-c", _LACKING + _DOWNLOAD, storage.endpoint, str(path), sha256, str(times)]
    done = await to_thread.run_sync(
        lambda: subprocess.run(arguments, capture_output=True, text=True, check=False)
    )
    assert done.returncode == 0, done.stderr
    return eval(done.stdout)


async def test_downloads_where_the_system_lacks_much(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    path.write_bytes(b"old")
    assert await _download(storage, path, stored.sha256) == [0]
    assert path.read_bytes() == stored.data
    assert leftovers(tmp_path) == []


async def test_resuming_where_the_system_lacks_much(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    fault = storage.fault(reset=True, times=10_000, when=lambda request: request.range[0] >= SIZE // 2)
    assert await _download(storage, path, stored.sha256) == [None]
    fault.times = 0
    [resumed_from] = await _download(storage, path, stored.sha256)
    assert resumed_from > 0
    assert path.read_bytes() == stored.data
    assert leftovers(tmp_path) == []


async def test_two_at_once_where_the_system_lacks_much(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    assert await _download(storage, path, stored.sha256, times=2) == [0, 0]
    assert path.read_bytes() == stored.data


async def test_what_such_a_system_left_is_gone_on_with_elsewhere(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    fault = storage.fault(reset=True, times=10_000, when=lambda request: request.range[0] >= SIZE // 2)
    assert await _download(storage, path, stored.sha256) == [None]
    fault.times = 0
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        result = await artifact.download(path)
    assert result.resumed_from > 0
    assert leftovers(tmp_path) == []
