"""Downloads to files, end to end: an API that redirects, a strict store, sockets in between."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import threading
import zipfile

import anyio
import pytest
from attrs import evolve

from datarobot_mlops_async._retry import RetryPolicy
from datarobot_mlops_async.artifacts import Expectation
from datarobot_mlops_async.errors import (
    AuthenticationError,
    DestinationExistsError,
    IntegrityError,
    NotFoundError,
    ObjectChangedError,
    PermissionDeniedError,
    ProtocolError,
    ReadError,
    ServerError,
    StalledError,
)
from tests.servers.clients import MIB, SMALL, artifact_at, leftovers

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 3 * MIB + 12_345


def _behind(offset):
    return lambda request: request.range is not None and request.range[0] >= offset


async def test_download_is_verified_and_put_in_place(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        result = await artifact.download(f"{tmp_path}/images/")
    assert result.path == tmp_path / "images" / "image.tar"
    assert result.path.read_bytes() == stored.data
    assert (result.size, result.sha256, result.resumed_from) == (SIZE, stored.sha256, 0)
    assert result.verified_by == ("metadata",)
    assert result.bytes_fetched == SIZE
    assert not result.already_present
    assert result.elapsed > 0
    assert leftovers(result.path.parent) == []


async def test_pieces_come_over_several_connections_and_one_resolution(storage, tmp_path):
    stored = storage.put("image", SIZE)
    connections = []
    # Slow enough that the hash waits for bytes.
    storage.fault(before=lambda: threading.Event().wait(0.05), times=1000)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await artifact.download(
            tmp_path / "image", on_progress=lambda each: connections.append(each.connections)
        )
    assert (tmp_path / "image").read_bytes() == stored.data
    assert max(connections) > 1
    assert len(storage.of("api")) == 1
    ranges = sorted(each.range for each in storage.of("store"))
    assert ranges[0] == (0, 256 * 1024)
    assert [one[1] for one in ranges[:-1]] == [other[0] for other in ranges[1:]]


async def test_max_connections_one_uses_one_connection(storage, tmp_path):
    stored = storage.put("image", SIZE)
    connections = []
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(
            tmp_path / "image",
            max_connections=1,
            on_progress=lambda each: connections.append(each.connections),
        )
        with pytest.raises(ValueError, match="max_connections"):
            await artifact.download(tmp_path / "image", max_connections=0)
    assert result.sha256 == stored.sha256
    assert max(connections) <= 1


async def test_signed_url_goes_out_byte_for_byte_and_the_token_stays_home(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        await artifact.download(tmp_path / "image")
    # The store answers 403 to a changed signature and 400 to a token.
    assert all("authorization" not in each.headers for each in storage.of("store"))
    assert all(each.headers["accept-encoding"] == "identity" for each in storage.requests)


async def test_expired_url_is_resolved_again_once_for_all(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(before=storage.expire, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert len(storage.of("api")) == 2


async def test_closed_door_is_resolved_again(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(status=404)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(NotFoundError):
            await artifact.download(tmp_path / "image")
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_refusal_that_stays_is_the_caller_s_error(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(status=403, times=100, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(PermissionDeniedError) as caught:
            await artifact.download(tmp_path / "image")
    assert "X-Amz-Signature" not in str(caught.value) + repr(caught.value)
    assert not (tmp_path / "image").exists()


async def test_missing_token_is_the_api_s_error(storage, tmp_path):
    storage.fault(status=401, server="api")
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(AuthenticationError, match="as asked"):
            await artifact.download(tmp_path / "image")


async def test_server_errors_are_retried_until_the_budget_is_used_up(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(status=503, times=2, server="api")
    kept = threading.Event()
    storage.fault(status=500, times=1, when=_behind(MIB), before=lambda: kept.wait(10))
    storage.fault(status=503, times=2, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(ServerError):
            await artifact.download(
                tmp_path / "image", on_progress=lambda each: kept.set() if each.verified else None
            )
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert result.resumed_from > 0


@pytest.mark.parametrize("fault", [{"reset": True}, {"close": True}, {"stall": True}])
async def test_broken_connection_is_replaced_and_its_bytes_kept(storage, tmp_path, fault):
    stored = storage.put("image", SIZE)
    storage.fault(after=100_000, times=3, **fault)
    options = {"timeout": 0.3}
    async with artifact_at(
        storage.endpoint, "files/image", sha256=stored.sha256, session_options=options
    ) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert result.bytes_fetched < SIZE + 4 * SMALL.block


async def test_budget_is_renewed_by_progress(storage, tmp_path):
    stored = storage.put("image", 600_000)
    storage.fault(after=40_000, close=True, times=14)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image", max_connections=1)
    assert result.sha256 == stored.sha256


async def test_silence_on_every_connection_is_a_stall(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(stall=True, times=100, when=_behind(MIB))
    options = {"timeout": 0.1}
    async with artifact_at(storage.endpoint, "files/image", session_options=options) as artifact:
        with pytest.raises(StalledError, match="connections"):
            await artifact.download(tmp_path / "image")
    assert len(leftovers(tmp_path)) == 2


async def test_trickle_is_a_stall(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(after=10, trickle=0.02, times=100)
    tuning = evolve(SMALL, low_speed=evolve(SMALL.low_speed, floor_window=0.15))
    async with artifact_at(storage.endpoint, "files/image", tuning=tuning) as artifact:
        with pytest.raises(StalledError, match="less than 1000 bytes a second"):
            await artifact.download(tmp_path / "image")


async def test_slow_connection_is_dropped_and_its_piece_fetched_again(storage, tmp_path):
    stored = storage.put("image", SIZE)
    # Far above the floor, far below what the connections before it reached.
    storage.fault(after=10, trickle=0.0005, when=_behind(MIB))
    tuning = evolve(SMALL, low_speed=evolve(SMALL.low_speed, floor=1.0))
    async with artifact_at(storage.endpoint, "files/image", tuning=tuning, sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_server_without_ranges_is_one_stream_on_the_same_answer(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(whole=True, times=100)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert len(storage.of("store")) == 1
    assert result.bytes_fetched == SIZE


@pytest.mark.parametrize("fault", [{"chunked": True}, {"endless": True}])
async def test_body_of_unannounced_length_is_read_to_its_end(storage, tmp_path, fault):
    stored = storage.put("image", SIZE)
    storage.fault(whole=True, times=100, **fault)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.size == SIZE
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_single_stream_that_breaks_goes_on_by_range(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(whole=True, after=MIB, reset=True)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert storage.of("store")[1].range[0] > 0


async def test_single_stream_without_ranges_that_breaks_skips_what_is_here(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(whole=True, chunked=True, after=MIB, close=True)
    storage.fault(whole=True, times=100)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert result.bytes_fetched > SIZE


async def test_broken_stream_of_an_unidentified_object_starts_over(storage, tmp_path):
    storage.put("image", SIZE, etag=False).modified = "never"
    fresh = []

    def replace():
        fresh.append(storage.put("image", bytes(SIZE), etag=False))
        fresh[-1].modified = "never"

    storage.fault(whole=True, chunked=True, after=MIB, close=True)
    storage.fault(whole=True, before=replace)
    storage.fault(whole=True, times=100)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == fresh[0].sha256


async def test_encoded_body_is_left_as_it_is_and_the_digest_decides(storage, tmp_path):
    storage.put("image", b"text " * 100_000)
    storage.fault(encode=True, times=100)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(IntegrityError, match="encoded with gzip"):
            await artifact.download(tmp_path / "image")
        with pytest.raises(IntegrityError) as caught:
            await artifact.download(tmp_path / "image", expected_sha256="0" * 64)
        raw = caught.value.actual
        result = await artifact.download(tmp_path / "image", expected_sha256=raw)
    assert result.sha256 == raw
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == raw


async def test_wrong_range_is_never_taken(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(shift=1)
    storage.fault(shift=1, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_object_that_changes_is_fetched_anew_and_never_mixed(storage, tmp_path):
    storage.put("image", SIZE)
    fresh = []
    storage.fault(before=lambda: fresh.append(storage.put("image", SIZE + 1)), when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == fresh[0].data
    assert result.sha256 == fresh[0].sha256


async def test_object_that_keeps_changing_is_an_error(storage, tmp_path):
    storage.put("image", SIZE)
    sizes = iter(range(SIZE + 1, SIZE + 100))
    storage.fault(before=lambda: storage.put("image", next(sizes)), when=_behind(MIB), times=1000)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(ObjectChangedError, match="image.tar kept changing"):
            await artifact.download(tmp_path / "image")
    assert not (tmp_path / "image").exists()


async def test_wrong_bytes_are_refused_and_not_resumed(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(corrupt=True, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(IntegrityError) as caught:
            await artifact.download(tmp_path / "image")
        assert leftovers(tmp_path) == []
        result = await artifact.download(tmp_path / "image")
    assert (caught.value.expected, caught.value.size) == (stored.sha256, SIZE)
    assert caught.value.actual not in {None, stored.sha256}
    assert caught.value.object_changed is None
    assert caught.value.destination == tmp_path / "image"
    assert result.resumed_from == 0


async def test_moved_latest_starts_over_by_itself(storage, tmp_path):
    old, new = storage.put("image", SIZE), storage.put("image", SIZE + 7)
    asked = []

    async def refresh():
        asked.append(True)
        return Expectation(size=len(new.data), sha256=new.sha256)

    async with artifact_at(
        storage.endpoint, "files/image", size=SIZE, sha256=old.sha256, refresh=refresh
    ) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == new.sha256
    assert asked == [True]


async def test_mismatch_says_that_the_metadata_did_not_change(storage, tmp_path):
    storage.put("image", SIZE)

    async def refresh():
        return Expectation(size=SIZE, sha256="0" * 64)

    async with artifact_at(
        storage.endpoint, "files/image", size=SIZE, sha256="0" * 64, refresh=refresh
    ) as artifact:
        with pytest.raises(IntegrityError) as caught:
            await artifact.download(tmp_path / "image")
    assert caught.value.object_changed is False


async def test_caller_and_metadata_that_disagree_fetch_nothing(storage, tmp_path):
    storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", sha256="1" * 64) as artifact:
        with pytest.raises(IntegrityError):
            await artifact.download(tmp_path / "image", expected_sha256="2" * 64)
        with pytest.raises(ValueError, match="64 hexadecimal"):
            await artifact.download(tmp_path / "image", expected_sha256="no digest")
    assert storage.requests == []


async def test_digest_from_response_headers_is_checked(storage, tmp_path):
    stored = storage.put("image", SIZE)
    stored.headers["Repr-Digest"] = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(IntegrityError, match="repr-digest"):
            await artifact.download(tmp_path / "image")


async def test_jar_that_is_no_archive_is_refused_at_its_first_bytes(storage, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0")
    storage.put("good", archive.getvalue())
    storage.put("bad", b"<html>Please log in</html>" * 100_000)
    storage.put("short", b"PK")
    async with artifact_at(storage.endpoint, "files/good", kind="jar") as artifact:
        await artifact.download(tmp_path / "good.jar")
    for name in ("bad", "short"):
        async with artifact_at(storage.endpoint, f"files/{name}", kind="jar") as artifact:
            with pytest.raises(IntegrityError, match="ZIP archive"):
                await artifact.download(tmp_path / "bad.jar")
    assert [each.name for each in tmp_path.iterdir()] == ["good.jar"]


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1])
async def test_sizes_at_the_edges(storage, tmp_path, size):
    stored = storage.put("image", size)
    async with artifact_at(storage.endpoint, "files/image", size=size, sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == stored.data
    assert result.size == size


async def test_destination_with_the_right_bytes_is_left_alone(storage, tmp_path):
    stored = storage.put("image", SIZE)
    (tmp_path / "image").write_bytes(stored.data)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.already_present
    assert result.sha256 == stored.sha256
    assert storage.requests == []
    assert leftovers(tmp_path) == []


async def test_other_destination_is_replaced_only_when_asked(storage, tmp_path):
    stored = storage.put("image", SIZE)
    (tmp_path / "image").write_bytes(b"other")
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(DestinationExistsError, match="overwrite=True"):
            await artifact.download(tmp_path / "image")
        assert (tmp_path / "image").read_bytes() == b"other"
        result = await artifact.download(tmp_path / "image", overwrite=True)
    assert (tmp_path / "image").read_bytes() == stored.data
    assert not result.already_present


async def test_link_at_the_destination_is_followed(storage, tmp_path):
    stored = storage.put("image", SIZE)
    (tmp_path / "disk").mkdir()
    (tmp_path / "image").symlink_to(tmp_path / "disk" / "image")
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert (tmp_path / "disk" / "image").read_bytes() == stored.data
    assert (tmp_path / "image").is_symlink()
    assert result.path == tmp_path / "disk" / "image"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=\"../../etc/pass wd\"; filename*=UTF-8''..%2F..%2Fb%C3%A4r.tar", "bär.tar"),
        ('attachment; filename="C:\\\\images\\\\pps.tar"', "pps.tar"),
        ("attachment", "image"),
    ],
)
async def test_name_in_a_directory_comes_from_the_server_and_is_safe(storage, tmp_path, header, name):
    stored = storage.put("image", SIZE)
    stored.headers["Content-Disposition"] = header
    async with artifact_at(storage.endpoint, "files/image", filename=None) as artifact:
        result = await artifact.download(tmp_path)
    assert result.path == tmp_path / name
    assert result.path.read_bytes() == stored.data


async def test_file_mode_follows_the_umask(storage, tmp_path):
    storage.put("image", 10)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_progress_never_goes_back(storage, tmp_path):
    stored = storage.put("image", SIZE)
    reports = []
    storage.fault(before=lambda: threading.Event().wait(0.03), after=100_000, close=True, times=8)
    storage.fault(before=lambda: threading.Event().wait(0.03), times=1000)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        await artifact.download(tmp_path / "image", on_progress=reports.append)
    assert len(reports) > 2
    for before, after in itertools.pairwise(reports):
        assert before.fetched <= after.fetched
        assert before.verified <= after.verified
        assert after.elapsed - before.elapsed >= 0.099 or after is reports[-1]
    last = reports[-1]
    assert (last.fetched, last.verified, last.total) == (SIZE, SIZE, SIZE)
    assert all(each.verified <= each.fetched <= SIZE and each.rate >= 0 for each in reports)


async def test_error_in_the_progress_callback_ends_the_download(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(before=lambda: threading.Event().wait(0.2), times=1000)

    def fail(progress):
        raise LookupError("the caller's own")

    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(LookupError, match="the caller's own"):
            await artifact.download(tmp_path / "image", on_progress=fail)


async def test_cancelling_is_immediate_and_leaves_a_resumable_partial(storage, tmp_path):
    stored = storage.put("image", SIZE)
    storage.fault(stall=True, after=50_000, times=100, when=_behind(MIB))
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        reached = anyio.Event()

        def watch(progress):
            if progress.verified >= MIB:
                reached.set()

        async with anyio.create_task_group() as group:

            async def download():
                await artifact.download(tmp_path / "image", on_progress=watch)

            group.start_soon(download)
            await reached.wait()
            cancelled_at = anyio.current_time()
            group.cancel_scope.cancel()
        # Far below the five seconds after which silence would end it.
        assert anyio.current_time() - cancelled_at < 2
        storage.faults.clear()
        result = await artifact.download(tmp_path / "image")
    assert result.resumed_from >= MIB
    assert result.sha256 == stored.sha256
    assert (tmp_path / "image").read_bytes() == stored.data


async def test_redirect_from_https_to_http_is_refused(tls_storage, tls, tmp_path):
    tls_storage.put("image", SIZE)
    tls_storage.redirect = lambda location: location.replace("https:", "http:")
    options = {"verify": tls.ca_file}
    async with artifact_at(tls_storage.endpoint, "files/image", session_options=options) as artifact:
        with pytest.raises(ProtocolError, match="from https to http"):
            await artifact.download(tmp_path / "image")


async def test_scheme_in_capitals_does_not_hide_a_redirect_to_http(tls_storage, tls, tmp_path):
    stored = tls_storage.put("image", SIZE)
    hops = []

    def redirect(location):
        hops.append(location)
        if len(hops) == 1:
            return f"{tls_storage.endpoint.replace('https:', 'HTTPS:')}/files/image"
        return location.replace("https:", "http:")

    tls_storage.redirect = redirect
    options = {"verify": tls.ca_file}
    async with artifact_at(
        tls_storage.endpoint, "files/image", sha256=stored.sha256, session_options=options
    ) as artifact:
        with pytest.raises(ProtocolError, match="from https to http"):
            await artifact.download(tmp_path / "image")
    assert len(hops) == 2


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "redirect to nowhere"),
        ("/api/v2/files/image", "more than 10 redirects"),
        ("ftp://127.0.0.1/x", "not an http"),
        ("http://[", "not a URL"),
    ],
)
async def test_redirect_that_cannot_be_followed_is_an_error(storage, tmp_path, location, message):
    storage.put("image", 0)
    storage.redirect = lambda _: location
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(ProtocolError, match=message):
            await artifact.download(tmp_path / "image")


async def test_direct_answer_needs_no_redirect(storage, tmp_path):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/direct/image", sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == stored.sha256
    assert storage.of("store") == []


async def test_no_retries_means_none(storage, tmp_path):
    storage.put("image", SIZE)
    storage.fault(reset=True, after=10)
    options = {"retry": RetryPolicy(max_retries=0)}
    async with artifact_at(storage.endpoint, "files/image", session_options=options) as artifact:
        with pytest.raises(ReadError):
            await artifact.download(tmp_path / "image")
