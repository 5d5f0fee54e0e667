"""Downloads from servers that other people wrote: nginx and SeaweedFS's S3."""

from __future__ import annotations

import contextlib
import hashlib
import random
from contextlib import AsyncExitStack

import anyio
import pytest
from attrs import evolve

from datarobot_mlops_async.errors import APIStatusError
from tests.servers.clients import MIB, SMALL, artifact_at

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = 5 * MIB + 99


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nginx_serves_ranges(nginx, tls, tmp_path, scheme):
    sha256 = nginx.put("plain", SIZE)
    endpoint = nginx.endpoint if scheme == "http" else nginx.tls_endpoint
    async with artifact_at(
        endpoint, "plain/plain", sha256=sha256, session_options={"verify": tls.ca_file}
    ) as artifact:
        result = await artifact.download(tmp_path / "image")
        async with artifact.stream() as chunks:
            size = sum([len(chunk) async for chunk in chunks])
    assert result.sha256 == sha256
    assert size == SIZE


async def test_empty_file_at_nginx(nginx, tmp_path):
    sha256 = nginx.put("empty", 0)
    async with artifact_at(nginx.endpoint, "plain/empty", size=0, sha256=sha256) as artifact:
        result = await artifact.download(tmp_path / "image")
    assert result.size == 0
    assert (tmp_path / "image").read_bytes() == b""


async def test_secure_link_that_expires_on_the_way_is_asked_for_again(nginx, storage):
    if not nginx.secure_links:
        pytest.skip("this nginx was built without the secure_link module")
    sha256 = nginx.put("linked", SIZE)
    await _stream_past_an_expiry(
        storage,
        sha256,
        lambda lifetime: (
            f"http://127.0.0.1:{nginx.port}/store/linked?{nginx.signed_query('linked', lifetime)}"
        ),
    )


async def test_presigned_s3_url_that_expires_on_the_way_is_asked_for_again(s3, storage):
    data = random.Random(1).randbytes(SIZE)
    s3.put("image", data)
    sha256 = hashlib.sha256(data).hexdigest()
    await _stream_past_an_expiry(storage, sha256, lambda lifetime: s3.signed_url("image", lifetime))


async def _stream_past_an_expiry(storage, sha256, sign):
    """Wait in the middle until the first link has expired: the clocks count whole seconds.

    A busy machine may be too slow to use a link of one second at all; then a longer one has to do.
    """
    storage.put("any", 0)
    for lifetime in (1, 4, 16):
        lifetimes, asked = iter([lifetime, 60]), len(storage.of("api"))
        storage.redirect = lambda _, each=lifetimes: sign(next(each))
        async with (
            artifact_at(storage.endpoint, "files/any", sha256=sha256) as artifact,
            AsyncExitStack() as stack,
        ):
            try:
                chunks = await stack.enter_async_context(artifact.stream(max_connections=1))
            except APIStatusError as error:
                if error.status not in {403, 410}:
                    raise
                continue
            parts = [await anext(aiter(chunks))]
            await anyio.sleep(lifetime + 1.1)
            parts += [chunk async for chunk in chunks]
        break
    assert hashlib.sha256(b"".join(parts)).hexdigest() == sha256
    assert len(storage.of("api")) - asked == 2


async def test_s3_object_is_downloaded_and_resumed(s3, storage, tmp_path):
    data = random.Random(2).randbytes(SIZE)
    s3.put("resumed", data)
    storage.put("any", 0)
    storage.redirect = lambda _: s3.signed_url("resumed", 60)
    sha256 = hashlib.sha256(data).hexdigest()

    def stop(progress):
        if progress.verified > MIB:
            raise InterruptedError

    # One report for each of the first downloads, and slow enough that it comes in their middle.
    tuning = evolve(SMALL, tick=0.001)
    async with artifact_at(
        storage.endpoint, "files/any", size=SIZE, sha256=sha256, tuning=tuning
    ) as artifact:
        with contextlib.suppress(InterruptedError):
            await artifact.download(tmp_path / "image", max_connections=1, on_progress=stop)
        result = await artifact.download(tmp_path / "image")
    assert result.sha256 == sha256
    assert result.already_present or result.bytes_fetched == SIZE - result.resumed_from
    assert (tmp_path / "image").read_bytes() == data
