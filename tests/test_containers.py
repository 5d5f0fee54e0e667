"""Images on their way into container engines and registries: the real ones, as Debian packages them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.command_line import Here

pytest_plugins = ["tests.servers.fixtures"]


@pytest.fixture
def dr(capfd, monkeypatch):
    """Run command lines where nothing is known of a service: all of these have the file already."""
    return Here(capfd, monkeypatch)


@pytest.fixture
def image(tmp_path):
    """Give an image's file, with a sidecar beside it, and its id."""

    def make(name="image.tar.gz"):
        path = tmp_path / name
        # Imported here: pytest rewrites what it loads as a plugin, and must do so first.
        from tests.servers.containers import save_image

        image_id = save_image(path)
        _write_sidecar(path)
        return path, image_id

    return make


def _write_sidecar(path):
    made = subprocess.run(["sha256sum", path.name], cwd=path.parent, check=True, stdout=subprocess.PIPE)
    path.with_name(f"{path.name}.sha256").write_bytes(made.stdout)


def _write_manifest(path, image_id):
    import hashlib

    said = {
        "format": "datarobot-mlops-artifact",
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "docker_image_id": image_id,
    }
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(said))


def _install(directory, monkeypatch, name, script):
    """Put a program on the path, before all others."""
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return program


def _images(*command, **environment):
    listed = subprocess.run(
        [*command, "images", "--no-trunc", "--quiet"],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    return listed.stdout.decode().split()


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
def test_docker_gets_the_image(dr, image, docker_socket, monkeypatch, name):
    path, image_id = image(name)
    monkeypatch.setenv("DOCKER_HOST", docker_socket)
    ran = dr("pps-image", "load", "--file", path)
    assert ran.code == 0, ran.err
    assert "Loaded image: datarobot/pps:1" in ran.err
    assert image_id in _images("docker")
    assert path.exists()


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
def test_podman_gets_the_image_unpacked(dr, image, podman_storage, monkeypatch, name):
    path, image_id = image(name)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(podman_storage))
    ran = dr("pps-image", "load", "--engine", "podman", "--file", path)
    assert ran.code == 0, ran.err
    assert image_id in _images("podman")


def test_all_that_an_engine_says_is_shown_when_it_fails(dr, tmp_path, podman_storage, monkeypatch):
    path = tmp_path / "image.tar"
    path.write_bytes(b"no image at all" * 1000)
    _write_sidecar(path)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(podman_storage))
    ran = dr("pps-image", "load", "--engine", "podman", "--file", path)
    assert ran.code == 1
    # podman tells each format that it has tried on a line of its own.
    assert len([line for line in ran.err.splitlines() if line.startswith(" * ")]) >= 2
    assert f"--file {path}" in ran.err.splitlines()[-1]


def test_archive_that_ends_early_is_refused_by_the_engine(dr, image, podman_storage, monkeypatch):
    path, _ = image()
    path.write_bytes(path.read_bytes()[:1000])
    _write_sidecar(path)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(podman_storage))
    ran = dr("pps-image", "load", "--engine", "podman", "--file", path)
    assert ran.code == 1
    assert "refused the image" in ran.err


def test_engine_that_does_not_read_is_not_waited_for(dr, image, tmp_path, monkeypatch):
    path, _ = image()
    _install(tmp_path, monkeypatch, "podman", 'if [ "$1" = load ]; then echo no >&2; exit 3; fi')
    ran = dr("pps-image", "load", "--engine", "podman", "--file", path)
    assert ran.code == 1
    assert "refused the image: no" in ran.err


def test_changed_file_is_not_loaded(dr, image, tmp_path, monkeypatch):
    path, _ = image()
    _install(tmp_path, monkeypatch, "docker", f'[ "$1" = info ] || touch {tmp_path}/loaded')
    with path.open("r+b") as file:
        file.write(b"?")
    ran = dr("pps-image", "load", "--file", path)
    assert ran.code == 7
    assert "expected" in ran.error
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
def test_pushed_image_comes_back_with_the_same_id(dr, image, registry, tmp_path, name):
    path, image_id = image(name)
    _write_manifest(path, image_id)
    reference = f"{registry}/datarobot/{name.replace('.', '-')}:1"
    ran = dr("pps-image", "push", reference, "--file", path, "--insecure-registry")
    assert ran.code == 0, ran.err
    assert ran.lines[-1] == f"{reference} {image_id}"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [name, f"{name}.manifest.json", f"{name}.sha256"]
    )
    back = tmp_path / "back"
    pull = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"dir:{back}"]
    subprocess.run(pull, check=True)
    assert json.loads((back / "manifest.json").read_text())["config"]["digest"] == image_id


def test_other_image_in_the_registry_than_promised_is_an_error(dr, image, registry):
    path, _ = image()
    _write_manifest(path, "sha256:" + "0" * 64)
    ran = dr("pps-image", "push", f"{registry}/other:1", "--file", path, "--insecure-registry")
    assert ran.code == 7
    assert f"should have sha256:{'0' * 64}" in ran.err.splitlines()[-1]


def test_push_without_a_known_id_says_that_nothing_was_compared(dr, image, registry):
    path, image_id = image()
    ran = dr("pps-image", "push", f"{registry}/unknown:1", "--file", path, "--insecure-registry")
    assert ran.code == 0
    assert "was not compared" in ran.err
    assert image_id in ran.out


def test_registry_that_cannot_be_reached_shows_what_the_tool_said(dr, image, registry):
    path, _ = image()
    ran = dr("pps-image", "push", "127.0.0.1:1/pps:1", "--file", path, "--insecure-registry")
    assert ran.code == 1
    assert "127.0.0.1:1/pps:1 was not pushed" in ran.err
    assert "connection refused" in ran.err


# Not crane itself, which no distribution packages: a script that keeps what crane would be asked to do.
_CRANE = """
echo "$@" >> {log}
[ "$1" = push ] && cp "$3" {log}.pushed
[ "$1" = manifest ] && echo '{answer}'
true
"""


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ('{"config": {"digest": "sha256:abc"}}', 0, "sha256:abc"),
        ('{"manifests": []}', 1, "does not name an image"),
        ("nonsense", 1, "does not name an image"),
    ],
)
def test_crane_pushes_where_it_is_there(dr, image, tmp_path, monkeypatch, answer, code, words):
    path, _ = image()
    log = tmp_path / "log"
    _install(tmp_path, monkeypatch, "crane", _CRANE.format(log=log, answer=answer))
    ran = dr("pps-image", "push", "registry/pps:1", "--tool", "crane", "--file", path, "--insecure-registry")
    assert ran.code == code, ran.err
    assert words in ran.out + ran.err
    push, manifest = log.read_text().splitlines()
    assert push.split()[:2] == ["push", "--insecure"]
    assert push.split()[3] == "registry/pps:1"
    assert manifest == "manifest --insecure registry/pps:1"
    # What it got is not compressed, and is gone.
    assert Path(f"{log}.pushed").read_bytes()[:2] != b"\x1f\x8b"
    assert not Path(push.split()[2]).exists()


def test_push_without_a_tool_says_what_to_install(dr, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = dr("pps-image", "push", "registry/pps:1", "--file", tmp_path / "x")
    assert ran.code == 1
    assert "no skopeo and no crane here: install skopeo or crane" in ran.error
    assert "no mine here: install mine" in dr("pps-image", "push", "r/p:1", "--tool", "mine").error


def test_image_of_the_service_is_loaded_and_pushed(
    dr, datarobot_emulator, docker_socket, registry, tmp_path, monkeypatch
):
    monkeypatch.setenv("DOCKER_HOST", docker_socket)
    image_id = dr("pps-image", "metadata", "--json").json["docker_image_id"]
    ran = dr("pps-image", "load", "--directory", tmp_path)
    assert ran.code == 0, ran.err
    assert f"sha256:{image_id.removeprefix('sha256:')}" in _images("docker")
    ran = dr("pps-image", "push", f"{registry}/pps:1", "--directory", tmp_path, "--insecure-registry")
    assert ran.code == 0, ran.err
    assert image_id in ran.lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_file_is_verified_on_the_command_line(dr, image):
    path, _ = image()
    ran = dr("pps-image", "verify", path)
    assert (ran.code, ran.out) == (0, f"{path}\n")
    assert f"SHA-256 verified by {path.name}.sha256: " in ran.err
    sidecar = path.with_name(f"{path.name}.sha256")
    digest = sidecar.read_text().split()[0]
    sidecar.rename(path.with_name("SUMS"))
    assert dr("pps-image", "verify", path, "--against", path.with_name("SUMS")).code == 0
    assert dr("pps-image", "verify", path, "--sha256", digest).code == 0
    assert dr("pps-image", "verify", path, "--sha256", "0" * 64).code == 7
    assert "there is no sidecar or manifest beside it" in dr("pps-image", "verify", path).error


def test_file_is_verified_against_the_service(dr, datarobot_emulator, tmp_path):
    ran = dr("pps-image", "download", f"{tmp_path}/", "--sidecar", "--manifest")
    assert ran.code == 0
    [path] = ran.lines
    assert dr("pps-image", "verify", path, "--service").code == 0
    before = len(datarobot_emulator.requests)
    assert dr("pps-image", "verify", path).code == 0
    assert len(datarobot_emulator.requests) == before
    with Path(path).open("ab") as file:
        file.write(b"more")
    ran = dr("pps-image", "verify", path, "--service")
    assert ran.code == 7
    assert "expected" in ran.error
    assert dr("pps-image", "verify", path, "--service", "--against", path).code == 2
