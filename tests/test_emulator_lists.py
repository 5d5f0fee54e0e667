"""The emulator's lists: pages, links, every filter and every order."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())
OPERATIONS = {(operation["method"], operation["path"]): operation for operation in CONTRACT["operations"]}
HEALTH_ORDER = ("failing", "warning", "passing", "unknown", "unavailable", "notStarted")
IMPORTANCE_ORDER = ("LOW", "MODERATE", "HIGH", "CRITICAL")


@pytest.fixture(scope="module")
def emulator():
    with Emulator(deployments=250, image_size=None, operation_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def client(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(
        base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False, timeout=10
    ) as connected:
        connected.get("version/")  # so that the connection is the module's, and not left behind by a test
        yield connected


@pytest.fixture(scope="module")
def fleet(client):
    return read_all(client, "deployments/", limit=100)


def read_all(client, path, **params):
    rows = []
    page = client.get(path, params=params)
    while True:
        assert page.status_code == 200, page.text
        body = page.json()
        assert body["count"] == len(body["data"])
        rows += body["data"]
        if not body["next"]:
            return rows
        page = client.get(body["next"])


def ids(rows):
    return [row["id"] for row in rows]


def enum_of(name):
    parameters = OPERATIONS["GET", "/api/v2/deployments/"]["parameters"]
    return next(parameter["enum"] for parameter in parameters if parameter["name"] == name)


def test_default_page_has_twenty_rows_and_links_to_its_neighbours(emulator, client, fleet):
    first = client.get("deployments/").json()
    assert (first["count"], first["totalCount"], first["previous"]) == (20, 250, None)
    assert first["next"] == f"{emulator.endpoint}/deployments/?offset=20&limit=20"
    second = client.get(first["next"]).json()
    assert second["previous"] == f"{emulator.endpoint}/deployments/?offset=0&limit=20"
    assert ids(first["data"] + second["data"]) == ids(fleet[:40])


def test_default_order_is_last_prediction_newest_first(fleet):
    moments = [row["predictionUsage"]["lastTimestamp"] for row in fleet]
    known = [datetime.fromisoformat(moment) for moment in moments if moment is not None]
    assert known == sorted(known, reverse=True)
    assert moments[len(known) :] == [None] * (250 - len(known))
    assert len(set(ids(fleet))) == 250


def test_last_page_says_null_or_nothing(client):
    assert client.get("deployments/", params={"offset": 240}).json()["next"] is None
    assert client.get("deployments/", params={"offset": 9999}).json()["data"] == []
    last = client.get("customModelDeployments/", params={"limit": 1000}).json()
    assert (last["next"], last["previous"]) == ("", "")


def test_links_keep_filters_as_they_were_sent(client):
    page = client.get(
        "deployments/",
        params={"limit": 5, "status": "active,inactive", "tagKeys": ["team", "stage"], "search": "a&b=ü"},
    ).json()
    assert page["next"] is None
    page = client.get(
        "deployments/", params={"limit": 5, "status": "active,inactive", "tagKeys": ["team", "stage"]}
    ).json()
    assert httpx.URL(page["next"]).params.multi_items() == [
        ("offset", "5"),
        ("limit", "5"),
        ("status", "active,inactive"),
        ("tagKeys", "team"),
        ("tagKeys", "stage"),
    ]


@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "x", "1e3", "99999999999999999999999", "", "1.0", "\u0661"]
)
def test_wrong_limit_is_refused(client, limit):
    answer = client.get("deployments/", params={"limit": limit})
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"limit"}


@pytest.mark.parametrize("offset", ["-1", "x", "99999999999999999999999"])
def test_wrong_offset_is_refused_with_the_status_that_the_page_names(client, offset):
    assert client.get("deployments/", params={"offset": offset}).status_code == 422
    assert client.get("customModelDeployments/", params={"offset": offset}).status_code == 400


@pytest.mark.parametrize("order", enum_of("orderBy"))
def test_every_order_sorts_everything(client, fleet, order):
    rows = read_all(client, "deployments/", limit=100, orderBy=order)
    assert sorted(ids(rows)) == sorted(ids(fleet))
    keys = {
        "label": lambda row: row["label"].casefold(),
        "serviceHealth": lambda row: HEALTH_ORDER.index(row["serviceHealth"]["status"]),
        "modelHealth": lambda row: HEALTH_ORDER.index(row["modelHealth"]["status"]),
        "accuracyHealth": lambda row: HEALTH_ORDER.index(row["accuracyHealth"]["status"]),
        "recentPredictions": lambda row: sum(row["predictionUsage"]["dailyRates"]),
        "lastPredictionTimestamp": lambda row: row["predictionUsage"]["lastTimestamp"] or "",
        "currentModelDeployedTimestamp": lambda row: row["model"]["deployedAt"],
        "createdAtTimestamp": lambda row: datetime.fromisoformat(row["createdAt"]),
        "importance": lambda row: IMPORTANCE_ORDER.index(row["importance"]),
    }
    key = keys.get(order.removeprefix("-"), lambda row: 0)
    found = [key(row) for row in rows]
    assert found == sorted(found, reverse=order.startswith("-"))


def custom(row):
    return "customModelImage" in row["model"]


def execution_type(row):
    if custom(row):
        return "custom_inference_model"
    return "external" if row["model"]["type"] == "External Model" else "dedicated"


VALUES_OF = {
    "serviceHealth": lambda row: row["serviceHealth"]["status"],
    "modelHealth": lambda row: row["modelHealth"]["status"],
    "accuracyHealth": lambda row: row["accuracyHealth"]["status"],
    "status": lambda row: row["status"],
    "importance": lambda row: row["importance"],
    "buildEnvironmentType": lambda row: row["model"]["buildEnvironmentType"],
    "predictionEnvironmentPlatform": lambda row: row["predictionEnvironment"]["platform"],
    "executionEnvironmentType": lambda row: (
        "datarobot" if row["predictionEnvironment"]["platform"].startswith("datarobot") else "external"
    ),
    "championModelExecutionType": execution_type,
}


@pytest.mark.parametrize("name", VALUES_OF)
def test_enumerated_filter_accepts_every_value_and_applies(client, fleet, name):
    selected = 0
    for value in enum_of(name):
        rows = read_all(client, "deployments/", limit=100, **{name: value})
        wanted = "notStarted" if value == "not_started" else value
        assert ids(rows) == [row["id"] for row in fleet if VALUES_OF[name](row) == wanted]
        selected += len(rows)
    assert selected == len(fleet)


@pytest.mark.parametrize("name", [name for name in VALUES_OF if name != "championModelExecutionType"])
def test_array_filter_joins_its_values_by_commas(client, fleet, name):
    first, second = enum_of(name)[:2]
    rows = read_all(client, "deployments/", limit=100, **{name: f"{first},{second}"})
    wanted = {"notStarted" if value == "not_started" else value for value in (first, second)}
    assert ids(rows) == [row["id"] for row in fleet if VALUES_OF[name](row) in wanted]


@pytest.mark.parametrize("name", [*VALUES_OF, "role", "orderBy", "createdByMe"])
def test_value_outside_an_enum_is_refused(client, name):
    answer = client.get("deployments/", params={name: "nonsense"})
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {name}


def test_health_is_not_started_in_queries_and_not_started_in_answers(client):
    assert client.get("deployments/", params={"serviceHealth": "notStarted"}).status_code == 422
    rows = client.get("deployments/", params={"serviceHealth": "not_started"}).json()["data"]
    assert {row["serviceHealth"]["status"] for row in rows} == {"notStarted"}


def test_prediction_server_filter(client, fleet):
    servers = sorted({row["defaultPredictionServer"]["id"] for row in fleet})
    rows = read_all(client, "deployments/", limit=100, defaultPredictionServerId=",".join(servers[:2]))
    assert ids(rows) == [row["id"] for row in fleet if row["defaultPredictionServer"]["id"] in servers[:2]]
    assert client.get("deployments/", params={"defaultPredictionServerId": "none"}).json()["totalCount"] == 0


def test_search_looks_into_label_and_description_whatever_the_case(client, fleet):
    rows = read_all(client, "deployments/", limit=100, search="MONTHLY")
    wanted = [row for row in fleet if "monthly" in f"{row['label']} {row['description']}".lower()]
    assert ids(rows) == ids(wanted)
    assert rows
    assert read_all(client, "deployments/", limit=100, search="churn")


def test_usage_filters(client, fleet):
    rows = read_all(client, "deployments/", limit=100, predictionUsageDailyAvgGreaterThan=100)
    assert ids(rows) == [row["id"] for row in fleet if sum(row["predictionUsage"]["dailyRates"]) / 7 > 100]
    fewer = read_all(client, "deployments/", limit=100, predictionUsageDailyAvgLessThan=100)
    assert ids(fewer) == [row["id"] for row in fleet if sum(row["predictionUsage"]["dailyRates"]) / 7 < 100]


def test_last_prediction_filters_include_the_start_and_exclude_the_end(client, fleet):
    middle = fleet[60]["predictionUsage"]["lastTimestamp"]
    since = read_all(client, "deployments/", limit=100, lastPredictionTimestampStart=middle)
    until = read_all(client, "deployments/", limit=100, lastPredictionTimestampEnd=middle)
    moments = [row["predictionUsage"]["lastTimestamp"] for row in fleet]
    assert ids(since) == [
        row["id"] for row, moment in zip(fleet, moments, strict=True) if moment and moment >= middle
    ]
    assert ids(until) == [
        row["id"] for row, moment in zip(fleet, moments, strict=True) if moment and moment < middle
    ]
    naive = datetime.fromisoformat(middle).replace(tzinfo=None) + timedelta(0)
    assert ids(
        read_all(client, "deployments/", limit=100, lastPredictionTimestampStart=naive.isoformat())
    ) == ids(since)


@pytest.mark.parametrize(
    "moment", ["yesterday", "2024-13-01", "0001-01-01T00:00:00+14:00", "2024-01-01\x00", ""]
)
def test_wrong_timestamp_is_refused(client, moment):
    answer = client.get("deployments/", params={"lastPredictionTimestampStart": moment})
    assert answer.status_code == 422


def test_tag_filters_repeat_their_keys_and_match_any_value(client, fleet):
    rows = read_all(client, "deployments/", limit=100, tagKeys=["stage", "nothing"])
    assert ids(rows) == [row["id"] for row in fleet if any(tag["name"] == "stage" for tag in row["tags"])]
    rows = read_all(client, "deployments/", limit=100, tagValues=["risk", "growth"])
    assert ids(rows) == [
        row["id"] for row in fleet if any(tag["value"] in ("risk", "growth") for tag in row["tags"])
    ]
    assert client.get("deployments/", params={"tagValues": "risk,growth"}).json()["totalCount"] == 0


def test_people_filters(client, fleet):
    owned = read_all(client, "deployments/", limit=100, role="OWNER")
    used = read_all(client, "deployments/", limit=100, role="USER")
    assert owned
    assert sorted(ids(owned + used)) == sorted(ids(fleet))
    mine = read_all(client, "deployments/", limit=100, createdByMe="true")
    (me,) = {row["owners"]["preview"][0]["id"] for row in mine}
    assert ids(mine) == ids(read_all(client, "deployments/", limit=100, createdBy=me))
    assert len(read_all(client, "deployments/", limit=100, createdByMe="False")) == 250


def test_target_type_filter(client, fleet):
    rows = read_all(client, "deployments/", limit=100, championModelTargetType="Regression")
    assert ids(rows) == [row["id"] for row in fleet if row["model"]["targetType"] == "Regression"]


def test_filters_apply_together(client, fleet):
    rows = read_all(
        client,
        "deployments/",
        limit=100,
        status="active",
        importance="LOW,HIGH",
        orderBy="-label",
        search="e",
    )
    wanted = {
        row["id"]
        for row in fleet
        if row["status"] == "active"
        and row["importance"] in ("LOW", "HIGH")
        and "e" in f"{row['label']}{row['description'] or ''}".lower()
    }
    assert set(ids(rows)) == wanted
    assert [row["label"] for row in rows] == sorted(
        (row["label"] for row in rows), key=str.casefold, reverse=True
    )


def test_lists_follow_what_changes():
    with Emulator(deployments=30, operation_seconds=0) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(
            base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False
        ) as client:
            active = client.get("deployments/", params={"status": "active", "orderBy": "label"}).json()
            target = active["data"][0]["id"]
            client.patch(f"deployments/{target}/status/", json={"status": "inactive"})
            after = client.get("deployments/", params={"status": "active", "orderBy": "label"}).json()
            assert after["totalCount"] == active["totalCount"] - 1
            client.patch(f"deployments/{target}/", json={"label": "zzz"})
            assert client.get("deployments/", params={"orderBy": "-label"}).json()["data"][0]["id"] == target
            client.delete(f"deployments/{target}/")
            assert client.get("deployments/", params={"orderBy": "-label"}).json()["totalCount"] == 29


def test_many_different_filters_do_not_pile_up(emulator, client):
    for number in range(70):
        assert client.get("deployments/", params={"search": f"nothing {number}"}).json()["count"] == 0


def test_features_come_all_at_once_unless_a_limit_is_given(client, fleet):
    path = f"deployments/{fleet[0]['id']}/features/"
    everything = client.get(path).json()
    assert (everything["next"], everything["count"]) == (None, everything["totalCount"])
    assert client.get(path, params={"limit": 0}).json() == everything
    assert read_all(client, path, limit=3) == everything["data"]


def test_feature_filters_and_orders(client, fleet):
    path = f"deployments/{fleet[0]['id']}/features/"
    used = client.get(path).json()["data"]
    universe = client.get(path, params={"includeNonPredictionFeatures": "true"}).json()["data"]
    assert {row["name"] for row in universe} - {row["name"] for row in used} == {
        "row_id",
        "ingested_at",
        "partition",
    }
    segments = client.get(path, params={"forSegmentedAnalysis": "True"}).json()["data"]
    assert 0 < len(segments) < len(used)
    name = used[0]["name"]
    assert name in {row["name"] for row in client.get(path, params={"search": name.upper()}).json()["data"]}
    for order in enum_of_features():
        rows = client.get(path, params={"orderBy": order}).json()["data"]
        found = [row[order.removeprefix("-")] for row in rows]
        known = [value for value in found if value is not None]
        assert known == sorted(known, reverse=order.startswith("-"))
        assert len(rows) == len(used)
    assert client.get(path, params={"orderBy": "featureType"}).status_code == 422


def enum_of_features():
    parameters = OPERATIONS["GET", "/api/v2/deployments/{deploymentId}/features/"]["parameters"]
    return next(parameter["enum"] for parameter in parameters if parameter["name"] == "orderBy")


def test_custom_model_deployments_are_those_of_custom_models_newest_first(client, fleet):
    rows = read_all(client, "customModelDeployments/", limit=10)
    wanted = sorted((row for row in fleet if custom(row)), key=lambda row: row["createdAt"], reverse=True)
    assert ids(rows) == ids(wanted)


def test_custom_model_filters_repeat_their_keys(client):
    rows = read_all(client, "customModelDeployments/", limit=100)
    models = sorted({row["customModel"]["id"] for row in rows})[:2]
    environments = sorted({row["executionEnvironment"]["id"] for row in rows})[:2]
    by_model = read_all(client, "customModelDeployments/", limit=100, customModelIds=models)
    assert ids(by_model) == [row["id"] for row in rows if row["customModel"]["id"] in models]
    by_environment = read_all(client, "customModelDeployments/", limit=100, environmentIds=environments)
    assert ids(by_environment) == [
        row["id"] for row in rows if row["executionEnvironment"]["id"] in environments
    ]
    assert (
        client.get("customModelDeployments/", params={"customModelIds": ",".join(models)}).json()[
            "totalCount"
        ]
        == 0
    )


def test_bundles_are_filtered_by_use_case(client):
    everything = read_all(client, "mlops/compute/bundles/", limit=3)
    some = read_all(client, "mlops/compute/bundles/", limit=3, useCases=["sapAICore", "customJob"])
    assert ids(some) == [row["id"] for row in everything if {"sapAICore", "customJob"} & set(row["useCases"])]
    assert client.get("mlops/compute/bundles/", params={"useCases": "customModel"}).json()[
        "totalCount"
    ] < len(everything)
    assert client.get("mlops/compute/bundles/", params={"useCases": "x"}).status_code == 422
