"""Going on where another process was stopped, and two processes at one destination."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from attrs import evolve

from datarobot_mlops_async._download._partial import Partial
from datarobot_mlops_async._download._resume_state import read_state
from datarobot_mlops_async.errors import (
    DownloadError,
    InsufficientSpaceError,
    IntegrityError,
    ReadError,
)
from tests.servers.clients import KIB, MIB, SMALL, artifact_at, leftovers
from tests.waiting import wait_until

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 3 * MIB + 12_345
HALF = SIZE // 2


async def _stop_half_way(storage, artifact, path):
    """Leave a partial file behind, as a download does that fails for good."""
    fault = storage.fault(reset=True, times=10_000, when=lambda request: request.range[0] >= HALF)
    with pytest.raises(ReadError):
        await artifact.download(path)
    fault.times = 0
    storage.requests.clear()


def _parts(directory):
    [part] = directory.glob(".*.part")
    [state] = directory.glob(".*.json")
    return part, state


async def test_second_attempt_fetches_only_the_rest(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        _, state = _parts(tmp_path)
        verified = read_state(state, os.getuid()).verified
        reports = []
        result = await artifact.download(tmp_path / "image", on_progress=reports.append)
    assert result.resumed_from == verified
    assert result.bytes_fetched == SIZE - verified
    assert reports[-1].resumed_from == verified
    assert (tmp_path / "image").read_bytes() == stored.data
    assert leftovers(tmp_path) == []
    # What the first attempt sent last may arrive late.
    [first] = [each for each in storage.of("store") if each.range[0] == verified]
    assert first.headers["if-range"] == stored.etag


async def test_resume_false_starts_from_the_beginning(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        result = await artifact.download(tmp_path / "image", resume=False)
    assert result.resumed_from == 0
    assert (tmp_path / "image").read_bytes() == stored.data


@pytest.mark.parametrize("known", [True, False])
async def test_changed_object_is_not_gone_on_with(storage, tmp_path, known):
    old = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=old.sha256 if known else None) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
    new = storage.put("image", SIZE + 5)
    async with artifact_at(storage.endpoint, "files/image", sha256=new.sha256 if known else None) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == 0
    assert result.bytes_fetched == SIZE + 5
    assert (tmp_path / "image").read_bytes() == new.data


async def test_damaged_prefix_is_found_and_fetched_again(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        part, _ = _parts(tmp_path)
        with part.open("r+b") as file:
            file.seek(70_000)
            file.write(b"torn")
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert result.sha256 == stored.sha256


async def test_prefix_shorter_than_its_state_is_not_trusted(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        part, _ = _parts(tmp_path)
        os.truncate(part, 100_000)
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == 0
    assert (tmp_path / "image").read_bytes() == stored.data


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', "\x00" * 100])
async def test_damaged_state_is_ignored(storage, tmp_path, text):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        _parts(tmp_path)[1].write_text(text)
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from == 0
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_complete_partial_needs_no_request(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)

    def fail(*_arguments):
        raise OSError(errno.EIO, "the move failed")

    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", fail)
            with pytest.raises(OSError, match="the move failed"):
                await artifact.download(tmp_path / "image")
        storage.requests.clear()
        result = await artifact.download(tmp_path / "image")
    assert storage.requests == []
    assert result.resumed_from == SIZE
    assert result.bytes_fetched == 0
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_partial_of_another_host_is_copied_and_not_written_to(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        part, _ = _parts(tmp_path)
        descriptor = os.open(part, os.O_RDWR)
        before = os.pread(descriptor, SIZE, 0)
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        result = await artifact.download(tmp_path / "image")
    # The other host, still at it, writes into its own file and not into ours.
    assert os.pread(descriptor, SIZE, 0) == before
    os.pwrite(descriptor, b"late", 0)
    os.close(descriptor)
    assert result.resumed_from >= HALF - 2 * SMALL.longest_piece
    assert (tmp_path / "image").read_bytes() == stored.data
    assert leftovers(tmp_path) == []


async def test_damaged_partial_of_another_host_is_copied_as_far_as_it_is_good(storage, tmp_path, monkeypatch):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        part, _ = _parts(tmp_path)
        with part.open("r+b") as file:
            file.write(b"torn")
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data


@pytest.mark.parametrize("says_yes", [False, True])
async def test_two_downloads_where_locks_do_nothing_never_corrupt(storage, tmp_path, monkeypatch, says_yes):
    def flock(*_arguments):
        if not says_yes:
            raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        results = []

        async def download():
            results.append(await artifact.download(tmp_path / "image"))

        async with anyio.create_task_group() as group:
            group.start_soon(download)
            group.start_soon(download)
    assert [each.sha256 for each in results] == [stored.sha256] * 2
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_second_download_to_a_destination_waits_and_finds_it_done(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(before=lambda: time.sleep(0.1), times=5)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        results = []

        async def download():
            results.append(await artifact.download(tmp_path / "image"))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(download)
    assert sorted(each.already_present for each in results) == [False, True, True]
    await wait_until(lambda: storage.bytes_sent == SIZE)
    assert leftovers(tmp_path) == []


async def test_other_object_that_appears_meanwhile_is_not_replaced(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    storage.fault(before=lambda: path.write_bytes(b"mine"))
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(DownloadError, match="exists and is another file"):
            await artifact.download(path)
    assert path.read_bytes() == b"mine"


async def test_same_object_that_appears_meanwhile_is_left_alone(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / "image"
    storage.fault(before=lambda: path.write_bytes(stored.data))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(path)
    assert result.already_present
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EIO])
async def test_file_system_without_links_still_gets_the_file(storage, tmp_path, monkeypatch, code):
    stored = storage.put("image", SIZE)

    def link(*_arguments):
        raise OSError(code, "no links")

    monkeypatch.setattr(os, "link", link)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        if code == errno.EIO:
            with pytest.raises(OSError, match="no links"):
                await artifact.download(tmp_path / "image")
            return
        await artifact.download(tmp_path / "image")
        assert (tmp_path / "image").read_bytes() == stored.data
        storage.fault(before=lambda: (tmp_path / "other").write_bytes(b"x"))
        with pytest.raises(DownloadError, match="exists and is another file"):
            await artifact.download(tmp_path / "other")


async def test_partial_taken_away_meanwhile_is_an_error(storage, tmp_path):
    stored = storage.put("image", SIZE)

    def take_away():
        for each in tmp_path.glob(".*.part"):
            each.unlink()

    storage.fault(before=take_away, when=lambda request: request.range[0] > MIB)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(DownloadError, match="taken away"):
            await artifact.download(tmp_path / "image")
    assert not (tmp_path / "image").exists()


async def test_lack_of_space_is_known_before_anything_is_fetched(storage, tmp_path):
    storage.put("image", 1000)
    free = os.statvfs(tmp_path)
    size = free.f_bavail * free.f_frsize + 2**40
    storage.fault(headers={"Content-Range": f"bytes 0-{SMALL.shortest_piece * 2 - 1}/{size}"}, times=9)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(InsufficientSpaceError, match="bytes are free") as caught:
            await artifact.download(tmp_path / "image")
    assert caught.value.required == size
    assert 0 < caught.value.available < size
    assert caught.value.destination == tmp_path / "image"


@pytest.mark.parametrize("place", ["pwrite", "state"])
async def test_full_disk_in_the_middle_keeps_what_can_be_resumed(storage, tmp_path, monkeypatch, place):
    stored = storage.put("image", SIZE)
    real_write, real_replace = os.pwrite, Path.replace

    def write(descriptor, data, offset):
        if offset >= HALF:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real_write(descriptor, data[: 20 * KIB], offset)

    def replace(path, target):
        if json.loads(path.read_text())["checkpoints"][-1][0] >= HALF:
            raise OSError(errno.ENOSPC, "no space left on device")
        real_replace(path, target)

    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with monkeypatch.context() as patch:
            if place == "pwrite":
                patch.setattr(os, "pwrite", write)
            else:
                patch.setattr(Path, "replace", replace)
            with pytest.raises(InsufficientSpaceError) as caught:
                await artifact.download(tmp_path / "image", max_connections=1)
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert place == "state" or result.resumed_from > 0
    # Not what the next write needs, but what the whole still does.
    assert place == "state" or caught.value.missing > HALF // 2


@pytest.mark.parametrize("place", ["pwrite", "state"])
async def test_broken_disk_is_the_system_s_error(storage, tmp_path, monkeypatch, place):
    storage.put("image", SIZE)

    def fail(*_arguments):
        raise OSError(errno.EIO, "the disk is broken")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        if place == "pwrite":
            monkeypatch.setattr(os, "pwrite", fail)
        else:
            monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="the disk is broken"):
            await artifact.download(tmp_path / "image")


async def test_long_file_names_leave_room_for_the_partial(storage, tmp_path):
    stored = storage.put("image", SIZE)
    path = tmp_path / ("ä" * 127)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await artifact.download(path)
    assert path.read_bytes() == stored.data


_CHILD = """
import sys
import anyio
from tests.servers.clients import artifact_at

async def main():
    endpoint, destination, size, sha256 = sys.argv[1:]
    async with artifact_at(endpoint, "files/image", size=int(size), sha256=sha256) as artifact:
        print("begun", flush=True)
        result = await artifact.download(destination)
        print(result.bytes_fetched, result.resumed_from, flush=True)

anyio.run(main)
"""


def _child(storage, path, stored):
    arguments = [storage.endpoint, str(path), str(len(stored.data)), stored.sha256]
    return subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_twenty_kills_and_the_next_attempt_ends_right(storage, tmp_path, anyio_backend):
    """On asyncio only: what is killed is a process, which does not depend on this one's event loop."""
    await to_thread.run_sync(_kill_twenty_times, storage, tmp_path / "image")


def _kill_twenty_times(storage, path):
    size = 24 * MIB
    stored = storage.put("image", size)
    storage.fault(before=lambda: time.sleep(0.02), times=100_000)
    draw = random.Random(4)
    kills = 0
    while kills < 20:
        with _child(storage, path, stored) as child:
            child.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.12))
            child.send_signal(signal.SIGKILL)
        if path.exists():
            # Too fast to be killed: once more from the beginning.
            path.unlink()
        kills += 1
    sent = storage.bytes_sent
    with _child(storage, path, stored) as child:
        output = child.communicate(timeout=60)[0]
    assert child.returncode == 0, output
    assert path.read_bytes() == stored.data
    assert leftovers(path.parent) == []
    resumed_from = int(output.split()[2])
    assert storage.bytes_sent - sent == size - resumed_from
    # What each kill may cost is the window that was fetched ahead, and no more.
    assert sent <= size * 2 + 20 * (SMALL.window + MIB)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_fast_download_is_recorded_by_bytes_not_only_by_time(storage, tmp_path, anyio_backend):
    stored = storage.put("image", SIZE)
    requests = []

    def wait_for_state():
        requests.append(time.monotonic())
        while (
            len(requests) > 4 and not list(tmp_path.glob(".*.json")) and time.monotonic() < requests[4] + 10
        ):
            time.sleep(0.01)
        recorded.append(bool(list(tmp_path.glob(".*.json"))))

    recorded = []
    storage.fault(before=wait_for_state, times=1000)
    tuning = evolve(SMALL, checkpoint=3600.0)
    async with artifact_at(storage.endpoint, "files/image", tuning=tuning, sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image", max_connections=1)
    assert recorded[4:]
    assert all(recorded[4:])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_process_that_waits_takes_over_when_the_other_is_killed(storage, tmp_path, anyio_backend):
    """On asyncio only, for the same reason."""
    stored = storage.put("image", SIZE)
    storage.fault(stall=True, after=200_000, times=1000)
    path = tmp_path / "image"

    def begin():
        child = _child(storage, path, stored)
        child.stdout.readline()
        while not list(tmp_path.glob(".*.json")):
            time.sleep(0.01)
        return child

    child = await to_thread.run_sync(begin)
    results = []
    async with (
        artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact,
        anyio.create_task_group() as group,
    ):

        async def download():
            results.append(await artifact.download(path))

        group.start_soon(download)
        await anyio.sleep(0.1)
        assert results == []
        storage.faults.clear()
        child.kill()
        child.communicate()
    assert results[0].resumed_from > 0
    assert path.read_bytes() == stored.data


def test_lock_is_really_taken(tmp_path):
    partial, second = Partial(tmp_path / "image"), Partial(tmp_path / "image")
    assert partial.open(is_usable=lambda _: True)
    [part] = tmp_path.glob(".*.part")
    with part.open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not second.open(is_usable=lambda _: True)
    partial.tidy()
    partial.close()
    second.close()
    assert leftovers(tmp_path) == []


async def test_mismatch_after_a_resume_keeps_nothing(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await _stop_half_way(storage, artifact, tmp_path / "image")
        verified = read_state(_parts(tmp_path)[1], os.getuid()).verified
        storage.fault(corrupt=True, when=lambda request: request.range[0] == verified)
        with pytest.raises(IntegrityError):
            await artifact.download(tmp_path / "image")
        assert leftovers(tmp_path) == []
