"""The README's program: an image on its way from the service into a bucket, without a disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datarobot_mlops_async.emulator import Emulator

pytest_plugins = ["tests.servers.fixtures"]

MIB = 2**20
SIZE = 160 * MIB
PROGRAM = (Path(__file__).parent / "programs" / "to_bucket.py").read_text()

# In a process of its own: its memory is looked at, and obstore keeps threads and sockets as long as it lives.
_COPY = """
import json, os, resource, sys
import anyio
from obstore.store import S3Store

endpoint, key, secret, name = sys.argv[1:]
store = S3Store("artifacts", endpoint=endpoint, access_key_id=key, secret_access_key=secret, region="us-east-1",
                client_options={"allow_http": True})
error = None
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    anyio.run(copy_image, store, name)
except Exception as raised:
    error = type(raised).__name__
print(json.dumps([error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]), flush=True)
# Not through the interpreter's own end: there obstore's threads abort one process in eight (SIGABRT).
os._exit(0)
"""


def copy(s3, emulator, monkeypatch, name):
    monkeypatch.setenv("DATAROBOT_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("DATAROBOT_API_TOKEN", emulator.token)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + _COPY, *s3.settings, name], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def keys_in(s3):
    return [each["Key"] for each in s3.client.list_objects_v2(Bucket="artifacts").get("Contents", [])]


def test_image_is_copied_into_a_bucket_in_bounded_memory(s3, monkeypatch):
    pytest.importorskip("obstore")
    with Emulator(image_size=SIZE) as emulator:
        error, kib = copy(s3, emulator, monkeypatch, "copied")
        assert error is None
    found = s3.client.head_object(Bucket="artifacts", Key="copied")
    assert found["ContentLength"] == SIZE
    # Many parts, and far from all of it in memory at a time.
    assert int(found["ETag"].strip('"').partition("-")[2]) == SIZE // (8 * MIB)
    assert kib * 1024 < SIZE * 0.6
    s3.client.delete_object(Bucket="artifacts", Key="copied")


def test_image_with_wrong_bytes_does_not_appear_in_the_bucket(s3, monkeypatch):
    pytest.importorskip("obstore")
    with Emulator(image_size=24 * MIB, faults=["GET storage corrupt=5000"]) as emulator:
        error, _ = copy(s3, emulator, monkeypatch, "wrong")
    assert error == "IntegrityError"
    assert "wrong" not in keys_in(s3)
    assert not s3.client.list_multipart_uploads(Bucket="artifacts").get("Uploads")
