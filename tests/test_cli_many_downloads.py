"""The scoring code of many deployments in one command: bounded, interrupted, gone on with."""

from __future__ import annotations

import subprocess
import time
import zipfile

import pytest

from datarobot_mlops_async.emulator import Emulator
from tests.command_line import PROGRAM, Here

SUPPORTED = "supports_scoring_code_download\ttrue"


@pytest.fixture
def dr(capfd, monkeypatch):
    return Here(capfd, monkeypatch)


@pytest.fixture
def emulator(monkeypatch):
    with Emulator(deployments=30, operation_seconds=0.02) as running:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", running.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN", running.token)
        yield running


def with_scoring_code(dr):
    ids = [line.split("\t")[0] for line in dr("deployments", "list").lines]
    return {each for each in ids if SUPPORTED in dr("deployments", "capabilities", each).out}


def fetched(emulator):
    return [each.path for each in emulator.requests if each.path.rstrip("/").endswith("scoringCode")]


def test_scoring_code_of_all_that_is_found_goes_into_a_directory(dr, emulator, tmp_path):
    supported = with_scoring_code(dr)
    ran = dr("scoring-code", "download", "--all", f"{tmp_path}/jars/", "--max-connections", 3, "--sidecar")
    names = {each.name for each in (tmp_path / "jars").iterdir()}
    assert names == {f"{each}.jar{end}" for each in supported for end in ("", ".sha256")}
    assert all(zipfile.is_zipfile(path) for path in ran.lines)
    assert len(ran.lines) == len(supported)
    # Those without scoring code are told, each with the server's reason, and summed up.
    assert ran.code == 8
    assert f"{30 - len(supported)} failed: " in ran.err
    assert "the same command tries again what is missing" in ran.err.splitlines()[-1]
    before = len(fetched(emulator))
    ran = dr("scoring-code", "download", "--all", f"{tmp_path}/jars/")
    assert f"{len(supported)} of 30 are here already" in ran.err
    assert len(fetched(emulator)) - before == 30 - len(supported)


def test_filter_chooses_and_a_terminal_shows_one_bar(dr, emulator, tmp_path):
    chosen = min(with_scoring_code(dr))
    label = next(line for line in dr("deployments", "list").lines if line.startswith(chosen)).split("\t")[1]
    ran = dr("scoring-code", "download", "--search", label, tmp_path, "--max-rate", "1G", terminal=True)
    assert (tmp_path / f"{chosen}.jar").exists()
    assert "files" in ran.raw
    assert dr("scoring-code", "download", "--search", label, tmp_path, "elsewhere/").code == 2
    none = dr("scoring-code", "download", "--search", "no such label", tmp_path)
    assert (none.code, none.out) == (0, "")


def test_killed_run_is_gone_on_with_and_fetches_nothing_twice(dr, emulator, tmp_path):
    supported = with_scoring_code(dr)
    jars = tmp_path / "jars"
    emulator.fault("GET /deployments/{deployment_id}/scoringCode/ latency=0.05 times=1000")
    command = [*PROGRAM, "scoring-code", "download", "--all", f"{jars}/", "--max-connections", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(jars.glob("*.jar")) if jars.exists() else []) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    done = {each.stem for each in jars.glob("*.jar")}
    assert 3 <= len(done) < len(supported)
    before = len(emulator.requests)
    assert dr("scoring-code", "download", "--all", f"{jars}/").code == 8
    assert {each.stem for each in jars.glob("*.jar")} == supported
    again = [each.path for each in list(emulator.requests)[before:]]
    assert not [path for path in again if any(each in path for each in done)]
    # A process that is killed between two steps leaves hidden files at most.
    assert all(each.suffix == ".jar" for each in jars.iterdir() if not each.name.startswith("."))


def test_mirror_is_for_one_file(dr, emulator, tmp_path):
    ran = dr("scoring-code", "download", tmp_path, "--all", "--mirror", "https://mirror.example/jar")
    assert ran.code == 2
    assert "--mirror is for one file" in ran.err
