"""Commands that begin long-running operations and wait for them, or for those of other processes."""

from __future__ import annotations

import pytest

from tests.command_line import Here


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator):
    return Here(capfd, monkeypatch)


def begin(dr):
    """Begin an operation and return its location."""
    return dr("reports", "run", an_id(dr), "5e29", "--no-wait").out.strip()


def an_id(dr):
    return dr("deployments", "list", "-n", 1, "--columns", "id").out.strip()


def test_report_is_run_and_waited_for(dr):
    ran = dr("reports", "run", an_id(dr), "5e29")
    assert ran.code == 0
    assert ran.out == ""
    assert ran.err.splitlines()[-1].startswith("running the report: done in ")


def test_operation_can_be_left_and_waited_for_later(dr):
    location = begin(dr)
    assert location.startswith("status/")
    assert dr("operations", "wait", location).code == 0
    assert dr("operations", "status", location).out.startswith("succeeded\tCOMPLETED")
    assert dr("operations", "status", location, "--json").json["state"] == "succeeded"


@pytest.mark.datarobot_emulator(faults=["POST /deployments/** links=none"])
def test_operation_that_is_over_at_once_has_no_location(dr):
    ran = dr("reports", "run", an_id(dr), "5e29", "--no-wait")
    assert (ran.code, ran.out) == (0, "")
    assert "at once" in ran.error


@pytest.mark.datarobot_emulator(faults=["POST /deployments/** outcome=ERROR"])
def test_operation_that_fails_has_an_exit_code_of_its_own(dr):
    location = begin(dr)
    ran = dr("operations", "wait", location)
    assert ran.code == 6
    assert "ended with ERROR" in ran.err
    ran = dr("operations", "status", location)
    assert ran.code == 6
    assert ran.out.startswith("failed\tERROR\t")


@pytest.mark.datarobot_emulator(operation_seconds=60)
def test_patience_has_an_end_and_a_way_to_go_on(dr):
    ran = dr("operations", "wait", begin(dr), "--patience", 1)
    assert ran.code == 6
    # The server's word, told once however often it is asked, and how to go on.
    status, error = ran.err.splitlines()
    assert status.startswith("waiting for the operation: ")
    assert "dr-mlops operations wait" in error


def test_interrupt_before_there_is_an_operation_has_nothing_to_go_on_with(dr, monkeypatch):
    async def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("datarobot_mlops_async.resources.Deployments.begin_report", interrupted)
    ran = dr("reports", "run", "5e29", "5e30")
    assert (ran.code, ran.error) == (130, "dr-mlops: interrupted")


def test_wait_shows_what_came_of_it(dr, datarobot_emulator):
    ids = dr("deployments", "list", "--status", "active", "-n", 2, "--columns", "id").lines
    for deployment_id in ids:
        ran = dr("deployments", "deactivate", deployment_id, "--jsonl", "--yes")
        assert dr("operations", "wait", ran.json["location"], "--json").json["id"] == deployment_id


def test_wait_shows_the_servers_word_on_a_terminal(dr):
    ran = dr("operations", "wait", begin(dr), terminal=True)
    assert ran.code == 0
    assert "waiting for the operation" in ran.err


def test_result_that_is_a_file_is_downloaded(dr, datarobot_emulator, tmp_path):
    deployment_id = dr("custom-models", "list", "-n", 1, "--columns", "id").out.strip()
    dr("logs", "prediction", deployment_id, tmp_path / "first")
    location = next(
        each.path.removeprefix("/api/v2/") for each in datarobot_emulator.requests if "/status/" in each.path
    )
    ran = dr("operations", "wait", location)
    assert ran.code == 0
    assert "--download DEST" in ran.err
    assert dr("operations", "wait", location, "--download", tmp_path / "second").code == 0
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    ran = dr("operations", "wait", location, "--download", "-", binary=True)
    assert ran.out == (tmp_path / "first").read_text()


def test_location_of_nothing_is_refused(dr):
    assert dr("operations", "wait", "status/nope/").code == 4


@pytest.fixture
def deleted(dr):
    """Delete three deployments."""
    ran = dr("deployments", "delete", "--status", "inactive", "-n", 3, "--yes")
    ids = [line.split("\t")[0] for line in ran.lines]
    assert len(ids) == 3, ran
    return ids


@pytest.mark.datarobot_emulator(deployments=60)
class TestErasing:
    def test_named_ones_are_erased(self, dr, deleted):
        assert sorted(line.split("\t")[0] for line in dr("deleted", "list").lines) == sorted(deleted)
        ran = dr("deleted", "erase", deleted[0], "--yes")
        assert ran.code == 0
        assert "erasing 1 deleted deployment: done" in ran.err
        assert len(dr("deleted", "list").lines) == 2

    def test_all_are_erased(self, dr, deleted):
        assert dr("deleted", "erase", "--all", "--yes").code == 0
        ran = dr("deleted", "erase", "--all", "--yes")
        assert ran.code == 0
        assert "nothing to erase" in ran.err

    def test_those_on_stdin_are_erased_without_waiting(self, dr, deleted):
        listed = dr("deleted", "list").out
        ran = dr("deleted", "erase", "-", "--yes", "--no-wait", stdin=listed)
        assert ran.code == 0
        assert ran.out.startswith("status/")

    def test_dry_run_erases_nothing(self, dr, deleted):
        ran = dr("deleted", "erase", "--all", "--dry-run")
        assert ran.code == 0
        assert sorted(ran.lines) == sorted(deleted)
        assert "would erase 3 deleted deployments" in ran.err
        assert len(dr("deleted", "list").lines) == 3

    def test_nobody_asked_means_nothing_is_done(self, dr, deleted):
        assert dr("deleted", "erase", "--all").code == 2
        assert dr("deleted", "erase", "--all", terminal=True, stdin="n\n").code == 1
        assert len(dr("deleted", "list").lines) == 3
        assert dr("deleted", "erase", "--all", terminal=True, stdin="y\n").code == 0
        assert dr("deleted", "list").lines == []


@pytest.mark.parametrize("arguments", [[], ["5e29", "--all"], ["-", "5e29"]])
def test_erase_wants_to_know_what(dr, arguments):
    assert dr("deleted", "erase", *arguments, "--yes").code == 2
