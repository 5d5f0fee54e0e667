"""Files that are checked again: against what lies beside them, and against the service."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess

import anyio
import pytest

from datarobot_mlops_async import verify_file
from datarobot_mlops_async.errors import DestinationError, DownloadError, FileError, IntegrityError
from tests.servers.clients import MIB, artifact_at
from tests.servers.storage import TOKEN
from tests.waiting import cancelled_when

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.anyio

SIZE = MIB + 7
NAME = "image.tar.gz"
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def _downloaded(storage, directory, name=NAME, **fields):
    stored = storage.put("image", SIZE)
    async with artifact_at(storage.endpoint, "files/image", kind="image", **fields) as artifact:
        await artifact.download(directory / name, sidecar=True, manifest=True)
    return stored


async def test_downloaded_file_is_verified_without_a_network(storage, tmp_path):
    stored = await _downloaded(storage, tmp_path, docker_image_id="sha256:abc")
    storage.requests.clear()
    reports = []
    verified = await verify_file(tmp_path / NAME, on_progress=reports.append)
    assert (verified.sha256, verified.size) == (stored.sha256, SIZE)
    assert verified.verified_by == (f"{NAME}.sha256", f"{NAME}.manifest.json")
    assert verified.docker_image_id == "sha256:abc"
    assert (reports[-1].verified, reports[-1].total) == (SIZE, SIZE)
    assert storage.requests == []


@ASYNCIO
async def test_manifest_says_what_the_file_is_and_not_where_from(storage, tmp_path):
    stored = storage.put("image", SIZE)
    facts = {"kind": "image", "docker_image_id": "sha256:abc", "version": "11.1"}
    async with artifact_at(storage.endpoint, "files/image", **facts) as artifact:
        await artifact.download(tmp_path / NAME, manifest=True)
    assert not (tmp_path / f"{NAME}.sha256").exists()
    text = (tmp_path / f"{NAME}.manifest.json").read_text()
    said = json.loads(text)
    assert said.pop("verified_at").endswith("+00:00")
    assert said.pop("library").startswith("datarobot-mlops-async ")
    assert said == {
        "format": "datarobot-mlops-artifact",
        "format_version": 1,
        "file": NAME,
        "kind": "image",
        "size": SIZE,
        "sha256": stored.sha256,
        "docker_image_id": "sha256:abc",
        "version": "11.1",
        "verified_by": [],
    }
    assert TOKEN not in text
    assert "://" not in text


@ASYNCIO
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="this system has no sha256sum")
@pytest.mark.parametrize("name", [NAME, "a b", "back\\slash", "line\nfeed", "return\r", "\udcff", "-c"])
async def test_sidecar_is_read_by_sha256sum_and_its_own_is_read_here(storage, tmp_path, name):
    await _downloaded(storage, tmp_path, name)
    path, sidecar = tmp_path / name, tmp_path / f"{name}.sha256"
    check = ["sha256sum", "--strict", "-c", "--", sidecar.name]
    subprocess.run(check, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    for option in ("--text", "--binary", "--tag"):
        made = subprocess.run(
            ["sha256sum", option, "--", name], cwd=tmp_path, check=True, stdout=subprocess.PIPE
        ).stdout
        # Among others, so that the name decides.
        sidecar.write_bytes(b"# a comment\n" + hashlib.sha256(b"").hexdigest().encode() + b"  other\n" + made)
        assert (await verify_file(path, against=sidecar)).verified_by == (sidecar.name,)


@ASYNCIO
async def test_file_that_is_there_already_gets_what_lies_beside_it(storage, tmp_path):
    stored = storage.put("image", SIZE)
    (tmp_path / NAME).write_bytes(stored.data)
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        result = await artifact.download(tmp_path / NAME, sidecar=True)
    assert result.already_present
    assert (await verify_file(tmp_path / NAME)).verified_by == (f"{NAME}.sha256",)


@ASYNCIO
@pytest.mark.parametrize("change", ["flip", "cut"])
async def test_file_that_was_changed_is_found_out(storage, tmp_path, change):
    stored = await _downloaded(storage, tmp_path)
    path = tmp_path / NAME
    if change == "cut":
        os.truncate(path, SIZE - 1)
    else:
        path.write_bytes(bytes([stored.data[0] ^ 1]) + stored.data[1:])
    for against in (None, tmp_path / f"{NAME}.sha256", tmp_path / f"{NAME}.manifest.json"):
        with pytest.raises(IntegrityError, match=f"{NAME}: expected"):
            await verify_file(path, against=against)
    with pytest.raises(IntegrityError, match="expected_sha256"):
        await verify_file(path, expected_sha256=stored.sha256)


@ASYNCIO
async def test_file_is_verified_against_the_service(storage, tmp_path):
    stored = await _downloaded(storage, tmp_path)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256=stored.sha256) as artifact:
        assert (await verify_file(tmp_path / NAME, against=artifact)).verified_by == ("metadata",)
    async with artifact_at(storage.endpoint, "files/image", size=SIZE, sha256="0" * 64) as artifact:
        with pytest.raises(IntegrityError, match="metadata"):
            await verify_file(tmp_path / NAME, against=artifact)
    async with artifact_at(storage.endpoint, "files/image") as artifact:
        with pytest.raises(DownloadError, match="nobody says"):
            await verify_file(tmp_path / NAME, against=artifact)


@ASYNCIO
async def test_file_that_was_renamed_is_verified_by_a_sidecar_for_it_alone(storage, tmp_path):
    await _downloaded(storage, tmp_path)
    (tmp_path / NAME).rename(tmp_path / "renamed")
    sidecar = tmp_path / f"{NAME}.sha256"
    assert (await verify_file(tmp_path / "renamed", against=sidecar)).size == SIZE
    sidecar.write_text(sidecar.read_text() + "0" * 64 + "  another\n")
    with pytest.raises(DownloadError, match="does not list renamed"):
        await verify_file(tmp_path / "renamed", against=sidecar)


@ASYNCIO
@pytest.mark.parametrize(
    "content",
    [
        "",
        "nonsense",
        "{",
        "{}",
        "[" * 5000,
        "{" + '"a":{' * 5000,
        '{"format": "datarobot-mlops-artifact", "size": 1, "sha256": "x"}',
        '{"format": "datarobot-mlops-artifact", "size": "1", "sha256": "' + "0" * 64 + '"}',
        '{"format": "datarobot-mlops-artifact", "size": 1, "docker_image_id": 7, "sha256": "'
        + "0" * 64
        + '"}',
        '{"format": "other", "size": 1, "sha256": "' + "0" * 64 + '"}',
    ],
)
async def test_what_is_neither_sidecar_nor_manifest_is_refused(tmp_path, content):
    (tmp_path / "sums").write_text(content)
    (tmp_path / NAME).write_bytes(b"")
    with pytest.raises(DownloadError, match="sums is n"):
        await verify_file(tmp_path / NAME, against=tmp_path / "sums")


@ASYNCIO
async def test_file_without_anything_to_check_it_against_says_so(tmp_path):
    (tmp_path / NAME).write_bytes(b"x")
    with pytest.raises(DownloadError, match="no sidecar or manifest beside it"):
        await verify_file(str(tmp_path / NAME))
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        await verify_file(tmp_path / NAME, expected_sha256="x")


@ASYNCIO
async def test_file_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    for path, against in (
        (tmp_path / "none", None),
        (tmp_path, None),
        (tmp_path / "none", tmp_path / "gone"),
    ):
        with pytest.raises(FileError, match="cannot read") as caught:
            await verify_file(path, expected_sha256="0" * 64, against=against)
        assert caught.value.path in {path, against}


@ASYNCIO
async def test_pipe_in_a_file_s_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / NAME)
    with anyio.fail_after(20), pytest.raises(IntegrityError):
        await verify_file(tmp_path / NAME, expected_sha256="0" * 64)


@ASYNCIO
async def test_sidecar_that_cannot_be_written_is_an_error_of_ours(storage, tmp_path):
    stored = storage.put("image", SIZE)
    (tmp_path / f"{NAME}.sha256").mkdir()
    async with artifact_at(storage.endpoint, "files/image", sha256=stored.sha256) as artifact:
        with pytest.raises(DestinationError, match=r"\.sha256"):
            await artifact.download(tmp_path / NAME, sidecar=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAME, f"{NAME}.sha256"]


async def test_verifying_can_be_cancelled(tmp_path):
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(2**40)
    reports = []
    async with cancelled_when(lambda: len(reports) > 1) as scope:
        await verify_file(tmp_path / NAME, expected_sha256="0" * 64, on_progress=reports.append)
    assert scope.cancelled_caught
    assert 0 < reports[0].verified < 2**40
