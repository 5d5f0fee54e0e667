"""What downloads do with files: those of others, those the system refuses, and their own when they are cancelled."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pickle
import random
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from attrs import evolve

from datarobot_mlops_async import Hint
from datarobot_mlops_async._download._disk import create
from datarobot_mlops_async._download._partial import Partial
from datarobot_mlops_async.errors import (
    DestinationError,
    DestinationExistsError,
    DownloadError,
    InsufficientSpaceError,
    IntegrityError,
    MLOpsError,
    ReadError,
)
from tests.servers.clients import MIB, SMALL, artifact_at, leftovers

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = MIB + 12_345
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Held:
    """A function of the system that waits when it is called, until it is let go."""

    def __init__(self, monkeypatch, owner, name, when=lambda *_: True):
        self._real = getattr(owner, name)
        self._when = when
        self.called = threading.Event()
        self.release = threading.Event()

        def call(*args, **more):
            if not self.called.is_set() and self._when(*args):
                self.called.set()
                self.release.wait(20)
            return self._real(*args, **more)

        monkeypatch.setattr(owner, name, call)

    async def reached(self):
        await to_thread.run_sync(self.called.wait, 20)
        assert self.called.is_set()


async def _cancelled_at(held, artifact, path, **options):
    """Cancel a download while the system holds one of its threads, in asyncio's way, and see that it waits."""
    task = asyncio.ensure_future(artifact.download(path, **options))
    await held.reached()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _leave_whole(monkeypatch, artifact, path):
    """Leave a complete partial file behind, as where the last step fails."""

    def fail(*_arguments):
        raise OSError(errno.EIO, "the move failed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        with pytest.raises(DestinationError, match="the move failed"):
            await artifact.download(path)


async def _leave_half(storage, artifact, path):
    fault = storage.fault(reset=True, times=10_000, when=lambda request: request.range[0] >= SIZE // 2)
    with pytest.raises(ReadError):
        await artifact.download(path)
    fault.times = 0
    storage.requests.clear()


# Cancellation


@ASYNCIO
@pytest.mark.parametrize("overwrite", [False, True])
async def test_cancelling_during_the_commit_publishes_nothing(storage, tmp_path, monkeypatch, overwrite):
    stored = storage.put("image", SIZE)
    held = Held(monkeypatch, os, "fsync")
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _cancelled_at(held, artifact, path, overwrite=overwrite)
        assert not path.exists()
        result = await artifact.download(path)
    assert (result.resumed_from, result.bytes_fetched) == (SIZE, 0)
    assert path.read_bytes() == stored.data
    assert leftovers(tmp_path) == []


@ASYNCIO
async def test_cancelling_while_the_file_is_moved_leaves_it_whole(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)
    held = Held(monkeypatch, os, "link")
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _cancelled_at(held, artifact, path)
        assert path.read_bytes() == stored.data
        assert (await artifact.download(path)).already_present


@ASYNCIO
@pytest.mark.parametrize("call", [1, 2, 3, 4])
async def test_cancelling_while_a_partial_is_opened_keeps_no_lock(storage, tmp_path, monkeypatch, call):
    stored = storage.put("image", SIZE)
    calls = iter(range(1, 100))
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, path)
        with monkeypatch.context() as patch:
            held = Held(patch, fcntl, "flock", when=lambda *_: next(calls) == call)
            await _cancelled_at(held, artifact, path)
        with anyio.fail_after(10):
            await artifact.download(path)
    assert path.read_bytes() == stored.data
    assert leftovers(tmp_path) == []


@ASYNCIO
async def test_cancelling_while_a_partial_is_closed_keeps_no_lock(storage, tmp_path, monkeypatch):
    storage.fault(status=404, times=3)
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with monkeypatch.context() as patch:
            held = Held(patch, Path, "unlink", when=lambda each: each.suffix == ".part")
            await _cancelled_at(held, artifact, path)
        storage.faults.clear()
        stored = storage.put("image", SIZE)
        with anyio.fail_after(10):
            await artifact.download(path)
    assert path.read_bytes() == stored.data


async def test_cancelling_anywhere_leaves_nothing_or_the_whole(storage, tmp_path, anyio_backend):
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        for _ in range(30):
            if anyio_backend[0] == "asyncio" and draw.random() < 0.5:
                task = asyncio.ensure_future(artifact.download(path))
                await anyio.sleep(draw.uniform(0, 0.04))
                task.cancel()
                await asyncio.wait([task])
            else:
                with anyio.move_on_after(draw.uniform(0, 0.04)):
                    await artifact.download(path)
            if path.exists():
                assert path.read_bytes() == stored.data, f"seed {seed}"
                path.unlink()
        with anyio.fail_after(10):
            result = await artifact.download(path)
    assert result.sha256 == stored.sha256, f"seed {seed}"
    assert leftovers(tmp_path) == [], f"seed {seed}"


# What is a file, and what is not


@pytest.fixture
def memory_directory(request):
    directory = Path("/dev/shm")
    if not os.access(directory, os.W_OK):
        pytest.skip("this system has no /dev/shm")
    path = directory / f"mlops-{os.getpid()}-{random.randrange(2**32):x}"
    path.mkdir()
    yield path
    for each in path.iterdir():
        each.unlink()
    path.rmdir()


@ASYNCIO
async def test_regular_file_under_dev_is_a_file(storage, memory_directory):
    stored = storage.put("image", SIZE)
    path = memory_directory / "image"
    path.write_bytes(b"x" * (SIZE + 1))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(DestinationExistsError):
            await artifact.download(path)
        result = await artifact.download(path, overwrite=True)
    assert result.path == path
    assert path.read_bytes() == stored.data


_TO_STDOUT = """
import sys, anyio
from tests.servers.clients import artifact_at

async def main():
    async with artifact_at(sys.argv[1], "files/image") as artifact:
        await artifact.download(sys.argv[2])

print("before", flush=True)
anyio.run(main)
print("after", flush=True)
"""


@ASYNCIO
@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
async def test_own_output_that_is_a_file_is_written_where_it_stands(storage, tmp_path):
    stored = storage.put("image", SIZE)
    arguments = [sys.executable, "-c", _TO_STDOUT, storage.endpoint, "/dev/stdout"]
    with (tmp_path / "out").open("wb") as out:
        done = await to_thread.run_sync(lambda: subprocess.run(arguments, stdout=out, check=False))
    assert done.returncode == 0
    assert (tmp_path / "out").read_bytes() == b"before\n" + stored.data + b"after\n"


@ASYNCIO
async def test_socket_in_the_file_system_is_refused(storage, tmp_path, monkeypatch):
    storage.put("image", SIZE)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        async with artifact_at(storage.endpoint, "files/image") as artifact:
            with pytest.raises(DestinationError, match="nothing can be written there"):
                await artifact.download("socket")


# Whose partial it is


@ASYNCIO
async def test_whole_partial_without_a_digest_is_asked_about(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _leave_whole(monkeypatch, artifact, tmp_path / "image")
        storage.requests.clear()
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == SIZE
    [asked] = storage.of("store")
    assert asked.range[0] == SIZE - 1
    assert asked.headers["if-range"] == stored.etag
    assert (tmp_path / "image").read_bytes() == stored.data


@ASYNCIO
async def test_whole_partial_of_an_outdated_object_is_not_delivered(storage, tmp_path, monkeypatch):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _leave_whole(monkeypatch, artifact, tmp_path / "image")
        fresh = storage.put("image", bytes(SIZE))
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == fresh.data


@ASYNCIO
@pytest.mark.parametrize("validators", [True, False])
@pytest.mark.parametrize("whole", [True, False])
async def test_partial_of_another_artifact_is_not_gone_on_with(
    storage, tmp_path, monkeypatch, whole, validators
):
    path = tmp_path / "model.jar"
    # The same validators do not make them the same thing.
    first, second = storage.put("one", SIZE), storage.put("two", bytes(SIZE))
    first.etag = second.etag = '"same"' if validators else None
    if not validators:
        first.modified = second.modified = "never"
    async with artifact_at(storage.endpoint, "files/one") as artifact:
        if whole:
            await _leave_whole(monkeypatch, artifact, path)
        else:
            await _leave_half(storage, artifact, path)
    async with artifact_at(storage.endpoint, "files/two") as artifact:
        result = await artifact.download(path)
    assert result.resumed_from == 0
    assert path.read_bytes() == second.data


@ASYNCIO
async def test_partial_with_the_wanted_digest_is_used_whatever_its_address(storage, tmp_path):
    stored = storage.put("one", SIZE)
    storage.put("two", stored.data)
    async with artifact_at(storage.endpoint, "files/one", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, tmp_path / "image")
    async with artifact_at(storage.endpoint, "files/two", sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from > 0


@ASYNCIO
async def test_whole_partial_of_before_gives_way_to_the_digest(storage, tmp_path, monkeypatch):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _leave_whole(monkeypatch, artifact, tmp_path / "image")
    fresh = storage.put("image", bytes(SIZE))
    async with artifact_at(storage.endpoint, "files/image", sha256=fresh.sha256) as artifact:
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == fresh.data


# What others may have put there


def _part(directory):
    [part] = directory.glob(".*.part")
    return part


@ASYNCIO
@pytest.mark.parametrize("trap", ["link", "second name", "pipe", "directory"])
async def test_trap_in_the_place_of_a_partial_is_left_alone(storage, tmp_path, trap):
    stored = storage.put("image", SIZE)
    path, victim = tmp_path / "image", tmp_path / "victim"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, path)
        part = _part(tmp_path)
        part.rename(victim)
        content = victim.read_bytes()
        if trap == "link":
            part.symlink_to(victim)
        elif trap == "second name":
            part.hardlink_to(victim)
        elif trap == "pipe":
            os.mkfifo(part)
        else:
            part.mkdir()
        with anyio.fail_after(20):
            result = await artifact.download(path)
    assert result.resumed_from == 0
    assert path.read_bytes() == stored.data
    assert victim.read_bytes() == content
    assert part.exists()


@ASYNCIO
@pytest.mark.parametrize("trap", ["link", "pipe"])
async def test_trap_in_the_place_of_a_state_is_left_alone(storage, tmp_path, trap):
    stored = storage.put("image", SIZE)
    path, victim = tmp_path / "image", tmp_path / "victim"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, path)
        [state] = tmp_path.glob(".*.json")
        state.rename(victim)
        content = victim.read_bytes()
        if trap == "link":
            state.symlink_to(victim)
        else:
            os.mkfifo(state)
        with anyio.fail_after(20):
            result = await artifact.download(path)
    assert result.resumed_from == 0
    assert path.read_bytes() == stored.data
    assert victim.read_bytes() == content


@ASYNCIO
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["part", "json"])
async def test_partial_or_state_of_another_owner_is_not_trusted(storage, tmp_path, what):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, tmp_path / "image")
        [planted] = tmp_path.glob(f".*.{what}")
        os.chown(planted, 12345, -1)
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == 0
    assert (tmp_path / "image").stat().st_uid == 0


@ASYNCIO
async def test_names_of_partial_files_cannot_be_known_before(storage, tmp_path):
    stored = storage.put("image", SIZE)
    names = set()
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        for _ in range(2):
            await _leave_half(storage, artifact, tmp_path / "image")
            names.update(leftovers(tmp_path))
            await artifact.download(tmp_path / "image")
            (tmp_path / "image").unlink()
    assert len(names) == 4


@pytest.mark.parametrize("planted", ["file", "link"])
def test_what_somebody_planted_is_never_taken_for_a_new_file(tmp_path, planted):
    victim, name = tmp_path / "victim", tmp_path / "name"
    victim.write_text("keep")
    if planted == "link":
        name.symlink_to(victim)
    else:
        name.hardlink_to(victim)
    with pytest.raises(FileExistsError):
        create(name)
    assert victim.read_text() == "keep"


def test_name_under_which_a_state_is_written_cannot_be_known_before(tmp_path):
    script = """
import pathlib, sys
from datarobot_mlops_async._download._resume_state import ResumeState, write_state
sys.addaudithook(lambda event, of: print(of[0]) if event == "open" and ".json." in str(of[0]) else None)
for _ in range(2):
    write_state(pathlib.Path(sys.argv[1]), ResumeState())
"""
    command = [sys.executable, "-c", script, str(tmp_path / "state.json")]
    opened = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert len(set(opened)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@ASYNCIO
async def test_process_killed_behind_the_move_leaves_no_second_name(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, path)
        path.hardlink_to(_part(tmp_path))
        await artifact.download(path, overwrite=True)
    assert path.read_bytes() == stored.data
    assert leftovers(tmp_path) == []


@ASYNCIO
async def test_state_whose_partial_is_gone_is_removed_and_nothing_else(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    others = {".image.backup.json", ".image.0123456789abcdef01234567.json.txt"}
    for name in others:
        (tmp_path / name).write_text("mine")
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _leave_half(storage, artifact, path)
        [state] = {*tmp_path.glob(".*.json")} - {tmp_path / each for each in others}
        state.with_name(f"{state.name}.0123abcd").write_text("half")
        _part(tmp_path).unlink()
        await artifact.download(path)
    assert set(leftovers(tmp_path)) == others


@ASYNCIO
async def test_file_that_is_replaced_keeps_its_mode_and_link(storage, tmp_path):
    stored = storage.put("image", SIZE)
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o4604)
    link.symlink_to(real)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(link, overwrite=True)
    assert result.path == real
    assert link.is_symlink()
    assert real.read_bytes() == stored.data
    assert stat.S_IMODE(real.stat().st_mode) == 0o604


# Waiting


@ASYNCIO
async def test_waiting_for_another_process_is_said_and_said_again(storage, tmp_path, caplog):
    caplog.set_level("INFO", logger="datarobot_mlops_async")
    stored = storage.put("image", SIZE)
    storage.fault(stall=True, times=100)
    path = tmp_path / "image"
    fast = evolve(SMALL, lock_poll=0.001)
    reports = []

    async def end_the_first(scope):
        while len(caplog.records) < 2:  # noqa: ASYNC110 - it is the other download that says so
            await anyio.sleep(0.002)
        storage.faults.clear()
        scope.cancel()

    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256, tuning=fast) as artifact:

        async def first(scope, task_status=anyio.TASK_STATUS_IGNORED):
            with scope:
                await artifact.download(path, on_progress=lambda _: task_status.started())

        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(first, scope)
            while not leftovers(tmp_path):  # noqa: ASYNC110 - the file appears in another task's thread
                await anyio.sleep(0.002)
            group.start_soon(end_the_first, scope)
            await artifact.download(path, on_progress=reports.append)
    assert [each.levelname for each in caplog.records[:2]] == ["INFO", "WARNING"]
    assert all(str(path) in each.getMessage() for each in caplog.records[:2])
    assert reports[0].is_waiting
    assert not reports[-1].is_waiting
    assert path.read_bytes() == stored.data


@ASYNCIO
async def test_many_downloads_into_a_directory_that_somebody_locked_go_on(storage, tmp_path):
    stored = storage.put("image", SIZE)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        async with artifact_at(storage.endpoint, "files/image") as artifact:
            await artifact.download(tmp_path / "image")
    finally:
        os.close(descriptor)
    assert (tmp_path / "image").read_bytes() == stored.data


# What the system refuses


def _check(error, code, path):
    assert isinstance(error, DownloadError)
    assert isinstance(error, OSError)
    assert (error.errno, error.destination) == (code, path)
    assert str(path) in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.errno, str(copy), copy.destination) == (code, str(error), path)


@ASYNCIO
@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/proc/x", errno.ENOENT, "nothing can be created there: choose"),
        ("/proc/x/y", errno.ENOENT, "nothing can be created there: choose"),
        ("{}/file/x", errno.EEXIST, "a directory would have to be: choose"),
        ("{}/file/x/y", errno.ENOTDIR, "a file, not a directory: choose"),
        ("{}/loop", errno.ELOOP, "symbolic links: choose"),
        ("{}/" + "x" * 300, errno.ENAMETOOLONG, "too long for the file system: choose"),
    ],
)
async def test_destination_that_cannot_be_is_an_error_of_ours(storage, tmp_path, path, code, words):
    if path.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("this system has no /proc")
    storage.put("image", SIZE)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = Path(path.format(tmp_path))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(DestinationError, match=words) as caught:
            await artifact.download(path)
    _check(caught.value, code, path)
    assert caught.value.hint is Hint.CHOOSE_WRITABLE


@ASYNCIO
@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOSPC, errno.EIO, errno.EMFILE]
)
async def test_file_that_cannot_be_created_is_an_error_of_ours(storage, tmp_path, monkeypatch, code):
    storage.put("image", SIZE)
    real_open = os.open

    def refuse(path, *arguments, **more):
        if os.fspath(path).endswith(".part"):
            raise OSError(code, os.strerror(code))
        return real_open(path, *arguments, **more)

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(DestinationError) as caught:
                await artifact.download(tmp_path / "image")
    if isinstance(caught.value, InsufficientSpaceError):
        assert caught.value.hint is Hint.FREE_SPACE
        assert code in {errno.EDQUOT, errno.ENOSPC}
        caught.value.destination = tmp_path / "image"
        assert ("quota" in str(caught.value)) == (code == errno.EDQUOT)
    else:
        _check(caught.value, code, tmp_path / "image")
    assert leftovers(tmp_path) == []


@ASYNCIO
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_full_device_is_an_error_of_ours(storage):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(InsufficientSpaceError) as caught:
            await artifact.download("/dev/full")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.missing > 0


@ASYNCIO
async def test_pipe_whose_reader_goes_away_is_an_error_of_ours(storage, tmp_path):
    storage.put("image", SIZE)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    async with artifact_at(storage.endpoint, "files/image") as artifact, anyio.create_task_group() as group:

        async def go_away():
            await anyio.wait_readable(reader)
            os.close(reader)

        group.start_soon(go_away)
        with pytest.raises(DestinationError, match="cannot write .*pipe") as caught:
            await artifact.download(tmp_path / "pipe")
    assert caught.value.errno == errno.EPIPE


_LIMITED = """
import resource, sys, anyio
from datarobot_mlops_async.errors import DestinationError
from tests.servers.clients import artifact_at

async def main():
    async with artifact_at(sys.argv[1], "files/image") as artifact:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        try:
            await artifact.download(sys.argv[2])
        except DestinationError as error:
            print(error)

anyio.run(main)
"""


@ASYNCIO
async def test_file_larger_than_allowed_is_an_error_of_ours(storage, tmp_path):
    storage.put("image", SIZE)
    arguments = [sys.executable, "-c", _LIMITED, storage.endpoint, str(tmp_path / "image")]
    done = await to_thread.run_sync(
        lambda: subprocess.run(arguments, capture_output=True, text=True, check=True)
    )
    assert "ulimit -f" in done.stdout


@ASYNCIO
async def test_errors_of_a_caller_s_own_objects_stay_as_they_are(storage, tmp_path):
    storage.put("image", SIZE)

    def refuse(_):
        raise BrokenPipeError("the caller's own")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(BrokenPipeError, match="the caller's own") as caught:
            await artifact.download(tmp_path / "image", on_progress=refuse)
    assert not isinstance(caught.value, MLOpsError)


@ASYNCIO
async def test_space_is_asked_for_before_the_first_request(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", size=2**60) as artifact:
        with pytest.raises(InsufficientSpaceError) as caught:
            await artifact.download(tmp_path / "image")
    assert storage.requests == []
    assert caught.value.required == 2**60
    assert caught.value.missing == 2**60 - caught.value.available
    assert leftovers(tmp_path) == []


@ASYNCIO
async def test_directory_that_cannot_be_read_is_written_to(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)

    def refuse(*_arguments):
        raise PermissionError(errno.EACCES, "not for you")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _leave_half(storage, artifact, tmp_path / "image")
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refuse)
            result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == 0
    assert (tmp_path / "image").read_bytes() == stored.data


@ASYNCIO
async def test_file_that_is_there_is_found_where_nothing_may_be_created(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)
    (tmp_path / "image").write_bytes(stored.data)
    real_open = os.open

    def refuse(path, flags, *arguments, **more):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "read-only file system")
        return real_open(path, flags, *arguments, **more)

    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        monkeypatch.setattr(os, "open", refuse)
        assert (await artifact.download(tmp_path / "image")).already_present
    assert storage.requests == []


@ASYNCIO
@pytest.mark.parametrize("name", ["scandir", "link"])
async def test_directory_whose_disk_breaks_is_an_error_of_ours(storage, tmp_path, monkeypatch, name):
    storage.put("image", SIZE)

    def fail(*_arguments):
        raise OSError(errno.EIO, "the disk is broken")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with monkeypatch.context() as broken:
            # Where there are no locks the file is closed before it is moved.
            broken.setattr(fcntl, "flock", fail)
            broken.setattr(os, name, fail)
            with pytest.raises(DestinationError, match="the disk is broken"):
                await artifact.download(tmp_path / "image")
    assert not (tmp_path / "image").exists()
    assert (leftovers(tmp_path) == []) == (name == "scandir")


def test_partial_that_is_closed_says_so(tmp_path):
    partial = Partial(tmp_path / "image")
    with pytest.raises(DownloadError, match="is closed"):
        partial.write_at(memoryview(b"x"), 0)


@ASYNCIO
async def test_bytes_that_are_wrong_leave_nothing_to_resume(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256="0" * 64) as artifact:
        with pytest.raises(IntegrityError):
            await artifact.download(tmp_path / "image")
    assert leftovers(tmp_path) == []


@ASYNCIO
async def test_partial_of_a_signed_address_is_gone_on_with_under_a_new_signature(storage, tmp_path):
    stored = storage.put("image", SIZE)
    addresses = []
    storage.redirect = lambda location: addresses.append(location) or location
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        for _ in range(2):
            async with artifact.stream(max_connections=1) as chunks:
                await anext(chunks)
    storage.redirect = None
    first, second = addresses[0], addresses[-1]
    assert first != second
    async with artifact_at(storage.endpoint, first) as artifact:
        await _leave_half(storage, artifact, tmp_path / "image")
    async with artifact_at(storage.endpoint, second) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from > 0
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_large_file_is_not_kept_in_the_system_s_memory(storage, tmp_path, monkeypatch):
    stored = storage.put("image", 3 * MIB)
    given_back, real = [], os.posix_fadvise

    def advise(descriptor, start, length, advice):
        given_back.append((start, length, advice))
        real(descriptor, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    tuning = evolve(SMALL, window=MIB)
    async with artifact_at(storage.endpoint, "files/image", tuning=tuning, sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert {(start, advice) for start, _, advice in given_back} == {(0, os.POSIX_FADV_DONTNEED)}
    assert given_back[-1][1] == 2 * MIB
