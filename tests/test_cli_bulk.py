"""The same change for many deployments: what is chosen, asked, done, told, and resumed."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from datarobot_mlops_async.bulk import Outcome
from tests.command_line import Here

pytestmark = pytest.mark.datarobot_emulator(deployments=40, operation_seconds=0.05)


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator, tmp_path):
    # Where journals go that nobody named.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Here(capfd, monkeypatch)


def ids(dr, *filters):
    return dr("deployments", "list", "--columns", "id", *filters).lines


def active(dr, number):
    return ids(dr, "--status", "active", "-n", number)


def changes(emulator):
    return [each for each in emulator.requests if each.method != "GET"]


def journals(tmp_path):
    return list(tmp_path.glob("dr-mlops-*"))


def test_ids_are_changed_and_each_outcome_is_a_line(dr, tmp_path):
    chosen = active(dr, 3)
    ran = dr("deployments", "deactivate", *chosen, "--yes")
    assert ran.code == 0
    assert Counter(ran.lines) == Counter(f"{each}\tsucceeded" for each in chosen)
    assert ran.err == "3 succeeded\n"
    assert not set(chosen) & set(ids(dr, "--status", "active"))
    assert journals(tmp_path) == []
    assert dr("deployments", "activate", *chosen, "--yes").code == 0


def test_outcomes_for_machines_are_json_lines(dr):
    chosen = active(dr, 2)
    ran = dr("deployments", "deactivate", *chosen, "--yes", "--jsonl")
    assert {Outcome.from_json(line).item for line in ran.lines} == set(chosen)


def test_filters_choose(dr, datarobot_emulator):
    chosen = ids(dr, "--importance", "LOW", "--status", "active")
    ran = dr("deployments", "deactivate", "--importance", "LOW", "--status", "active", "--yes")
    assert ran.code == 0
    assert len(ran.lines) == len(chosen) > 1


def test_lines_of_a_list_can_be_piped_in(dr):
    listed = dr("deployments", "list", "--status", "active", "-n", 3)
    ran = dr("deployments", "deactivate", "-", "--yes", stdin=listed.out + "\n" + listed.out)
    assert ran.code == 0
    assert len(ran.lines) == 3


def test_limit_takes_the_first_of_those_found(dr):
    assert len(dr("deployments", "deactivate", "--status", "active", "-n", 2, "--yes").lines) == 2


def test_nothing_found_is_nothing_done(dr, datarobot_emulator):
    ran = dr("deployments", "delete", "--search", "no such thing", "--yes")
    assert ran.code == 0
    assert ran.error == "no deployments to delete"


@pytest.mark.parametrize(
    "arguments",
    [[], ["5e29", "--all"], ["5e29", "--search", "x"], ["-", "5e29"], ["--status", "nope", "--yes"]],
)
def test_what_is_meant_must_be_clear(dr, datarobot_emulator, arguments):
    assert dr("deployments", "delete", *arguments).code == 2
    assert not changes(datarobot_emulator)


def test_dry_run_changes_nothing(dr, datarobot_emulator):
    chosen = active(dr, 2)
    ran = dr("deployments", "delete", *chosen, "--dry-run")
    assert (ran.code, ran.lines) == (0, chosen)
    assert ran.error == "would delete 2 deployments"
    ran = dr("deployments", "delete", "--status", "active", "-n", 2, "--dry-run")
    assert [line.split("\t")[0] for line in ran.lines] == chosen
    assert dr("deployments", "delete", "--all", "--dry-run", "--jsonl").lines
    assert not changes(datarobot_emulator)


def test_dry_run_shows_what_an_earlier_run_left(dr, datarobot_emulator, tmp_path):
    *done, left = active(dr, 3)
    change = ("deployments", "deactivate", "--resume", tmp_path / "journal")
    assert dr(*change, *done, "--yes").code == 0
    ran = dr(*change, *done, left, "--dry-run")
    assert ran.lines == [left]
    assert ran.error == "would deactivate 1 deployment (2 more are done)"
    everything = dr(*change, "--all", "--dry-run")
    assert {line.split("\t")[0] for line in everything.lines} == {*ids(dr)} - {*done}
    asked = dr(*change, *done, left, terminal=True, stdin="n\n")
    assert left in asked.err
    assert done[0] not in asked.err


def test_person_is_asked(dr, datarobot_emulator):
    chosen = active(dr, 2)
    assert dr("deployments", "deactivate", *chosen, terminal=True, stdin="\n").code == 1
    assert not changes(datarobot_emulator)
    ran = dr("deployments", "deactivate", *chosen, terminal=True, stdin="yes\n")
    assert ran.code == 0
    assert "Deactivate 2 deployments? [y/N]" in ran.err
    assert "2 of 2" in ran.err


def test_program_must_say_yes(dr, datarobot_emulator):
    ran = dr("deployments", "deactivate", *active(dr, 1))
    assert ran.code == 2
    assert "--yes" in ran.error
    assert not changes(datarobot_emulator)


def test_interrupt_at_the_question_does_nothing(dr, datarobot_emulator, monkeypatch):
    def interrupted(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.command_line._Keyboard.readline", interrupted)
    ran = dr("deployments", "deactivate", *active(dr, 1), terminal=True)
    assert ran.code == 130
    assert not changes(datarobot_emulator)


def test_one_failure_is_that_of_the_command(dr, tmp_path):
    ran = dr("deployments", "deactivate", "nope", "--yes")
    assert ran.code == 4
    assert "404" in ran.error
    assert journals(tmp_path) == []


def test_failures_are_told_counted_and_resumed(dr, datarobot_emulator, tmp_path):
    chosen = active(dr, 5)
    datarobot_emulator.fault("PATCH /deployments/*/status/ status=409 times=2")
    ran = dr("deployments", "deactivate", *chosen, "--yes")
    assert ran.code == 8
    told, also_told, most, least, how = ran.err.splitlines()
    assert "409" in told
    assert "409" in also_told
    assert (most, least) == ("3 succeeded", "2 failed: 409 Conflict")
    (journal,) = journals(tmp_path)
    assert how.endswith(f"3 of 5 done; to go on, give the same command with --resume {journal}")

    before = len(changes(datarobot_emulator))
    again = dr("deployments", "deactivate", *chosen, "--yes", "--resume", journal)
    assert again.code == 0
    assert again.err == "5 succeeded\n"
    assert len(again.lines) == 2
    assert len(changes(datarobot_emulator)) == before + 2
    assert journal.exists()
    over = dr("deployments", "deactivate", "--resume", journal)
    assert over.code == 0
    assert over.error == "no deployments to deactivate (5 more are done)"


def test_many_failures_are_not_all_told_one_by_one(dr, datarobot_emulator):
    datarobot_emulator.fault("PATCH /deployments/*/ status=409")
    ran = dr("deployments", "update", "--all", "--set-importance", "HIGH", "--yes")
    assert ran.code == 8
    assert len(ran.lines) == 40
    assert len(ran.err.splitlines()) == 20 + 1 + 1 + 1


def test_stop_on_error_begins_nothing_new(dr, datarobot_emulator, tmp_path):
    datarobot_emulator.fault("PATCH /deployments/*/status/ status=409 times=1")
    chosen = active(dr, 6)
    ran = dr("deployments", "deactivate", *chosen, "--yes", "--stop-on-error", "--max-concurrency", 1)
    assert ran.code == 8
    assert "5 not begun" in ran.err
    assert "0 of 6 done" in ran.err


def test_lost_answer_is_unknown_and_repeated_only_when_told(dr, datarobot_emulator, tmp_path):
    chosen = active(dr, 2)
    datarobot_emulator.fault("PATCH /deployments/*/ status=502 times=2")
    change = ("deployments", "update", *chosen, "--set-description", "x", "--yes")
    assert dr(*change).code == 8
    (journal,) = journals(tmp_path)
    again = dr(*change, "--resume", journal)
    assert again.code == 8
    assert "2 unknown" in again.err
    assert again.lines == [f"{each}\tunknown" for each in chosen]
    assert "--repeat-unknown acts on them again" in again.err
    assert dr(*change, "--resume", journal, "--repeat-unknown").code == 0


def test_resume_begins_a_journal_that_is_not_there(dr, tmp_path):
    journal = tmp_path / "mine.jsonl"
    assert dr("deployments", "deactivate", *active(dr, 2), "--yes", "--resume", journal).code == 0
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_journal_that_was_cut_short_is_read(dr, tmp_path):
    journal = tmp_path / "mine.jsonl"
    chosen = active(dr, 2)
    dr("deployments", "deactivate", chosen[0], "--yes", "--resume", journal)
    with journal.open("a") as file:
        file.write('{"index": 0, "it')
    ran = dr("deployments", "deactivate", *chosen, "--yes", "--resume", journal)
    assert ran.code == 0
    assert len(ran.lines) == 1


def test_file_that_is_no_journal_is_refused(dr, tmp_path, datarobot_emulator):
    (tmp_path / "other").write_text("{}\n")
    ran = dr("deployments", "delete", "--yes", "--resume", tmp_path / "other")
    assert ran.code == 2
    assert "not an outcome" in ran.error
    assert dr("deployments", "delete", "--yes", "--resume", tmp_path).code == 2
    assert not changes(datarobot_emulator)


def test_journal_of_another_action_is_refused(dr, tmp_path, datarobot_emulator):
    journal = tmp_path / "mine.jsonl"
    one, other = active(dr, 2)
    assert dr("deployments", "deactivate", one, "--yes", "--resume", journal).code == 0
    before = len(changes(datarobot_emulator))
    for chosen in ([other], []):
        ran = dr("deployments", "delete", *chosen, "--yes", "--resume", journal)
        assert ran.code == 2
        assert "another action, deployments deactivate, not of deployments delete" in ran.error
    assert len(changes(datarobot_emulator)) == before


def test_items_of_a_journal_that_are_not_asked_for_are_not_begun(dr, tmp_path, datarobot_emulator):
    journal = tmp_path / "mine.jsonl"
    refused, asked = active(dr, 2)
    datarobot_emulator.fault(f"PATCH /deployments/{refused}/status/ status=409 times=1")
    assert dr("deployments", "deactivate", refused, "--yes", "--resume", journal).code == 1
    ran = dr("deployments", "deactivate", asked, "--yes", "--resume", journal)
    assert ran.lines == [f"{asked}\tsucceeded", f"{refused}\tfailed"]
    assert ran.code == 8
    assert "1 failed: 409" in ran.err
    assert dr("deployments", "deactivate", "--yes", "--resume", journal).lines == [f"{refused}\tsucceeded"]


def test_update_sends_what_was_said(dr, datarobot_emulator):
    (chosen,) = active(dr, 1)
    said = ("--set-label", "a", "--clear-description", "--set-importance", "HIGH")
    assert dr("deployments", "update", chosen, *said, "--yes").code == 0
    assert dr("deployments", "update", chosen, "--set-description", "", "--yes").code == 0
    assert [each.json for each in changes(datarobot_emulator)] == [
        {"label": "a", "description": None, "importance": "HIGH"},
        {"description": ""},
    ]


@pytest.mark.parametrize(
    "said", [(), ("--set-description", "x", "--clear-description"), ("--set-importance", "X")]
)
def test_update_that_makes_no_sense_is_refused(dr, datarobot_emulator, said):
    assert dr("deployments", "update", "5e29", *said, "--yes").code == 2
    assert not changes(datarobot_emulator)


def test_delete_can_leave_the_management_agent_out(dr, datarobot_emulator):
    (chosen,) = ids(dr, "--status", "inactive", "-n", 1)
    assert dr("deployments", "delete", chosen, "--ignore-management-agent", "--yes").code == 0
    (request,) = changes(datarobot_emulator)
    assert request.query == "ignoreManagementAgent=true"


def test_repeated_change_that_was_made_already_counts_as_made(dr):
    (chosen,) = dr("deployments", "list", "--columns", "id", "--status", "active", "-n", 1).lines
    assert dr("deployments", "deactivate", chosen, "--yes").code == 0
    assert dr("deployments", "deactivate", chosen, "--yes").code == 1
    ran = dr("deployments", "deactivate", chosen, "--yes", "--repeat-unknown")
    assert ran.code == 0, ran.err


def test_repeated_change_that_is_refused_is_a_failure(dr, datarobot_emulator):
    (chosen,) = dr("deployments", "list", "--columns", "id", "--status", "active", "-n", 1).lines
    datarobot_emulator.fault("PATCH /deployments/*/status/ status=409 times=1")
    ran = dr("deployments", "deactivate", chosen, "--yes", "--repeat-unknown")
    assert ran.code == 1
    assert "409" in ran.error
