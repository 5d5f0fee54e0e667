"""What rarely happens: answers that contradict themselves, files that others touch, races."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import anyio
import pytest

from datarobot_mlops_async._api import Hooks, Options
from datarobot_mlops_async._download._expectation import ArtifactKind, Expectation
from datarobot_mlops_async._download._partial import Partial
from datarobot_mlops_async._download._remote import RemoteObject
from datarobot_mlops_async._download._resume_state import ResumeState, write_state
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async._streaming import resolve_location
from datarobot_mlops_async.errors import (
    ConnectError,
    IntegrityError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReadError,
)
from tests.servers.clients import KIB, MIB, artifact_at
from tests.servers.odd import OddServer

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 2 * MIB + 3


def _behind(offset):
    return lambda request: request.range is not None and request.range[0] >= offset


async def _download(storage, tmp_path, **fields):
    async with artifact_at(storage.endpoint, "files/image", **fields) as artifact:
        return await artifact.download(tmp_path / "image")


async def _fail_half_way(storage, artifact, path):
    fault = storage.fault(reset=True, times=10_000, when=_behind(MIB))
    with pytest.raises(ReadError):
        await artifact.download(path)
    fault.times = 0


async def test_piece_that_ends_early_without_a_length_is_completed(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(endless=True, close=True, after=1000, times=3)
    assert (await _download(storage, tmp_path)).sha256 == stored.sha256


async def test_ranges_without_validators_are_used_where_a_digest_decides(storage, tmp_path):
    stored = storage.put("image", SIZE, etag=False)
    stored.modified = "never"
    storage.fault(reset=True, after=1000, times=3)
    assert (await _download(storage, tmp_path, sha256=stored.sha256)).sha256 == stored.sha256
    assert all(each.range for each in storage.of("store"))


@pytest.mark.parametrize("broken", [False, True])
async def test_object_that_nothing_identifies_comes_in_one_stream(storage, tmp_path, broken):
    old = storage.put("image", SIZE, etag=False)
    old.modified = "never"

    def replace():
        storage.put("image", bytes(SIZE), etag=False).modified = "never"

    # Whenever another request came, it would get another object's bytes.
    storage.fault(before=replace, when=lambda request: request.range is not None and request.range[0] > 0)
    if broken:
        storage.fault(reset=True, after=MIB, when=lambda request: request.range is None)
    result = await _download(storage, tmp_path)
    assert (tmp_path / "image").read_bytes() == old.data
    assert result.sha256 == old.sha256
    assert {each.range for each in storage.of("store")} == {(0, 256 * KIB), None}


async def test_single_stream_of_an_object_that_changed_meanwhile_starts_over(storage, tmp_path):
    storage.put("image", SIZE)
    fresh = []
    storage.fault(whole=True, chunked=True, close=True, after=MIB)
    storage.fault(whole=True, before=lambda: fresh.append(storage.put("image", SIZE + 1)))
    storage.fault(whole=True, times=9)
    result = await _download(storage, tmp_path)
    assert result.sha256 == fresh[0].sha256
    assert (tmp_path / "image").read_bytes() == fresh[0].data


async def test_stream_of_another_size_than_promised_is_refused_at_its_end(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(whole=True, chunked=True)
    with pytest.raises(IntegrityError, match=f"expected 7 bytes, got {SIZE} bytes"):
        await _download(storage, tmp_path, size=7)


async def test_ranges_that_stop_working_start_over(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(whole=True, when=_behind(MIB))
    assert (await _download(storage, tmp_path)).sha256 == stored.sha256


async def test_range_of_an_unknown_total_is_not_used(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(headers={"Content-Range": f"bytes 0-{256 * KIB - 1}/*"})
    assert (await _download(storage, tmp_path)).sha256 == stored.sha256
    assert [each.range for each in storage.of("store")] == [(0, 256 * KIB), None]


async def test_server_that_answers_ranges_nobody_asked_for_is_refused(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(status=206, times=10)
    with pytest.raises(ProtocolError, match="without a range"):
        await _download(storage, tmp_path)


async def test_piece_that_is_refused_as_beyond_the_end_is_a_changed_object(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(status=416, when=_behind(MIB))
    assert (await _download(storage, tmp_path)).sha256 == stored.sha256


async def test_object_that_shrank_since_is_not_resumed(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _fail_half_way(storage, artifact, tmp_path / "image")
        small = storage.put("image", 100)
        small.etag = None
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == small.data
    assert result.resumed_from == 0


async def test_resumed_range_of_another_object_is_not_used(storage, tmp_path):
    old = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await _fail_half_way(storage, artifact, tmp_path / "image")
        new = storage.put("image", bytes(SIZE))
        # A server that does not know If-Range answers with the new object's bytes.
        new.modified = old.etag
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == new.data
    assert result.resumed_from == 0


async def test_name_from_the_server_and_a_prefix_go_together(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", filename=None) as artifact:
        await _fail_half_way(storage, artifact, tmp_path)
        result = await artifact.download(tmp_path)
    assert result.resumed_from > 0
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_metadata_that_moved_to_what_the_caller_expects_are_believed(storage, tmp_path):
    stored = storage.put("image", SIZE)

    async def refresh():
        return Expectation(size=SIZE, sha256=stored.sha256)

    async with artifact_at(storage.endpoint, "files/image", sha256="0" * 64, refresh=refresh) as artifact:
        result = await artifact.download(tmp_path / "image", expected_sha256=stored.sha256)
    assert result.verified_by == ("expected_sha256", "metadata")


async def test_error_body_that_breaks_off_still_tells_the_status(storage, tmp_path):
    storage.fault(status=404, headers={"Content-Length": "1000"}, server="api")
    storage.fault(status=404, server="api")
    async with artifact_at(storage.endpoint, "files/image", session_options={"timeout": 0.2}) as artifact:
        with pytest.raises(NotFoundError, match="not found|as asked"):
            await artifact.download(tmp_path / "image")


async def test_error_body_that_trickles_costs_no_more_than_a_requests_time(tmp_path):
    def answer(connection, request, number):
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\nno such")
        while not server.release.wait(0.05):
            connection.sendall(b" thing")

    with OddServer(answer) as server, anyio.fail_after(10):
        async with artifact_at(server.origin, "files/x", session_options={"timeout": 0.3}) as artifact:
            with pytest.raises(NotFoundError, match="no such thing"):
                await artifact.download(tmp_path / "x")


async def test_jar_promise_holds_for_headers_only_in_part(storage, tmp_path):
    stored = storage.put("image", SIZE)
    expectation = Expectation(kind=ArtifactKind.FILE, filename=None).with_headers(
        {"repr-digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}, whole=False
    )
    assert expectation.digest == "00" * 32
    with pytest.raises(IntegrityError, match="the artifact: expected"):
        expectation.check(size=SIZE, sha256=stored.sha256)


async def test_digesting_a_destination_can_be_cancelled(storage, tmp_path):
    stored = storage.put("image", SIZE)
    with (tmp_path / "image").open("wb") as file:
        file.truncate(2**40)
    with anyio.move_on_after(0.1) as scope:
        await _download(storage, tmp_path, sha256=stored.sha256)
    assert scope.cancelled_caught
    assert storage.requests == []


async def test_waiting_for_another_download_is_said_once(storage, tmp_path, caplog):
    caplog.set_level("INFO", logger="datarobot_mlops_async")
    stored = storage.put("image", SIZE)
    storage.fault(before=lambda: time.sleep(0.3))
    async with (
        artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact,
        anyio.create_task_group() as group,
    ):
        for _ in range(2):
            group.start_soon(artifact.download, tmp_path / "image")
    assert caplog.text.count("waiting for another process") == 1


def test_partial_moved_into_place_while_it_was_waited_for_is_not_taken(tmp_path, monkeypatch):
    first, second = Partial(tmp_path / "image"), Partial(tmp_path / "image")
    assert first.open(is_usable=lambda _: True)
    first.write_at(memoryview(b"all"), 0)
    real_flock = fcntl.flock

    def flock(descriptor, operation):
        # As the other process is done between the probe of its file and the lock.
        if first.is_open and os.fstat(descriptor).st_size == 3:
            first.commit(3, overwrite=False)
            first.close()
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert second.open(is_usable=lambda _: True)
    assert second.state == ResumeState()
    second.tidy()
    second.close()
    assert [each.name for each in tmp_path.iterdir()] == ["image"]


def test_state_without_a_prefix_is_not_copied(tmp_path):
    (tmp_path / ".image.other.part").write_bytes(b"")
    write_state(tmp_path / ".image.other.json", ResumeState())
    partial = Partial(tmp_path / "image")
    assert partial.open(is_usable=lambda _: True)
    partial.close()
    assert partial.state == ResumeState()


def test_state_that_cannot_be_moved_leaves_no_rubbish(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="broken"):
        write_state(tmp_path / "j", ResumeState())
    assert list(tmp_path.iterdir()) == []


def test_location_that_cannot_be_joined_is_refused():
    with pytest.raises(ProtocolError, match="not a URL"):
        resolve_location("http://h/", "//[")


class _Endpoint:
    """As much of an Api as an remote needs."""

    redactor = Redactor(["secret"])
    hooks = Hooks(endpoint="http://api/")
    options = Options()

    def url_of_bytes(self, path):
        return f"http://api/{path}"

    def owns(self, url):
        return url.startswith("http://api/")

    async def headers_for_bytes(self):
        return {"authorization": "secret"}


class _Answer:
    def __init__(self, url, status, headers=None):
        self.url, self.status, self.headers = url, status, headers or {}

    async def aclose(self):
        pass

    async def drain(self, sink):
        sink.abandon()
        raise ReadError("broke")


class _Network:
    """Signed addresses of which only the newest works."""

    def __init__(self, *, door=False, refuse=False):
        self.generation = 0
        self.valid = 0
        self.door, self.refuse = door, refuse

    async def get(self, url, headers):
        assert ("authorization" in headers) == url.startswith("http://api/")
        await anyio.sleep(0.01)
        if url.startswith("http://api/"):
            self.generation += 1
            return _Answer(url, 302, {"location": f"http://store/{self.generation}"})
        if self.refuse:
            return _Answer(url, 403)
        if int(url.rpartition("/")[2]) >= self.valid:
            return _Answer(url, 206)
        if self.door:
            raise ConnectError("closed")
        return _Answer(url, 403)


@pytest.mark.parametrize("door", [True, False])
async def test_many_pieces_find_an_expired_address_and_one_resolves_it(door):
    network = _Network(door=door)
    remote = RemoteObject(_Endpoint(), "x", network)
    await remote.get({})
    network.valid = 2
    statuses = []

    async def get():
        statuses.append((await remote.get({})).status)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(get)
    assert statuses == [206] * 8
    assert network.generation == 2
    assert remote.url == "http://store/2"


async def test_address_that_is_refused_as_soon_as_it_is_new_is_an_error():
    network = _Network()
    remote = RemoteObject(_Endpoint(), "x", network)
    await remote.get({})
    network.refuse = True
    for _ in range(2):
        with pytest.raises(PermissionDeniedError):
            await remote.get({})
    assert network.generation == 3
