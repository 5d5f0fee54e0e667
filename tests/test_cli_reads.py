"""Commands that read: what they ask the server, and what they print for people, programs and machines."""

from __future__ import annotations

import inspect
import json
from datetime import datetime

import pytest

from datarobot_mlops_async.cli._app import app
from datarobot_mlops_async.resources import Deployments
from tests.command_line import Here


@pytest.fixture
def dr(capfd, monkeypatch, datarobot_emulator):
    return Here(capfd, monkeypatch)


def queries(emulator, path):
    return [each.parameters for each in emulator.requests if each.path == f"/api/v2/{path}"]


def an_id(dr, *filters):
    return dr("deployments", "list", "-n", 1, "--columns", "id", *filters).out.strip()


def test_list_into_a_pipe_is_tab_separated_and_begins_with_the_id(dr):
    ran = dr("deployments", "list")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.lines) == 20
    assert {len(line.split("\t")) for line in ran.lines} == {8}
    assert all(len(line.split("\t")[0]) == 24 for line in ran.lines)


def test_list_on_a_terminal_is_a_table_that_fits(dr):
    ran = dr("deployments", "list", terminal=True, columns=80)
    heading, *_ = ran.lines
    assert heading.split()[:4] == ["Id", "Label", "Status", "Health"]
    assert max(map(len, ran.lines)) <= 80
    assert ran.err.strip() == "20 deployments"


def test_wider_terminal_shows_more_columns(dr):
    assert "Importance" not in dr("deployments", "list", terminal=True, columns=80).lines[0]
    assert "Importance" in dr("deployments", "list", terminal=True, columns=120).lines[0]


def test_colours_asked_for_by_the_environment_make_no_table_in_a_pipe(dr, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\t" in dr("deployments", "list", "-n", 1).lines[0]


def test_empty_list_says_so_on_a_terminal(dr):
    ran = dr("deleted", "list", terminal=True)
    assert (ran.code, ran.out, ran.err.strip()) == (0, "", "0 deleted deployments")


def test_json_is_one_document(dr):
    ran = dr("deployments", "list", "--json")
    assert len(ran.json) == 20
    assert ran.json[0]["service_health"]["status"]
    assert datetime.fromisoformat(ran.json[0]["created_at"]).tzinfo


def test_jsonl_is_one_object_a_line(dr):
    assert len([json.loads(line) for line in dr("deployments", "list", "--jsonl").lines]) == 20


def test_columns_are_attribute_paths(dr):
    ran = dr("deployments", "list", "-n", 2, "--columns", "id,model.type")
    assert [len(line.split("\t")) for line in ran.lines] == [2, 2]
    table = dr("deployments", "list", "-n", 2, "--columns", "label,model.type", terminal=True)
    assert table.lines[0].split() == ["label", "model.type"]


def test_unknown_column_names_those_there_are(dr):
    ran = dr("deployments", "list", "--columns", "id,modle")
    assert ran.code == 2
    assert "model" in ran.error


@pytest.mark.parametrize("more", [("--json", "--jsonl"), ("--json", "--columns", "id")])
def test_forms_that_exclude_each_other_are_refused(dr, more, datarobot_emulator):
    ran = dr("deployments", "list", *more)
    assert ran.code == 2
    assert "--json" in ran.error
    assert not datarobot_emulator.requests


def test_every_filter_of_the_library_is_an_option():
    command = app.get_command(None, "deployments").commands["list"]
    ours = {each.name for each in command.params} - {"order_by", "limit", "columns", "as_json", "as_lines"}
    theirs = set(inspect.signature(Deployments.list).parameters)
    assert theirs - ours == {"self", "order_by", "page_size", "limit"}
    assert ours <= theirs


def test_every_filter_reaches_the_server(dr, datarobot_emulator):
    given = {
        "--search": "Churn",
        "--status": "active",
        "--service-health": "not_started",
        "--model-health": "passing",
        "--accuracy-health": "unknown",
        "--importance": "LOW",
        "--role": "OWNER",
        "--tag-keys": "team",
        "--tag-values": "growth",
        "--created-by": "5e29",
        "--last-prediction-timestamp-start": "2026-01-31T12:00+01:00",
        "--last-prediction-timestamp-end": "2026-02-01T12:00Z",
        "--prediction-usage-daily-avg-greater-than": "1",
        "--prediction-usage-daily-avg-less-than": "9",
        "--default-prediction-server-id": "5e30",
        "--build-environment-type": "Python",
        "--execution-environment-type": "external",
        "--prediction-environment-platform": "aws",
        "--champion-model-execution-type": "external",
        "--champion-model-target-type": "Binary",
    }
    words = [word for pair in given.items() for word in pair]
    ran = dr("deployments", "list", "--created-by-me", *words, "--order-by", "-label")
    assert (ran.code, ran.err) == (0, "")
    (query,) = queries(datarobot_emulator, "deployments/")
    assert query["createdByMe"] == ["true"]
    assert query["orderBy"] == ["-label"]
    # All of the options, and offset, limit, orderBy.
    assert len(query) == len(given) + 1 + 3


def test_repeated_filter_widens(dr, datarobot_emulator):
    dr("deployments", "list", "--status", "active", "--status", "inactive", "--created-by-others")
    (query,) = queries(datarobot_emulator, "deployments/")
    assert query["status"] == ["active,inactive"]
    assert query["createdByMe"] == ["false"]


def test_order_can_be_the_servers_own(dr, datarobot_emulator):
    dr("deployments", "list", "--order-by", "server")
    (query,) = queries(datarobot_emulator, "deployments/")
    assert "orderBy" not in query


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("--status", "activ", "'active'"),
        ("--last-prediction-timestamp-start", "yesterday", "2026-01-31"),
        ("--prediction-usage-daily-avg-less-than", "many", "--prediction-usage"),
    ],
)
def test_filter_that_makes_no_sense_is_refused_before_anything_is_sent(
    dr, datarobot_emulator, option, value, part
):
    ran = dr("deployments", "list", option, value)
    assert ran.code == 2
    assert part in ran.error
    assert "RawValue" not in ran.err
    assert not datarobot_emulator.requests


def test_get_shows_every_attribute(dr):
    deployment_id = an_id(dr)
    pairs = dict(line.split("\t", 1) for line in dr("deployments", "get", deployment_id).lines)
    assert pairs["id"] == deployment_id
    assert pairs["service_health.status"]
    assert dr("deployments", "get", deployment_id, "--json").json["id"] == deployment_id


def test_get_on_a_terminal_says_what_moments_and_sizes_mean(dr):
    ran = dr("bundles", "get", "gpu.small", terminal=True)
    assert "17179869184 (16.0 GiB)" in ran.out
    assert "UTC (" in dr("pps-image", "metadata", terminal=True).out


def test_features_history_and_capabilities_are_read(dr, datarobot_emulator):
    deployment_id = an_id(dr)
    features = dr(
        "deployments", "features", deployment_id, "--search", "x", "--order-by", "-name",
        "--for-segmented-analysis", "--include-non-prediction-features",
    )  # fmt: skip
    assert features.code == 0
    (query,) = queries(datarobot_emulator, f"deployments/{deployment_id}/features/")
    assert query["includeNonPredictionFeatures"] == query["forSegmentedAnalysis"] == ["true"]
    assert dr("deployments", "history", deployment_id, "--json").json[0]["start_date"]
    assert dr("deployments", "capabilities", deployment_id, "-n", 3).out.count("\n") == 3
    assert dr("deployments", "capabilities", deployment_id, "--json").json[0]["name"]
    assert "Supported" in dr("deployments", "capabilities", deployment_id, terminal=True).lines[0]


def test_custom_models_bundles_and_image_are_read(dr, datarobot_emulator):
    ran = dr(
        "custom-models", "list", "--custom-model-id", "a", "--custom-model-id", "b", "--environment-id", "c"
    )
    assert ran.code == 0
    (query,) = queries(datarobot_emulator, "customModelDeployments/")
    assert query["customModelIds"] == ["a", "b"]
    assert query["environmentIds"] == ["c"]
    assert dr("bundles", "list", "--use-case", "customJob").lines
    assert dr("bundles", "get", "gpu.small", "--json").json["id"] == "gpu.small"
    assert dr("pps-image", "metadata", "--json").json["image_size"] == 1024 * 1024


def test_labels_from_the_server_cannot_steer_the_terminal(dr, datarobot_emulator):
    deployment_id = an_id(dr)
    evil = "\x1b[2J\x1b]0;title\x07[red]boo[/red]"
    assert dr("deployments", "update", deployment_id, "--set-label", evil, "--yes").code == 0
    for form in ((), ("--json",), ("--jsonl",)):
        ran = dr("deployments", "list", "--search", "boo", *form)
        assert "[red]boo[/red]" in ran.out
        assert "\x1b" not in ran.out
    assert "[red]boo[/red]" in dr("deployments", "list", "--search", "boo", terminal=True).out
