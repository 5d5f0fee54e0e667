"""Streams and destinations that are no files: in order, in bounded memory, verified at the end."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from datarobot_mlops_async.artifacts import Expectation
from datarobot_mlops_async.errors import IntegrityError, ObjectChangedError, ReadError
from tests.servers.clients import MIB, SMALL, artifact_at
from tests.waiting import wait_until

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 3 * MIB + 12_345


async def _read(artifact, **options):
    async with artifact.stream(**options) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_stream_hands_over_all_bytes_in_order(storage):
    stored = storage.put("image", SIZE)
    reports = []
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        assert await _read(artifact, on_progress=reports.append) == stored.data
    assert all(each.total == SIZE for each in reports)


async def test_stream_is_over_once_it_ended(storage):
    storage.put("image", 10)
    async with artifact_at(storage.endpoint, "files/image") as artifact, artifact.stream() as chunks:
        assert [len(chunk) async for chunk in chunks] == [10]
        assert [chunk async for chunk in chunks] == []


@pytest.mark.parametrize("wrong", ["digest", "start"])
async def test_wrong_bytes_are_told_whenever_a_chunk_is_cancelled(storage, wrong):
    """A deadline around each chunk may pass when its thread has just found out, and nobody has heard of it."""
    storage.put("image", 10)
    options = {"expected_sha256": "0" * 64} if wrong == "digest" else {}
    for turns in range(10):
        sent = storage.bytes_sent
        kind = "file" if wrong == "digest" else "jar"
        async with (
            artifact_at(storage.endpoint, "files/image", kind=kind) as artifact,
            artifact.stream(**options) as chunks,
        ):
            if wrong == "digest":
                assert len(await anext(chunks)) == 10
            else:
                await wait_until(lambda before=sent: storage.bytes_sent == before + 10)
            async with anyio.create_task_group() as group:
                group.start_soon(_next_or_wrong, chunks)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                time.sleep(0.005)
                group.cancel_scope.cancel()
            with anyio.fail_after(5), pytest.raises(IntegrityError):
                await anext(chunks)


async def test_deadline_around_each_chunk_loses_nothing(storage):
    stored = storage.put("image", MIB)
    gate = threading.Semaphore(0)
    # In place of a clock: each further piece is let go only after a deadline has passed.
    storage.fault(before=lambda: gate.acquire(timeout=5), when=lambda request: request.range[0] > 0, times=99)
    async with (
        artifact_at(storage.endpoint, "files/image") as artifact,
        artifact.stream(max_connections=1) as chunks,
    ):
        data, missed = bytearray(), 0
        while len(data) < MIB:
            with anyio.move_on_after(0.01) as deadline:
                data += await anext(chunks)
            if deadline.cancelled_caught:
                missed += 1
                gate.release()
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
    assert data == stored.data
    assert missed >= 3


async def _next_or_wrong(chunks):
    with contextlib.suppress(IntegrityError):
        await anext(chunks)


async def test_stream_survives_broken_connections(storage):
    stored = storage.put("image", SIZE)
    storage.fault(reset=True, after=50_000, times=5)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        assert await _read(artifact) == stored.data


async def test_slow_reader_stops_the_fetchers(storage):
    storage.put("image", 8 * MIB)
    async with artifact_at(storage.endpoint, "files/image") as artifact, artifact.stream() as chunks:
        await anext(aiter(chunks))
        sent = -1
        while storage.bytes_sent != sent:
            sent = storage.bytes_sent
            await anyio.sleep(0.1)
        # The window, what was begun in it, and what the sockets hold.
        assert sent <= SMALL.blocks * SMALL.block + 2 * SMALL.longest_piece + 2 * MIB
        await _drain(chunks)
    # Counted when the system has taken them, which may be after they have come.
    await wait_until(lambda: storage.bytes_sent == 8 * MIB)


async def _drain(chunks):
    async for _ in chunks:
        pass


async def test_breaking_out_of_a_stream_leaves_nothing_behind(storage):
    storage.put("image", SIZE)
    storage.fault(stall=True, after=10, times=100, when=lambda request: request.range[0] > 0)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        async with artifact.stream() as chunks:
            async for _ in chunks:
                break
        with pytest.raises(KeyError):
            async with artifact.stream() as chunks:
                raise KeyError


async def test_stream_of_wrong_bytes_ends_in_an_error(storage):
    stored = storage.put("image", SIZE)
    storage.fault(corrupt=True)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(IntegrityError) as caught:
            await _read(artifact, expected_sha256=stored.sha256)
    assert caught.value.expected == stored.sha256


async def test_stream_of_a_changing_object_ends_in_an_error(storage):
    storage.put("image", SIZE)
    storage.fault(before=lambda: storage.put("image", SIZE + 1), when=lambda request: request.range[0] > MIB)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(ObjectChangedError, match=r"image\.tar changed"):
            await _read(artifact)


async def test_stream_that_cannot_go_on_ends_in_the_cause(storage):
    storage.put("image", SIZE)
    storage.fault(reset=True, times=1000)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(ReadError):
            await _read(artifact)


async def test_stream_follows_latest_that_moved_before_it_began(storage):
    new = storage.put("image", SIZE)

    async def refresh():
        return Expectation(size=SIZE, sha256=new.sha256)

    async with artifact_at(
        storage.endpoint, "files/image", size=1, sha256="0" * 64, refresh=refresh
    ) as artifact:
        assert await _read(artifact) == new.data


async def test_stream_of_a_size_that_stays_wrong_is_refused_at_once(storage):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", size=1) as artifact:
        with pytest.raises(IntegrityError, match="expected 1 bytes"):
            await _read(artifact)
    assert len(storage.of("store")) == 1


async def test_file_object_gets_the_bytes_in_order(storage):
    stored = storage.put("image", SIZE)
    target = io.BytesIO()
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(target)
    assert target.getvalue() == stored.data
    assert result.path is None
    assert (result.size, result.sha256, result.bytes_fetched) == (SIZE, stored.sha256, SIZE)


async def test_file_object_that_takes_little_at_a_time_gets_everything(storage):
    stored = storage.put("image", 100_000)

    class Reluctant(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data)[:7_000])

    target = Reluctant()
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await artifact.download(target)
    assert target.getvalue() == stored.data


async def test_file_object_without_a_count_gets_everything(storage):
    stored = storage.put("image", 100_000)
    parts = []

    class Silent:
        def write(self, data):
            parts.append(bytes(data))

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await artifact.download(Silent())
    assert b"".join(parts) == stored.data


async def test_failing_file_object_stops_the_fetchers(storage):
    storage.put("image", SIZE)

    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(28, "no space left")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(OSError, match="no space left"):
            await artifact.download(Full())


async def test_pipe_waits_for_its_reader_and_gets_the_bytes(storage, tmp_path):
    stored = storage.put("image", SIZE)
    os.mkfifo(tmp_path / "pipe")
    received = []

    def read():
        with (tmp_path / "pipe").open("rb") as pipe:
            received.append(pipe.read())

    async with artifact_at(storage.endpoint, "files/image") as artifact, anyio.create_task_group() as group:

        async def read_later():
            await anyio.sleep(0.1)
            await to_thread.run_sync(read)

        group.start_soon(read_later)
        result = await artifact.download(tmp_path / "pipe")
    assert received == [stored.data]
    assert result.path is None


async def test_pipe_nobody_reads_can_be_cancelled(storage, tmp_path):
    storage.put("image", SIZE)
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with artifact_at(storage.endpoint, "files/image") as artifact:
            with anyio.move_on_after(0.2) as scope:
                await artifact.download(tmp_path / "pipe")
    finally:
        os.close(descriptor)
    assert scope.cancelled_caught


async def test_device_is_written_to_and_not_replaced(storage):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download("/dev/null")
    assert result.size == SIZE
    assert threading.current_thread() is threading.main_thread()


async def test_pipe_without_permission_is_the_system_s_error(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(OSError, match="/dev/"):
            await artifact.download("/dev/fd/987654/x")
