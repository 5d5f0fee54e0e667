"""Commands that fetch bytes: to files, to stdout, to a terminal, and into a container engine."""

from __future__ import annotations

import hashlib
import stat
import zipfile

import pytest

from datarobot_mlops_async._progress.words import LogLines
from datarobot_mlops_async.artifacts import DownloadResult, Progress
from datarobot_mlops_async.cli._invocation import verdict
from datarobot_mlops_async.cli._terminal import CleanLines, Terminal
from tests.command_line import Here
from tests.scripted import Answer, ScriptedServer

IMAGE = "datarobot-portable-prediction-api"


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator):
    return Here(capfd, monkeypatch)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_image_is_verified_and_its_path_is_the_result(dr, tmp_path):
    ran = dr("pps-image", "download", f"{tmp_path}/new/")
    assert ran.code == 0
    (image,) = (tmp_path / "new").iterdir()
    assert ran.out == f"{image}\n"
    assert f"SHA-256 verified: {sha256(image)}" in ran.err
    # Plain lines: nothing is drawn where nobody watches.
    assert "━" not in ran.out + ran.err


def test_image_that_is_there_is_left_alone(dr, tmp_path):
    dr("pps-image", "download", tmp_path / "image")
    ran = dr("pps-image", "download", tmp_path / "image")
    assert ran.code == 0
    assert "already here" in ran.err


def test_other_file_is_replaced_only_when_told(dr, tmp_path):
    (tmp_path / "image").write_text("mine")
    ran = dr("pps-image", "download", tmp_path / "image")
    assert ran.code == 7
    assert (tmp_path / "image").read_text() == "mine"
    assert dr("pps-image", "download", tmp_path / "image", "--overwrite", "--max-connections", 2).code == 0


@pytest.mark.parametrize("rate", ["fast", "0", "5 bananas"])
def test_rate_that_is_none_is_refused(dr, datarobot_emulator, tmp_path, rate):
    ran = dr("pps-image", "download", tmp_path / "image", "--max-rate", rate)
    assert ran.code == 2
    assert "50MB" in ran.error
    assert not datarobot_emulator.requests


def test_download_asks_a_mirror_first_and_keeps_to_its_rate(dr, datarobot_emulator, tmp_path):
    dr("pps-image", "download", tmp_path / "mirrored")
    content = (tmp_path / "mirrored").read_bytes()
    with ScriptedServer(Answer(body=content)) as mirror:
        url = f"{mirror.endpoint}/image"
        ran = dr("pps-image", "download", tmp_path / "image", "--mirror", url, "--max-rate", "500 MiB/s")
        assert mirror.asked
    assert ran.code == 0, ran.err
    assert (tmp_path / "image").read_bytes() == content


def test_device_has_no_path_worth_telling(dr):
    ran = dr("pps-image", "download", "/dev/null")
    assert (ran.code, ran.out) == (0, "")


@pytest.mark.datarobot_emulator(faults=["GET storage corrupt=5000"])
def test_wrong_bytes_are_no_download(dr, tmp_path):
    ran = dr("pps-image", "download", tmp_path / "image", "--no-resume")
    assert ran.code == 7
    assert ran.out == ""
    assert not (tmp_path / "image").exists()


def test_image_is_not_written_to_a_terminal(dr):
    ran = dr("pps-image", "download", "-", terminal=True)
    assert ran.code == 2
    assert "redirect" in ran.err


@pytest.mark.datarobot_emulator(faults=["GET storage corrupt=5000"])
def test_wrong_bytes_on_stdout_are_called_so(dr):
    ran = dr("pps-image", "download", "-", binary=True)
    assert ran.code == 7
    assert "throw it away" in ran.err


def test_progress_is_drawn_on_a_terminal(dr, tmp_path):
    ran = dr("pps-image", "download", tmp_path / "image", terminal=True)
    assert ran.code == 0
    assert "1.00 MiB of 1.00 MiB" in ran.err
    assert "✓ verified" in ran.err


def ids_of(dr):
    return dr("deployments", "list", "--columns", "id").lines


def can_be_downloaded(dr, deployment_id):
    return "supports_scoring_code_download\ttrue" in dr("deployments", "capabilities", deployment_id).out


def test_scoring_code_is_downloaded_and_built_where_it_must_be(dr, datarobot_emulator, tmp_path):
    deployment_id = next(each for each in ids_of(dr) if can_be_downloaded(dr, each))
    assert dr("scoring-code", "download", deployment_id, tmp_path / "plain.jar").code == 0
    assert zipfile.is_zipfile(tmp_path / "plain.jar")
    ran = dr("scoring-code", "download", deployment_id, tmp_path / "agent.jar", "--include-agent")
    assert ran.code == 0
    assert any(each.path.endswith("/scoringCodeBuilds/") for each in datarobot_emulator.requests)
    ran = dr("scoring-code", "download", deployment_id, "-", binary=True)
    assert ran.code == 0
    assert ran.out.startswith("PK")
    ran = dr("scoring-code", "download", deployment_id, "--source-code", "--include-agent")
    assert ran.code == 2


def test_logs_go_to_stdout_and_to_files(dr, tmp_path):
    deployment_id = dr("custom-models", "list", "-n", 1, "--columns", "id").out.strip()
    ran = dr("logs", "deployment", deployment_id, binary=True)
    assert ran.code == 0
    assert "INFO" in ran.out
    ran = dr("logs", "prediction", deployment_id, tmp_path / "log")
    assert ran.code == 0
    assert "collecting the log: done" in ran.err
    assert (tmp_path / "log").read_text().count("\n") > 1


def test_prediction_log_of_before_is_not_asked_for_again(dr, datarobot_emulator):
    ran = dr("logs", "prediction", "5e29", "--log-id", "5e30")
    assert ran.code == 4
    assert [each.method for each in datarobot_emulator.requests] == ["GET"]


def test_log_on_a_terminal_is_harmless(dr):
    deployment_id = dr("custom-models", "list", "-n", 1, "--columns", "id").out.strip()
    ran = dr("logs", "deployment", deployment_id, terminal=True)
    assert ran.code == 0
    assert "INFO" in ran.lines[0]


def test_log_lines_are_shown_whole_and_cleaned_however_they_are_cut(capfd):
    lines = CleanLines(Terminal())
    for piece in (b"  one\ttab\x1b[2", b"J\nz\xc3", b"\xbc", b"rich\nno end"):
        lines.write(piece)
    lines.write(b"", final=True)
    CleanLines(Terminal()).write(b"", final=True)
    assert capfd.readouterr().out == "  one\ttab\nzürich\nno end\n"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a container engine on the path that keeps what it is given."""

    def install(load="cat > $0.loaded; echo 'Loaded image: pps'", info="true"):
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\nif [ $1 = info ]; then {info}; else {load}; fi\n")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return program.with_name("docker.loaded")

    return install


def test_image_is_loaded_when_it_is_verified(dr, docker, tmp_path):
    loaded = docker()
    ran = dr("pps-image", "load", "--directory", tmp_path / "room")
    assert ran.code == 0
    assert "Loaded image: pps" in ran.err
    assert sha256(loaded) in ran.err
    assert not list((tmp_path / "room").iterdir())
    assert dr("pps-image", "load", "--directory", tmp_path / "room", "--keep").code == 0
    assert len(list((tmp_path / "room").iterdir())) == 1


@pytest.mark.datarobot_emulator(faults=["GET storage corrupt=5000"])
def test_wrong_bytes_are_never_loaded(dr, docker, tmp_path):
    loaded = docker()
    assert dr("pps-image", "load", "--directory", tmp_path / "room").code == 7
    assert not loaded.exists()


@pytest.mark.parametrize(
    ("info", "reason"),
    [("echo 'Cannot connect to the engine' >&2; exit 1", "Cannot connect"), ("exit 1", "it said nothing")],
)
def test_engine_that_does_not_answer_is_told_before_anything_is_downloaded(
    dr, docker, datarobot_emulator, info, reason
):
    docker(info=info)
    ran = dr("pps-image", "load")
    assert ran.code == 1
    assert reason in ran.error
    assert not datarobot_emulator.requests


def test_engine_that_hangs_does_not_answer(dr, docker):
    docker(info="exec sleep 5")
    assert "timed out" in dr("pps-image", "load", "--patience", 0.1).error


def test_engine_that_is_no_program_is_told(dr, docker):
    docker().with_name("docker").write_bytes(b"")
    ran = dr("pps-image", "load")
    assert ran.code == 1
    assert "no container engine answers docker: [Errno 8] Exec format error" in ran.error


def test_missing_engine_says_what_to_do(dr, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = dr("pps-image", "load", "--engine", "podman")
    assert ran.code == 1
    assert "no podman here" in ran.error


def test_interrupt_outside_of_the_session_is_one_word_too(dr, docker):
    # More than a pipe holds comes first: who reads it is past the start of this program, which is no place to interrupt.
    docker(info="head -c 200000 /dev/zero >&2; kill -INT $PPID; exit 1")
    ran = dr("pps-image", "load")
    assert (ran.code, ran.error) == (130, "dr-mlops: interrupted")


def test_engine_that_refuses_keeps_the_file(dr, docker, tmp_path):
    docker(load="echo 'not an image' >&2; exit 1")
    ran = dr("pps-image", "load", "--directory", tmp_path / "room")
    assert ran.code == 1
    assert "not an image" in ran.err
    assert len(list((tmp_path / "room").iterdir())) == 1


def progress(**more):
    return Progress(
        **{
            "fetched": 10,
            "verified": 512,
            "total": 1024,
            "rate": 256.0,
            "elapsed": 2.0,
            "connections": 1,
            **more,
        }
    )


def result(**more):
    return DownloadResult(
        **{"path": None, "size": 2048, "sha256": "ab", "resumed_from": 0, "elapsed": 2.0, **more}
    )


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (progress(elapsed=11), " 50%  512 bytes of 1.00 KiB, 0.26 kB/s, 2.00 s left"),
        (progress(elapsed=11, total=None), "512 bytes, 0.26 kB/s, time left unknown"),
        (progress(elapsed=11, rate=0.0), " 50%  512 bytes of 1.00 KiB, 0.00 kB/s, time left unknown"),
    ],
)
def test_progress_in_a_log_is_a_line_now_and_then(at, words, capfd):
    LogLines(Terminal().say).show(at)
    assert capfd.readouterr().err == f"{words}\n"


def test_wait_for_another_process_is_said_once(capfd):
    lines = LogLines(Terminal().say)
    for _ in range(3):
        lines.show(progress(is_waiting=True))
    assert capfd.readouterr().err == "waiting for another process that downloads to the same place\n"


def test_progress_in_a_log_is_silent_at_first(capfd):
    LogLines(Terminal().say).show(progress())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        (result(), "2.00 KiB in 2.00 s (1.02 kB/s), SHA-256 ab"),
        (result(verified_by=("metadata",)), "2.00 KiB in 2.00 s (1.02 kB/s), SHA-256 verified: ab"),
        (result(resumed_from=1024), "2.00 KiB in 2.00 s after 1.00 KiB from before (0.51 kB/s), SHA-256 ab"),
        (result(already_present=True), "already here, SHA-256 verified: ab"),
        (result(elapsed=0.0), "2.00 KiB in 0.00 s, SHA-256 ab"),
    ],
)
def test_verdict_promises_no_more_than_was_checked(brought, words):
    assert verdict(brought) == words
