"""``dr-mlops deployments watch``: for programs, for machines, and for people."""

from __future__ import annotations

import json
import re
import signal
import subprocess

import pytest

from datarobot_mlops_async.emulator import Emulator
from tests.command_line import PROGRAM, Here, Terminal

NOW = "0.02"


@pytest.fixture
def emulator(monkeypatch):
    with Emulator(deployments=60, image_size=None, drift_rate=300) as running:
        monkeypatch.setenv("DATAROBOT_ENDPOINT", running.endpoint)
        monkeypatch.setenv("DATAROBOT_API_TOKEN", running.token)
        yield running


@pytest.fixture
def watch(emulator, capfd, monkeypatch):
    dr = Here(capfd, monkeypatch)
    return lambda *arguments, **how: dr("deployments", "watch", "--interval", NOW, *arguments, **how)


def test_each_change_is_a_line_of_fields_in_a_pipe(watch, emulator):
    ran = watch("-n", 40)
    assert ran.code == 0
    assert re.fullmatch(r"watching \d\d deployments", ran.error)
    lines = [line.split("\t") for line in ran.lines]
    log = {(each.kind, each.deployment_id) for each in emulator.changes}
    assert len(lines) == 40
    assert {(kind, id_) for kind, id_, *_ in lines} <= log
    assert all(bool(what) == (kind == "changed") for kind, _, _, what in lines)
    assert any("_health=" in what and ">" in what for *_, what in lines)
    assert "prediction_usage" in {each for *_, what in lines for each in what.split(",")}


def test_each_change_is_an_object_for_machines(watch):
    ran = watch("-n", 30, "--jsonl", terminal=True)
    changes = [json.loads(line) for line in ran.lines]
    assert len(changes) == 30
    for each in changes:
        assert list(each) == ["at", "kind", "fields", "deployment", "before"]
        assert each["deployment"]["id"]
        for name in each["fields"]:
            assert each["before"][name] != each["deployment"][name]


def test_only_what_is_asked_for_is_told(watch):
    ran = watch("-n", 10, "--jsonl", "--field", "service_health", "--status", "active")
    for each in map(json.loads, ran.lines):
        assert each["kind"] != "changed" or each["fields"] == ["service_health"]
    refused = watch("--field", "nonsense")
    assert (refused.code, refused.error) == (2, "dr-mlops: fields: a deployment has no nonsense")
    assert watch("--interval", "0").code == 2


def test_state_file_lets_the_next_run_go_on(watch, emulator, tmp_path):
    state = tmp_path / "watch.state"
    first = watch("-n", 5, "--state", state)
    assert state.read_text().count("\n") >= 55
    emulator.drift_rate = 0
    emulator.drift(30)
    # What happened while nobody watched is told at once; the file holds no less than what was printed.
    second = watch("-n", 5, "--state", state)
    assert len(first.lines) == len(second.lines) == 5
    assert [each.name for each in tmp_path.iterdir()] == ["watch.state"]
    other = watch("--state", state, "--search", "x")
    assert other.code == 2
    assert "state is that of another list" in other.error
    state.write_text("nonsense")
    assert "not the saved state of a watch" in watch("--state", state).error
    assert watch("-n", 0, "--state", tmp_path / "none" / "file").code == 1


def test_outage_is_said_and_survived_and_a_refusal_ends_it(watch, emulator):
    emulator.fault("GET /deployments/ page=repeat after=1 times=2")
    ran = watch("-n", 1)
    assert ran.code == 0
    _, *outages = ran.err.splitlines()
    assert outages
    for line in outages:
        assert re.fullmatch(
            r"last seen 0 s ago: GET /deployments/: the server repeats .* after \d+ items", line
        )
    emulator.clear_faults()
    emulator.fault("GET /deployments/ status=401 after=1")
    assert watch("-n", 1000).code == 3


@pytest.mark.parametrize("columns", [80, 120])
def test_table_is_live_and_ctrl_c_keeps_the_state(emulator, tmp_path, columns, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    state = tmp_path / "watch.state"
    with Terminal(
        "deployments", "watch", "--interval", NOW, "--state", str(state), columns=columns
    ) as terminal:
        # Changes come by chance, and both kinds only after a while.
        terminal.wait_for("_health → ")
        terminal.wait_for("prediction_usage")
        emulator.fault("GET /deployments/ page=repeat")
        terminal.wait_for("repeats the same")
        terminal.interrupt()
        assert terminal.finish() == 130
        text = terminal.text
    assert "LABEL" in text
    assert "prediction_usage" in text
    assert " deployments, seen 0 s ago" in text
    assert state.read_text().startswith('{"watch": 1')


def test_interrupted_watch_in_a_pipe_ends_quietly(emulator):
    command = [*PROGRAM, "deployments", "watch", "--interval", NOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    watching, interrupted = err.splitlines()
    assert watching.startswith("watching ")
    assert interrupted == "dr-mlops: interrupted"
