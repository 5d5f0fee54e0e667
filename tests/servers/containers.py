"""Container engines and a registry, as Debian packages them, and images for them."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.processes import served


def require(*programs):
    """Skip where programs are missing. (`.ci/run` installs them where it can.)"""
    for each in programs:
        if shutil.which(each) is None:
            pytest.skip(f"{each} is not installed here")


def save_image(path, *, tag="datarobot/pps:1", size=300_000):
    """Write what ``docker save`` would, compressed if the name says so, and return the image's id."""
    layer = _archive({"model.bin": random.Random(tag).randbytes(size)})
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    image_id = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [tag], "Layers": ["layer/layer.tar"]}]
    content = _archive(
        {f"{image_id}.json": config, "layer/layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    )
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return f"sha256:{image_id}"


def _archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def docker_socket():
    """Give the address of a Docker engine that shares nothing with any other."""
    require("dockerd", "docker")
    if os.geteuid() != 0:
        pytest.skip("dockerd needs root")
    # A socket's path may have no more than a hundred characters.
    with _directory() as directory:
        address = f"unix://{directory}/s"
        options = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]
        places = [f"--{what}={directory}/{what}" for what in ("data-root", "exec-root", "pidfile")]

        def answers(_):
            asking = ["docker", "-H", address, "info"]
            return (
                subprocess.run(
                    asking, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
                ).returncode
                == 0
            )

        with served(
            lambda _: ["dockerd", *options, *places, "-H", address],
            0,
            is_up=answers,
            log=directory / "log",
        ):
            yield address
        # It mounts that on itself and leaves it so.
        subprocess.run(["umount", directory / "data-root"], stderr=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="session")
def podman_storage():
    """Give podman's settings for a place of its own."""
    require("podman")
    with _directory() as directory:
        settings = directory / "storage.conf"
        settings.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
        )
        yield settings


@pytest.fixture(scope="session")
def registry():
    """Give the address of an empty registry."""
    require("docker-registry", "skopeo")
    with _directory() as directory:
        settings = directory / "registry.yml"

        def command(ports):
            settings.write_text(
                "version: 0.1\n"
                f"storage: {{filesystem: {{rootdirectory: {directory}/images}}}}\n"
                f"http: {{addr: '127.0.0.1:{ports[0]}'}}\n"
            )
            return ["docker-registry", "serve", settings]

        with served(command, 1, is_up=lambda ports: _answers(ports[0]), log=directory / "log") as ports:
            yield f"127.0.0.1:{ports[0]}"


def _answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    finally:
        connection.close()


@contextmanager
def _directory():
    directory = Path(tempfile.mkdtemp(prefix="mlops-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
