"""``dr-mlops`` as a program: in a terminal, in pipes, interrupted, completed by the shell.

It runs on asyncio alone: a program has one event loop, and nobody to choose another.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from datarobot_mlops_async import read_journal
from datarobot_mlops_async.cli import _app
from datarobot_mlops_async.emulator import Emulator
from tests.command_line import PROGRAM, Here, Terminal, there

_PATIENCE = 30.0
_COLOUR = r"\x1b\[(\d+;)*3[0-7]m"


def wait_until(true):
    deadline = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(*arguments, **streams):
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **{"stdout": subprocess.PIPE, **streams},
    )


def interrupt(process):
    """Press Ctrl-C and return the exit code and what was said."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE)
    assert "Traceback" not in err
    return process.returncode, out, err


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator):
    return Here(capfd, monkeypatch)


def active(dr, number):
    return dr("deployments", "list", "--status", "active", "-n", number, "--columns", "id").lines


def test_demo_in_a_terminal_shows_bars_and_fits(tmp_path):
    with Terminal(
        "demo", "--image-size", "3MiB", "--deployments", "3", columns=80, TMPDIR=str(tmp_path)
    ) as terminal:
        assert terminal.finish() == 0
        text = terminal.text
        assert re.search(_COLOUR, terminal.raw)
    assert "━" in text
    assert "✓ verified" in text
    assert "3 deployments" in text.splitlines()
    assert re.search(r"\b(\d) of \1 ", text)
    # What is one word, a path or a hash, is not broken.
    broken = [line for line in text.splitlines() if not re.search("/|SHA-256", line)]
    assert max(map(len, broken)) <= 80
    # Neither the image nor its directory is left.
    assert list(tmp_path.iterdir()) == []


def test_demo_in_a_pipe_is_plain_lines_whatever_the_settings(tmp_path):
    foreign = {
        "DATAROBOT_ENDPOINT": "http://127.0.0.1:9",
        "DATAROBOT_CONFIG_FILE": str(tmp_path / "none"),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "intranet.example",
    }
    ran = there(
        "demo",
        "--image-size",
        "1MiB",
        "--deployments",
        "3",
        "--keep",
        TMPDIR=str(tmp_path),
        cwd=tmp_path,
        **foreign,
    )
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert "━" not in ran.out
    assert ran.out.count("\tsucceeded\n") == ran.out.count("\tactive\t") > 0
    (image,) = tmp_path.iterdir()
    assert f"kept: {image}" in ran.out


def test_demo_refuses_a_size_that_is_none(capfd, monkeypatch):
    ran = Here(capfd, monkeypatch)("demo", "--image-size", "huge")
    assert ran.code == 2
    assert "--image-size" in ran.error


def test_no_color_is_honoured(dr, monkeypatch):
    assert re.search(_COLOUR, dr("deployments", "list", terminal=True).raw)
    monkeypatch.setenv("NO_COLOR", "1")
    ran = dr("deployments", "list", terminal=True)
    assert "active" in ran.out
    assert not re.search(_COLOUR, ran.raw)


def test_dumb_terminal_is_not_drawn_on(dr, tmp_path):
    ran = dr("pps-image", "download", tmp_path / "image", terminal=True, term="dumb")
    assert ran.code == 0
    assert "━" not in ran.raw
    assert "\x1b" not in ran.raw


def test_terminal_without_unicode_is_no_failure(datarobot_emulator):
    ran = there("deployments", "list", "-n", 1, PYTHONIOENCODING="ascii")
    assert (ran.code, ran.err) == (0, "")


def test_bytes_on_stdout_leave_progress_on_the_terminal(datarobot_emulator, tmp_path):
    command = f"{' '.join(PROGRAM)} pps-image download - > {tmp_path}/image"
    with Terminal(program=["sh", "-c", command]) as terminal:
        assert terminal.finish() == 0
        assert "✓ verified" in terminal.text
        image = (tmp_path / "image").read_bytes()
        assert f"SHA-256 verified: {hashlib.sha256(image).hexdigest()}" in terminal.text


@pytest.mark.datarobot_emulator(image_size=64 * 2**20, storage_rate=4 * 2**20)
def test_interrupted_download_is_resumed(dr, datarobot_emulator, tmp_path):
    destination = tmp_path / "image"
    with Terminal("pps-image", "download", destination) as terminal:
        terminal.wait_for("MiB of 64.0 MiB")
        wait_until(lambda: any(each.stat().st_size for each in tmp_path.iterdir()))
        time.sleep(0.6)
        terminal.interrupt()
        assert terminal.finish() == 130
        assert "the same command goes on from there" in terminal.text
    assert not destination.exists()
    datarobot_emulator.storage_rate = None
    ran = dr("pps-image", "download", destination)
    assert ran.code == 0
    assert "from before" in ran.err


@pytest.mark.datarobot_emulator(operation_seconds=60)
def test_interrupted_wait_tells_how_to_go_on(dr, datarobot_emulator):
    (deployment_id,) = active(dr, 1)
    process = start("reports", "run", deployment_id, "5e30")
    wait_until(lambda: any("/status/" in each.path for each in datarobot_emulator.requests))
    code, _, err = interrupt(process)
    assert code == 130
    assert "dr-mlops operations wait status/" in err


@pytest.mark.datarobot_emulator(operation_seconds=0.3)
def test_interrupted_bulk_run_is_resumed_and_begins_nothing_twice(dr, datarobot_emulator, tmp_path):
    ids = active(dr, 12)
    change = ("deployments", "deactivate", *ids, "--yes")
    process = start(
        *change,
        "--max-concurrency",
        4,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: sum(each.method == "PATCH" for each in datarobot_emulator.requests) >= 8)
    code, _, err = interrupt(process)
    assert code == 130
    (journal,) = tmp_path.glob("dr-mlops-*")
    assert err.splitlines()[-1].endswith(
        f"of 12 done; to go on, give the same command with --resume {journal}"
    )
    ran = dr(*change, "--resume", journal)
    # Unknown, and named, is what was cut off after its request had left: that is not sent again by itself.
    unknown = [line.split("\t")[0] for line in ran.lines if line.endswith("\tunknown")]
    assert len(unknown) <= 4
    assert ran.code == (8 if unknown else 0)
    begun = [each.path.split("/")[-3] for each in datarobot_emulator.requests if each.method == "PATCH"]
    assert len(begun) == len(set(begun))
    assert {*begun, *unknown} == {*ids}
    ran = dr(*change, "--resume", journal, "--repeat-unknown")
    assert ran.code == 0
    assert read_journal(journal).left == ()


def test_killed_bulk_run_is_resumed(dr, datarobot_emulator, tmp_path):
    ids = active(dr, 6)
    change = ("deployments", "deactivate", *ids, "--yes", "--resume", tmp_path / "journal")
    process = start(*change, "--max-concurrency", 2)
    wait_until(lambda: sum(each.method == "PATCH" for each in datarobot_emulator.requests) >= 3)
    process.kill()
    process.communicate()
    ran = dr(*change)
    # An item that was announced when the process was killed is unknown to anybody, whether or not its request had
    # left: it is named, and not begun again.
    outcomes = {each.item: each for each in read_journal(tmp_path / "journal").outcomes}
    assert set(outcomes) == set(ids)
    unknown = {each.item for each in outcomes.values() if each.state != "succeeded"}
    assert unknown == {line.split("\t")[0] for line in ran.lines if line.endswith("\tunknown")}
    assert len(unknown) <= 2
    assert ran.code == (8 if unknown else 0)
    begun = [each.path for each in datarobot_emulator.requests if each.method == "PATCH"]
    assert len(begun) == len(set(begun))
    assert {*ids} == {*unknown, *(path.split("/")[-3] for path in begun)}


def test_interrupt_at_the_question_ends_at_once(datarobot_emulator):
    with Terminal("deployments", "delete", "--all") as terminal:
        terminal.wait_for("[y/N]")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert all(each.method == "GET" for each in datarobot_emulator.requests)


@pytest.mark.datarobot_emulator(deployments=500)
def test_reader_that_goes_away_is_no_failure_worth_a_word(datarobot_emulator):
    process = start("deployments", "list")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(_PATIENCE) == 141


@pytest.mark.parametrize("lines", [0, 3])
def test_reader_of_the_demo_may_go_away_too(tmp_path, lines):
    process = start(
        "demo", "--image-size", "1MiB", "--deployments", "1", env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(_PATIENCE) == 141
    assert list(tmp_path.iterdir()) == []


def test_streams_may_be_anything_that_takes_text(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert _app.run(["--version"]) == 0
    assert sys.stdout.getvalue().startswith("dr-mlops")


def test_emulator_prints_two_variables_and_serves_until_interrupted(capfd, monkeypatch):
    process = start("emulator", "--deployments", 7, "--latency", "1ms", "--direct", "--dialect", "page")
    exports = [process.stdout.readline() for _ in range(2)]
    environment = dict(line.removeprefix("export ").strip().split("=", 1) for line in exports)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = Here(capfd, monkeypatch)("deployments", "list")
    code, _, err = interrupt(process)
    assert (ran.code, len(ran.lines)) == (0, 7)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--latency", "long"], "--latency"),
        (["--fault", "GET"], "fault"),
        (["--deployments", "-1"], "deployments"),
        (["--dialect", "latin"], "latin"),
    ],
)
def test_emulator_refuses_settings_that_make_no_sense(capfd, monkeypatch, options, part):
    ran = Here(capfd, monkeypatch)("emulator", *options)
    assert ran.code == 2
    assert part in ran.error


def test_emulator_shows_its_faults_and_a_port_that_is_taken(capfd, monkeypatch):
    here = Here(capfd, monkeypatch)
    assert "retry-after" in here("emulator", "--fault", "help").out
    with Emulator(deployments=1, image_size=None) as emulator:
        ran = here("emulator", "--port", emulator.port)
    assert ran.code == 1
    assert "cannot listen" in ran.error


def test_help_documents_exit_codes_and_imports_no_http():
    code = (
        "import sys; from datarobot_mlops_async.cli._app import run; run(['--help']); "
        "print(sorted({'httpx', 'attrs', 'cattrs', 'anyio', 'yaml'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Exit codes: 0 done" in shown
    assert "operations" in shown
    assert shown.splitlines()[-1] == "['attrs']"


def test_every_group_has_help(capfd, monkeypatch):
    here = Here(capfd, monkeypatch)
    groups = _app.app.list_commands(None)
    assert all(group in here("--help").out for group in groups)
    for group in groups:
        ran = here(group, "--help")
        assert ran.code == 0
        assert "Usage: dr-mlops" in ran.out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("dep", "deployments"),
        ("deployments deac", "deactivate"),
        ("deployments list --status act", "active"),
        ("deployments list --serv", "--service-health"),
        ("nosuch li", None),
    ],
)
def test_shell_completes_commands_and_values(capfd, monkeypatch, words, completed):
    monkeypatch.setenv("_DR_MLOPS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"dr-mlops {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    with pytest.raises(SystemExit) as exit_:
        _app.run([])
    assert exit_.value.code == 0
    words = [line.partition(",")[2] for line in capfd.readouterr().out.splitlines() if line]
    assert words == [] if completed is None else completed in words
