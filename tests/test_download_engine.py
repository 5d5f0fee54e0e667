"""What moves the bytes: order in bounded memory, many downloads at a time, slow pieces, cancelled reads."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import pytest
from anyio import to_thread
from attrs import evolve

from datarobot_mlops_async._download._consumer import FileConsumer, Hasher
from datarobot_mlops_async._download._expectation import Expectation
from datarobot_mlops_async._download._reorder_buffer import AbandonedError, PieceSink, ReorderBuffer
from datarobot_mlops_async._download._resume_state import ResumeState
from datarobot_mlops_async.artifacts import RateLimit
from datarobot_mlops_async.errors import DownloadError, IntegrityError
from tests.servers.clients import KIB, MIB, SMALL, artifact_at
from tests.servers.mirror import mirroring
from tests.waiting import cancelled_when, wait_until

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 3 * MIB + 12_345


class File:
    """As much of a partial file as receivers and hash need."""

    def __init__(self, cut=False):
        self.written = {}
        self._cut = cut

    def write_at(self, view, offset):
        self.written[offset] = bytes(view)

    def read_at(self, view, offset):
        data = b"" if self._cut else self.written[offset][:3]
        view[: len(data)] = data
        return len(data)


def buffer(**changes):
    return ReorderBuffer(**{"start": 0, "block": 3, "span": 6, "window": 12, "ahead": 6, **changes})


def receive(buffers, start, file=None):
    """Receive one block."""
    sink = PieceSink(buffers, start, start + 3, write=file and file.write_at)
    sink.get_buffer()[:] = bytes([start]) * 3
    sink.buffer_updated(3)


def idle(buffers):
    """Let the hash wait for its first block, as it does when the network is slow."""
    thread = threading.Thread(target=lambda: buffers.release(buffers.take()))
    thread.start()
    while not buffers.claim(6, wait=False):
        pass
    return thread


def test_blocks_far_ahead_of_the_hash_leave_memory_and_come_back_in_order():
    file, buffers = File(), buffer()
    waiting = idle(buffers)
    for start in (9, 6, 3, 0):
        receive(buffers, start, file)
    waiting.join()
    buffers.finish(12)
    hasher = Hasher(Expectation())
    hasher.update(memoryview(b"\x00\x00\x00"))
    consumer = FileConsumer(buffers, file, hasher, state=ResumeState())
    consumer.run()
    expected = Hasher(Expectation())
    expected.update(memoryview(b"".join(bytes([start]) * 3 for start in (0, 3, 6, 9))))
    assert hasher.hexdigest() == expected.hexdigest()
    assert sorted(file.written) == [0, 3, 6, 9]
    assert consumer.read_back == 6
    assert consumer.note().verified == 12
    assert buffers.arrived == buffers.taken == 12


def test_partial_cut_by_somebody_else_is_an_error():
    file, buffers = File(cut=True), buffer()
    waiting = idle(buffers)
    for start in (6, 3, 0):
        receive(buffers, start, file)
    waiting.join()
    with pytest.raises(DownloadError, match="cut short"):
        FileConsumer(buffers, file, Hasher(Expectation()), state=ResumeState()).run()


def test_nobody_runs_ahead_of_a_hash_that_has_work():
    buffers = buffer()
    assert buffers.claim(5, wait=False)
    assert buffers.claim(6, wait=False) is None
    # What an earlier download left has to be hashed first, and the network should not wait for that.
    buffers.catching_up = True
    assert buffers.claim(6, wait=False)
    assert buffers.claim(12, wait=False) is None


def test_worker_alone_runs_only_a_little_ahead_of_a_busy_hash():
    buffers = buffer(ahead=3)
    assert buffers.claim(0, wait=False)
    assert buffers.claim(3, wait=False) is None
    buffers.workers = 2
    assert buffers.claim(3, wait=False).kept
    # Never beyond what stays in memory: a stream has nowhere to read it back from.
    assert buffer(ahead=600).claim(6, wait=False) is None


def test_receiver_waits_for_the_hash_until_the_download_is_abandoned():
    buffers = buffer()
    sink = PieceSink(buffers, 6, 9, write=None)
    errors = []

    def wait():
        try:
            sink.prepare()
        except AbandonedError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not sink.waiting:
        pass
    buffers.abandon(KeyError("first"))
    buffers.abandon(KeyError("second"))
    thread.join()
    assert len(errors) == 1
    for ask in (buffers.take, buffers.check):
        with pytest.raises(KeyError, match="first"):
            ask()
    with pytest.raises(AbandonedError):
        receive(buffers, 0)
    with pytest.raises(AbandonedError):
        buffers.sleep(60)


async def test_server_that_is_slow_gets_more_connections(storage, tmp_path):
    stored = storage.put("image", SIZE)
    waiting, all_there = [], threading.Event()

    def hold():
        waiting.append(None)
        if len(waiting) == 4:
            all_there.set()
        all_there.wait(30)

    storage.fault(before=hold, times=1000, when=lambda request: request.range[0] > 0)
    fields = {
        "sha256": stored.sha256,
        # A tick of production's length, in which starting up is not all there is.
        "tuning": evolve(SMALL, tick=0.05),
        "session_options": {"timeout": 60},
    }
    async with artifact_at(storage.endpoint, "files/image", **fields) as artifact:
        await artifact.download(tmp_path / "image", max_connections=8)
    assert all_there.is_set()
    assert (tmp_path / "image").read_bytes() == stored.data


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_piece_that_is_slow_on_every_connection_is_left_alone(storage, tmp_path, anyio_backend):
    stored = storage.put("image", 2 * MIB)
    last = 2 * MIB - 128 * KIB
    storage.fault(after=127 * KIB, trickle=0.002, when=lambda request: request.range[0] == last)
    storage.fault(after=1, trickle=0.002, times=100, when=lambda request: request.range[0] > last)
    tuning = evolve(SMALL, longest_piece=128 * KIB, low_speed=evolve(SMALL.low_speed, floor=1.0))
    async with artifact_at(storage.endpoint, "files/image", tuning=tuning) as artifact:
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert len([each for each in storage.of("store") if each.range[0] >= last]) == 4


async def test_cancelled_read_of_a_stream_loses_nothing(storage):
    stored = storage.put("image", SIZE)
    gate = threading.Event()
    storage.fault(before=gate.wait, when=lambda request: request.range[0] > 0, times=100)
    data = b""
    async with artifact_at(storage.endpoint, "files/image") as artifact, artifact.stream() as chunks:
        while len(data) < 256 * KIB:
            data += await anext(chunks)
        for _ in range(3):
            async with cancelled_when(lambda: len(storage.of("store")) > 1) as scope:
                data += await anext(chunks)
            assert scope.cancelled_caught
        gate.set()
        async for chunk in chunks:
            data += chunk
    assert data == stored.data


async def test_many_downloads_at_a_time_take_no_thread_that_others_share(storage, tmp_path):
    stored = storage.put("image", SIZE)
    gate = threading.Event()
    storage.fault(before=gate.wait, when=lambda request: request.range[0] > 0, times=1000)
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(artifact.download, tmp_path / f"image{number}")
            try:
                await wait_until(lambda: len({each.range for each in storage.of("store")}) >= 2)
                assert limiter.borrowed_tokens == 0
                await to_thread.run_sync(gate.set)
            finally:
                gate.set()
        async with artifact.stream() as chunks:
            assert b"".join([chunk async for chunk in chunks]) == stored.data
    assert {each.read_bytes() for each in tmp_path.iterdir()} == {stored.data}


def test_rate_limit_makes_receivers_wait_and_can_be_changed():
    limit = RateLimit(1000)
    assert limit.spend(500, 10.0) == pytest.approx(0.4)
    assert limit.spend(100, 10.0) == pytest.approx(0.5)
    limit.rate = 100
    assert limit.portion == 5
    assert limit.spend(100, 10.0) == pytest.approx(1.5)
    assert limit.spend(10, 100.0) == 0
    for rate in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="more than 0"):
            RateLimit(rate)


async def test_max_rate_is_kept_and_nobody_counts_as_slow(storage, tmp_path):
    stored = storage.put("image", 256 * KIB)
    # Far below the floor, until it is raised in the middle.
    limit = RateLimit(500.0)
    reports = []

    def on_progress(progress):
        reports.append(progress)
        if len(reports) == 8:
            limit.rate = 1e9

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image", max_rate=limit, on_progress=on_progress)
    assert result.sha256 == stored.sha256
    assert result.bytes_fetched == 256 * KIB
    assert reports[6].fetched == 0


class WatchedRate(RateLimit):
    """Notes what is spent, and how long who has spent it must wait."""

    def __init__(self, rate):
        super().__init__(rate)
        self.spent, self.waits = [], []

    def spend(self, count, now):
        wait = super().spend(count, now)
        self.spent.append(count)
        self.waits.append(wait)
        return wait


async def test_rate_is_shared_by_downloads_at_the_same_time(storage, tmp_path):
    storage.put("image", SIZE)
    # A byte in a thousand seconds: whoever comes second waits for its own and for the first one's.
    slow, quick = WatchedRate(0.001), WatchedRate(1e12)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        async with cancelled_when(lambda: len(slow.waits) >= 3), anyio.create_task_group() as group:
            for name in "abc":
                group.start_soon(
                    partial(artifact.download, tmp_path / name, max_connections=1, max_rate=slow)
                )
        assert slow.spent == [1, 1, 1]
        assert sorted(slow.waits) == pytest.approx([1000, 2000, 3000], abs=300)
        async with anyio.create_task_group() as group:
            for name in "de":
                group.start_soon(partial(artifact.download, tmp_path / name, max_rate=quick))
    assert sum(quick.spent) == 2 * SIZE


async def test_mirrors_are_asked_in_turn_and_without_the_token(storage, tmp_path):
    stored = storage.put("image", SIZE)
    with mirroring(stored.data) as one, mirroring(stored.data) as other:
        async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
            result = await artifact.download(tmp_path / "image", mirrors=[one.url, other.url])
    assert result.sha256 == stored.sha256
    assert storage.requests == []
    assert one.asked
    assert other.asked
    assert one.tokens == other.tokens == 0


async def test_mirror_on_the_service_s_own_host_gets_no_token_either(storage, tmp_path):
    stored = storage.put("image", SIZE)
    url = f"{storage.endpoint}/files/direct/image"
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image", mirrors=[url])
    assert "authorization" not in storage.of("api")[0].headers
    assert (tmp_path / "image").read_bytes() == stored.data


@pytest.mark.parametrize("failure", ["refuses", "breaks off", "has another size", "is gone"])
async def test_mirror_that_fails_is_replaced_by_the_service(storage, tmp_path, failure):
    stored = storage.put("image", SIZE)
    with mirroring(stored.data[1:] if failure == "has another size" else stored.data) as mirror:
        mirror.status = 403 if failure == "refuses" else 206
        mirror.breaks = failure == "breaks off"
        url = "http://127.0.0.1:1/" if failure == "is gone" else mirror.url
        async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
            # Over one connection: several would have asked before the first of them can tell.
            await artifact.download(tmp_path / "image", mirrors=[url], max_connections=1)
    assert (tmp_path / "image").read_bytes() == stored.data
    assert len(mirror.asked) <= 1
    assert storage.of("store")


async def test_mirror_with_other_bytes_costs_time_only(storage, tmp_path, caplog):
    stored = storage.put("image", SIZE)
    with mirroring(bytes(SIZE)) as mirror:
        async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
            result = await artifact.download(tmp_path / "image", mirrors=[mirror.url])
            assert result.bytes_fetched == 2 * SIZE
            with pytest.raises(IntegrityError):
                async with artifact.stream(mirrors=[mirror.url]) as chunks:
                    async for _ in chunks:
                        pass
    assert (tmp_path / "image").read_bytes() == stored.data
    assert "other bytes" in caplog.text
    assert "s3cret" not in caplog.text


async def test_mirrors_without_a_digest_are_not_asked(storage, tmp_path, caplog):
    stored = storage.put("image", SIZE)
    with mirroring(stored.data) as mirror:
        async with artifact_at(storage.endpoint, "files/image") as artifact:
            await artifact.download(tmp_path / "image", mirrors=[mirror.url])
    assert mirror.asked == []
    assert "no SHA-256 is known" in caplog.text


@pytest.mark.parametrize("mirror", ["files/image", "ftp://h/image?s3cret"])
async def test_mirror_that_is_no_url_is_the_caller_s_error(storage, tmp_path, mirror):
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(ValueError, match="a mirror is") as caught:
            await artifact.download(tmp_path / "image", mirrors=[mirror])
    assert "s3cret" not in str(caught.value)


async def test_metadata_with_a_hash_that_is_no_sha256_fetch_nothing(storage, tmp_path):
    async with artifact_at(storage.endpoint, "files/image", sha256="md5:1") as artifact:
        with pytest.raises(IntegrityError, match="a SHA-256 in the metadata"):
            await artifact.download(tmp_path / "image")
    assert storage.requests == []


async def test_etag_of_any_bytes_goes_back_as_it_came(storage, tmp_path):
    stored = storage.put("image", SIZE)
    stored.etag = '"\xe9\xff"'
    storage.fault(reset=True, after=1000, times=3)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert {each.headers.get("if-range") for each in storage.of("store")} >= {stored.etag}
