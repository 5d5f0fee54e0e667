"""What a person sees: waits that are said, tables that fit, and words from outside that steer nothing."""

from __future__ import annotations

import os
import subprocess

import pytest

from datarobot_mlops_async.cli._options import ids_in
from tests.command_line import PROGRAM, Here, Terminal
from tests.scripted import Answer, ScriptedServer
from tests.test_cli_terminal import wait_until

IDS = ("deployments", "list", "--columns", "id", "--status", "active")


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator):
    return Here(capfd, monkeypatch)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Return the options that point at another server."""
    (tmp_path / "token").write_text("a-token")

    def options(server):
        return ("--endpoint", server.endpoint, "--token-file", tmp_path / "token")

    return options


@pytest.mark.datarobot_emulator(faults=["GET /deployments/ status=503 retry-after=1 times=2"])
def test_wait_that_the_server_asks_for_is_said_and_gone_afterwards(datarobot_emulator):
    command = ("deployments", "list", "-n", 1)
    with Terminal(*command, columns=40) as narrow, Terminal(*command, columns=80) as wide:
        for terminal in (narrow, wide):
            terminal.wait_for("the server asks to wait 1 s")
        for terminal in (narrow, wide):
            assert terminal.finish() == 0
            assert "asks to wait" not in terminal.screen
            assert "1 of 20 deployments" in terminal.screen


@pytest.mark.parametrize("columns", [40, 80])
def test_refused_connection_is_said_before_it_is_given_up(monkeypatch, tmp_path, columns):
    (tmp_path / "token").write_text("a-token")
    where = ("--endpoint", "http://127.0.0.1:9", "--token-file", tmp_path / "token")
    with Terminal(*where, "deployments", "list", columns=columns) as terminal:
        terminal.wait_for("retrying in ")
        terminal.wait_for("cannot connect")
        terminal.interrupt()
        assert terminal.finish() == 130
        assert terminal.screen.strip() == "dr-mlops: interrupted"


@pytest.mark.datarobot_emulator(latency=1.5)
def test_slow_server_is_named(datarobot_emulator):
    with Terminal("bundles", "list") as terminal:
        terminal.wait_for(f"waiting for 127.0.0.1:{datarobot_emulator.port}")
        assert terminal.finish() == 0
        assert "waiting" not in terminal.screen


@pytest.mark.datarobot_emulator(faults=["PATCH /deployments/*/status/ status=429 retry-after=1 times=1"])
def test_wait_is_said_beside_a_bar(dr):
    chosen = dr(*IDS, "-n", 2).lines
    with Terminal("deployments", "deactivate", *chosen, "--yes") as terminal:
        terminal.wait_for("the server asks to wait 1 s")
        assert terminal.finish() == 0
        assert "asks to wait" not in terminal.screen
        assert "2 of 2" in terminal.screen


@pytest.mark.datarobot_emulator(operation_seconds=1)
def test_bar_has_no_other_line_that_says_what_is_seen(dr):
    chosen = dr(*IDS, "-n", 2).lines
    with Terminal("deployments", "deactivate", *chosen, "--yes") as terminal:
        assert terminal.finish() == 0
        assert "waiting for" not in terminal.text


@pytest.mark.datarobot_emulator(faults=["GET /deployments/ status=503 retry-after=0 times=1"])
def test_wait_in_a_pipe_is_silent(dr):
    ran = dr("deployments", "list")
    assert (ran.code, ran.err) == (0, "")


EVIL = "a\\u001b[2J\\u009b2J\\u202eb\\u2028c"


@pytest.fixture
def operation_server():
    body = f'{{"status": "RUNNING{EVIL}", "message": "{EVIL}"}}'.encode()
    with ScriptedServer(Answer(body=body)) as server:
        yield server


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_words_of_an_operation_steer_no_terminal(capfd, monkeypatch, elsewhere, operation_server, form):
    where = elsewhere(operation_server)
    ran = Here(capfd, monkeypatch)(*where, "operations", "status", "status/1/", *form)
    assert ran.code == 0
    assert "RUNNING" in ran.out
    assert not any(each in ran.out for each in "\x1b\x9b\u202e\u2028")


def test_words_in_an_outcome_are_escaped_for_machines_and_cleaned_for_people(capfd, monkeypatch, elsewhere):
    body = f'{{"message": "{EVIL}"}}'.encode()
    with ScriptedServer(Answer(status=409, body=body)) as server:
        command = (*elsewhere(server), "deployments", "delete", "d1", "d2", "--yes", "--jsonl")
        ran = Here(capfd, monkeypatch)(*command)
    assert ran.code == 8
    assert not any(each in ran.out + ran.err for each in "\x1b\x9b\u202e\u2028")
    assert len(ran.lines) == 2


def test_byte_order_mark_is_no_part_of_an_id(dr):
    (chosen,) = dr(*IDS, "-n", 1).lines
    ran = dr("deployments", "deactivate", "-", "--dry-run", stdin=f"\ufeff{chosen}\r\n\n")
    assert ran.lines == [chosen]
    assert ids_in(["\ufeff\n", "\ufeffa b\n", "a\n"]) == ["a"]


def test_blanks_in_a_path_are_printed_as_they_are(dr, tmp_path):
    directory = tmp_path / "two  blanks "
    ran = dr("pps-image", "download", f"{directory}/")
    assert ran.code == 0
    assert ran.out.rstrip("\n").startswith(f"{directory}/")
    again = dr("pps-image", "download", f"{directory}/", terminal=True)
    assert f"{directory}/" in again.out
    (tmp_path / "two  blanks").write_text("mine")
    assert "two  blanks exists" in dr("pps-image", "download", tmp_path / "two  blanks").err


def without_stdout(*arguments):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *PROGRAM, *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=60)


def test_stream_to_a_closed_stdout_is_refused(datarobot_emulator, tmp_path):
    ran = without_stdout("pps-image", "download", "-")
    assert (ran.returncode, ran.stderr) == (2, "dr-mlops: stdout is closed: redirect it, or name a file\n")
    assert without_stdout("pps-image", "download", tmp_path / "image").returncode == 0
    assert without_stdout("deployments", "list").returncode == 0


@pytest.mark.datarobot_emulator(operation_seconds=0.2)
def test_bulk_run_whose_reader_goes_away_names_its_journal(dr, datarobot_emulator, tmp_path):
    chosen = dr(*IDS, "-n", 8).lines
    process = subprocess.Popen(
        [*PROGRAM, "deployments", "deactivate", *chosen, "--yes", "--max-concurrency", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    (journal,) = tmp_path.glob("dr-mlops-*")
    assert f"--resume {journal}" in said.splitlines()[-1]
    assert dr("deployments", "deactivate", *chosen, "--yes", "--resume", journal).code == 0


@pytest.mark.parametrize("columns", [40, 80])
def test_ids_are_never_cut(dr, columns):
    ids = dr("deployments", "list", "--columns", "id").lines
    shown = dr("deployments", "list", terminal=True, columns=columns)
    assert all(any(line.startswith(each) for line in shown.lines) for each in ids)
    assert max(map(len, shown.lines)) <= columns
    chosen = dr("deployments", "list", "--columns", "status,id,label", terminal=True, columns=columns)
    assert all(each in "".join(chosen.out.split()) for each in ids)


def test_first_of_many_are_counted_among_all(dr):
    assert dr("deployments", "list", "-n", 3, terminal=True).err.strip() == "3 of 20 deployments"
    assert dr("deployments", "list", "-n", 30, terminal=True).err.strip() == "20 deployments"


def test_signs_of_health_are_explained(dr):
    shown = dr("deployments", "list", terminal=True, columns=80)
    assert "health: service, model, accuracy\n✓ passing  ! warning" in shown.out
    assert "· not started\n" in "\n".join(line.rstrip() for line in shown.lines) + "\n"
    assert "health:" not in dr("deployments", "list", terminal=True, columns=40).out
    assert "health:" not in dr("deployments", "list").out


@pytest.mark.datarobot_emulator(deployments=40)
def test_deployments_are_named_above_the_question(dr):
    chosen = dr(*IDS, "-n", 12).lines
    labels = dr("deployments", "list", "--columns", "label", "--status", "active", "-n", 12).lines
    by_id = dr("deployments", "delete", *chosen[:2], "d-none", terminal=True, stdin="n\n", columns=80)
    for each in (*chosen[:2], *labels[:2], "d-none"):
        assert each[:20] in by_id.err
    assert by_id.err.index(labels[0][:20]) < by_id.err.index("Delete 3 deployments? [y/N]")
    found = dr("deployments", "delete", "--status", "active", "-n", 12, terminal=True, stdin="n\n")
    assert "and 2 more\nDelete 12 deployments? [y/N]" in found.err
    assert chosen[9] in found.err
    assert chosen[10] not in found.err


@pytest.mark.datarobot_emulator(operation_seconds=60, deployments=40)
def test_interrupted_run_says_what_is_on_its_way_and_leaves_one_bar(dr, datarobot_emulator, tmp_path):
    chosen = dr(*IDS, "-n", 6).lines
    with Terminal(
        "deployments", "deactivate", *chosen, "--yes", "--max-concurrency", 4, TMPDIR=str(tmp_path)
    ) as terminal:
        wait_until(lambda: sum("/status/" in each.path for each in datarobot_emulator.requests) >= 8)
        terminal.interrupt()
        assert terminal.finish() == 130
        (journal,) = tmp_path.glob("dr-mlops-*")
        bar, message, *rest = terminal.screen.strip().split("\n", 2)
        message = " ".join([message, *rest]).replace("\n", "")
        assert "━" in bar
        assert "━" not in message
        assert message.startswith(
            "dr-mlops: interrupted; 4 on their way: wait for them with --resume; 0 of 6"
        )
        assert str(journal) in message
        assert "unknown" not in terminal.screen


def test_terminal_too_narrow_for_an_id_folds_it(dr):
    (chosen,) = dr("deployments", "list", "-n", 1, "--columns", "id").lines
    shown = dr("deployments", "list", "-n", 1, terminal=True, columns=20)
    cells = [line.split(" ")[0] for line in shown.lines[2:]]
    assert chosen in "".join(cells), shown.out


@pytest.mark.datarobot_emulator(faults=["POST /deployments/** links=none"])
def test_operation_that_is_over_at_once_is_waited_for(dr):
    (chosen,) = dr("deployments", "list", "-n", 1, "--columns", "id").lines
    ran = dr("reports", "run", chosen, "5e29")
    assert ran.code == 0
    assert ran.error.startswith("running the report: done in ")


@pytest.mark.parametrize("columns", [40, 80])
def test_every_list_and_every_thing_fits(dr, columns):
    (chosen,) = dr("deployments", "list", "-n", 1, "--columns", "id").lines
    commands = [
        ("bundles", "list"),
        ("bundles", "get", "gpu.small"),
        ("custom-models", "list"),
        ("pps-image", "metadata"),
        ("deployments", "get", chosen),
        *(("deployments", what, chosen) for what in ("features", "history", "capabilities")),
    ]
    for command in commands:
        shown = dr(*command, terminal=True, columns=columns)
        assert shown.code == 0
        assert max(map(len, shown.lines)) <= columns, command
        assert shown.lines
    shown = dr("deployments", "get", chosen, terminal=True, columns=columns)
    assert any(line.strip().endswith(chosen) for line in shown.lines)
    assert any(line.startswith("service_health.status") for line in shown.lines)
