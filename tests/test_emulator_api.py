"""The emulator's API: what each documented operation answers, and how its state moves."""

from __future__ import annotations

import gc
import inspect
import io
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator

pytest_plugins = ["tests.servers.fixtures"]


@contextmanager
def client_of(emulator, **options):
    options = {"headers": {"Authorization": f"Bearer {emulator.token}"}} | options
    with httpx.Client(
        base_url=emulator.endpoint, verify=False, trust_env=False, timeout=10, **options
    ) as client:
        yield client


@pytest.fixture
def emulator():
    with Emulator(deployments=60, image_size=1000, operation_seconds=0) as running:
        yield running


@pytest.fixture
def client(emulator):
    with client_of(emulator) as connected:
        yield connected


def fleet(client):
    return client.get("deployments/", params={"limit": 100}).json()["data"]


def pick(client, wanted=lambda deployment: deployment["status"] == "active"):
    return next(deployment for deployment in fleet(client) if wanted(deployment))


def is_custom(deployment):
    return "customModelImage" in deployment["model"]


def has_scoring_code(deployment):
    return deployment["model"]["buildEnvironmentType"] == "DataRobot"


def test_version_is_answered_as_clients_expect_at_start_up(client):
    assert client.get("version/").json() == {
        "versionString": "2.49.0",
        "major": 2,
        "minor": 49,
        "releasedVersion": "2.49.0",
    }


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer"])
def test_token_is_accepted_with_either_scheme(emulator, scheme):
    with client_of(emulator, headers={"Authorization": f"{scheme} {emulator.token}"}) as client:
        assert client.get("version/").status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "emulator-token"}]
)
def test_request_without_the_token_is_refused(emulator, headers):
    with client_of(emulator, headers=headers) as client:
        answer = client.get("version/")
    assert answer.status_code == 401
    assert answer.json()["message"]
    assert answer.headers["x-request-id"]


def test_every_answer_has_its_own_request_id_and_the_log_knows_it(emulator, client):
    ids = [client.get(path).headers["x-request-id"] for path in ("version/", "nothing/", "status/x/")]
    assert len(set(ids)) == 3
    assert [record.request_id for record in emulator.requests] == ids


def test_unknown_route_and_method_are_json_errors(client):
    assert client.get("nothing/").json() == {"message": "Not Found", "errors": {}}
    assert client.get("version").status_code == 404
    refused = client.delete("version/")
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]
    assert refused.json()["message"] == "Method Not Allowed"


def test_quoted_slash_in_an_id_does_not_reach_another_route(client):
    deployment_id = pick(client)["id"]
    answer = client.patch(f"deployments/{deployment_id}%2Fstatus/", json={"status": "inactive"})
    assert answer.json()["message"] == "Deployment not found"


def test_id_may_be_quoted_more_than_necessary(client):
    deployment_id = pick(client)["id"]
    quoted = "".join(f"%{ord(letter):02x}" for letter in deployment_id)
    assert client.get(f"deployments/{quoted}/").json()["id"] == deployment_id


def test_large_body_is_refused(client):
    deployment_id = pick(client)["id"]
    assert client.patch(f"deployments/{deployment_id}/", content=b"x" * (9 * 2**20)).status_code == 413


def test_path_prefix_stands_before_the_api(emulator):
    with Emulator(deployments=30, path_prefix="/datarobot", operation_seconds=0) as prefixed:
        assert prefixed.endpoint.endswith("/datarobot/api/v2")
        with client_of(prefixed) as client:
            page = client.get("deployments/").json()
            assert page["next"].startswith(f"{prefixed.endpoint}/deployments/?")
            assert client.get(page["next"]).json()["count"] == 10


def test_status_change_goes_through_its_states(emulator, client):
    emulator.operation_seconds = 0.3
    deployment_id = pick(client)["id"]
    accepted = client.patch(f"deployments/{deployment_id}/status/", json={"status": "inactive"})
    assert accepted.status_code == 202
    location = accepted.headers["location"]
    assert location.startswith(f"{emulator.endpoint}/status/")
    assert client.get(f"deployments/{deployment_id}/").json()["status"] == "stopping"
    states = []
    while (polled := client.get(location)).status_code == 200:
        states.append(polled.json()["status"])
        time.sleep(0.01)
    assert list(dict.fromkeys(states)) == ["INITIALIZED", "RUNNING"]
    assert polled.status_code == 303
    assert polled.headers["location"] == f"{emulator.endpoint}/deployments/{deployment_id}/"
    assert client.get(polled.headers["location"]).json()["status"] == "inactive"


def test_running_operation_is_described_as_documented(emulator, client):
    emulator.operation_seconds = 60
    location = client.patch(f"deployments/{pick(client)['id']}/status/", json={"status": "inactive"}).headers[
        "location"
    ]
    body = client.get(location).json()
    assert set(body) == {"statusId", "status", "message", "code", "description", "statusType", "created"}
    assert location.endswith(f"/status/{body['statusId']}/")


def test_status_change_to_the_present_status_is_a_conflict(client):
    for status in ("active", "inactive"):
        deployment = pick(client, lambda found, wanted=status: found["status"] == wanted)
        answer = client.patch(f"deployments/{deployment['id']}/status/", json={"status": status})
        assert answer.status_code == 409


def test_status_change_during_another_is_a_conflict_and_deletion_is_refused(emulator, client):
    emulator.operation_seconds = 60
    path = f"deployments/{pick(client)['id']}/"
    assert client.patch(f"{path}status/", json={"status": "inactive"}).status_code == 202
    assert client.patch(f"{path}status/", json={"status": "active"}).status_code == 409
    assert client.delete(path).status_code == 422


def test_status_of_an_archived_deployment_cannot_be_changed():
    with Emulator(deployments=300) as emulator, client_of(emulator) as client:
        archived = client.get("deployments/", params={"status": "archived"}).json()["data"][0]
        answer = client.patch(f"deployments/{archived['id']}/status/", json={"status": "active"})
    assert answer.status_code == 422


def test_unknown_operation_and_deployment_are_404(client):
    assert client.get("status/none/").status_code == 404
    assert client.get("deployments/none/").status_code == 404


def test_update_changes_only_what_is_sent(client):
    before = pick(client, lambda found: found["description"] is not None)
    path = f"deployments/{before['id']}/"
    answer = client.patch(path, json={"label": "new label"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path).json() == before | {"label": "new label"}
    client.patch(path, json={"description": None, "importance": "CRITICAL", "label": None})
    after = client.get(path).json()
    assert after == before | {"label": "new label", "description": None, "importance": "CRITICAL"}
    assert client.get("deployments/", params={"search": "NEW LABEL"}).json()["data"] == [after]


def test_blank_label_is_refused(client):
    answer = client.patch(f"deployments/{pick(client)['id']}/", json={"label": ""})
    assert (answer.status_code, answer.json()["errors"]) == (422, {"label": "blank value is not allowed"})


def test_renamed_deployment_has_features_still(client):
    path = f"deployments/{pick(client)['id']}/"
    client.patch(path, json={"label": "of no known subject"})
    assert client.get(f"{path}features/").json()["count"] > 4


def test_client_that_leaves_within_its_request_is_forgotten(emulator, client):
    with socket.create_connection(("127.0.0.1", emulator.port)) as connection:
        connection.sendall(b"POST /api/v2/version/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    assert client.get("version/").status_code == 200
    assert len(emulator.requests) == 1


def test_creation_answers_the_id_and_a_location(emulator, client):
    emulator.operation_seconds = 0.1
    server = fleet(client)[0]["defaultPredictionServer"]
    body = {
        "modelId": "5c0a979859b00004ba52e431",
        "label": "Created",
        "description": None,
        "defaultPredictionServerId": server["id"],
        "importance": "HIGH",
        "predictionThreshold": 0.5,
        "grantInitialDeploymentRolesFromProject": True,
        "status": "inactive",
    }
    accepted = client.post("deployments/fromLearningModel/", json=body)
    assert accepted.status_code == 202
    path = f"deployments/{accepted.json()['id']}/"
    assert client.get(path).json()["status"] == "launching"
    while (polled := client.get(accepted.headers["location"])).status_code == 200:
        time.sleep(0.01)
    created = client.get(polled.headers["location"]).json()
    assert created["id"] == accepted.json()["id"]
    assert (created["label"], created["description"], created["importance"]) == ("Created", None, "HIGH")
    assert (created["status"], created["model"]["id"]) == ("inactive", body["modelId"])
    assert created["defaultPredictionServer"] == server
    assert not is_custom(created)
    assert (
        client.get("deployments/", params={"createdByMe": "true", "search": "created"}).json()["count"] == 1
    )


def test_creation_is_refused_where_the_page_says_so(emulator, client):
    body = {"modelId": "m", "label": "x", "description": None}
    path = "deployments/fromLearningModel/"
    assert client.post(path, json=body | {"defaultPredictionServerId": "unknown"}).status_code == 422
    emulator.max_deployments = 60
    assert client.post(path, json=body).status_code == 409
    emulator.can_create = False
    assert client.post(path, json=body).status_code == 403
    assert len(fleet(client)) == 60


def test_deleted_deployment_is_gone_and_can_be_erased(client):
    doomed = pick(client)
    assert (
        client.delete(f"deployments/{doomed['id']}/", params={"ignoreManagementAgent": "true"}).status_code
        == 204
    )
    assert client.get(f"deployments/{doomed['id']}/").status_code == 404
    deleted = client.get("deletedDeployments/").json()
    assert set(deleted) == {"count", "data", "next", "previous"}
    assert deleted["next"] == ""
    assert [(row["id"], row["label"]) for row in deleted["data"]] == [(doomed["id"], doomed["label"])]
    body = {"action": "PermanentlyErase", "deploymentIds": [doomed["id"]]}
    accepted = client.patch("deletedDeployments/", json=body)
    assert accepted.status_code == 202
    finished = client.get(accepted.headers["location"])
    assert (finished.status_code, finished.json()["status"]) == (200, "COMPLETED")
    assert client.get("deletedDeployments/").json()["data"] == []
    assert client.patch("deletedDeployments/", json=body).json()["errors"] == {
        "deploymentIds": f"not deleted deployments: {doomed['id']}"
    }


def test_deleted_deployments_are_newest_first_and_paged(client):
    ids = [deployment["id"] for deployment in fleet(client)[:3]]
    for deployment_id in ids:
        assert client.delete(f"deployments/{deployment_id}/").status_code == 204
    page = client.get("deletedDeployments/", params={"limit": 2}).json()
    rest = client.get(page["next"]).json()
    assert [row["id"] for row in page["data"] + rest["data"]] == ids[::-1]
    assert rest["next"] == ""


def test_deletion_can_lag(emulator, client):
    emulator.deletion_lag = 0.1
    path = f"deployments/{pick(client)['id']}/"
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 200
    while client.get(path).status_code == 200:
        time.sleep(0.01)
    time.sleep(0.1)
    assert client.get(path).status_code == 404
    assert client.get("deletedDeployments/").json()["count"] == 1


def test_erasing_needs_permission(emulator, client):
    emulator.can_erase = False
    assert client.get("deletedDeployments/").status_code == 403
    body = {"action": "PermanentlyErase", "deploymentIds": ["x"]}
    assert client.patch("deletedDeployments/", json=body).status_code == 403


def test_failed_erasure_erases_nothing(emulator, client):
    doomed = pick(client)["id"]
    client.delete(f"deployments/{doomed}/")
    emulator.fault("PATCH /deletedDeployments/", outcome="ABORTED")
    body = {"action": "PermanentlyErase", "deploymentIds": [doomed]}
    location = client.patch("deletedDeployments/", json=body).headers["location"]
    assert client.get(location).json()["status"] == "ABORTED"
    assert client.get("deletedDeployments/").json()["count"] == 1


def test_report_is_a_200_with_a_location(client):
    path = f"deployments/{pick(client)['id']}/onDemandReports/"
    accepted = client.post(path, json={"id": "schedule"})
    assert accepted.status_code == 200
    assert client.get(accepted.headers["location"]).json()["status"] == "COMPLETED"


def test_scoring_code_is_an_archive_that_names_itself(emulator, client):
    deployment = pick(client, has_scoring_code)
    answer = client.get(f"deployments/{deployment['id']}/scoringCode/")
    assert answer.headers["content-type"] == "application/java-archive"
    assert answer.headers["content-disposition"] == f'attachment; filename="{deployment["model"]["id"]}.jar"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert "META-INF/MANIFEST.MF" in archive.namelist()
    assert len(answer.content) >= emulator.scoring_code_size
    source = client.get(f"deployments/{deployment['id']}/scoringCode/", params={"sourceCode": "true"})
    assert source.content != answer.content


def test_scoring_code_with_options_has_to_be_built_first(client):
    path = f"deployments/{pick(client, has_scoring_code)['id']}/"
    wanted = {"includeAgent": "true", "includePe": "True"}
    assert client.get(f"{path}scoringCode/", params=wanted).status_code == 404
    options = {
        "includeAgent": True,
        "includePredictionExplanations": True,
        "includePredictionIntervals": False,
    }
    accepted = client.post(f"{path}scoringCodeBuilds/", json=options)
    assert accepted.status_code == 202
    finished = client.get(accepted.headers["location"])
    assert finished.status_code == 303
    built = client.get(finished.headers["location"])
    with zipfile.ZipFile(io.BytesIO(built.content)) as archive:
        assert "com/datarobot/options/includeAgent" in archive.namelist()
    assert client.get(f"{path}scoringCode/", params=wanted).content == built.content


def test_failed_build_leaves_nothing_to_download(emulator, client):
    path = f"deployments/{pick(client, has_scoring_code)['id']}/"
    emulator.fault("POST /deployments/*/scoringCodeBuilds/ outcome=ERROR")
    failed = client.get(
        client.post(f"{path}scoringCodeBuilds/", json={"includeAgent": True}).headers["location"]
    )
    assert (failed.status_code, failed.json()["status"], failed.json()["code"]) == (200, "ERROR", 1)
    assert client.get(f"{path}scoringCode/", params={"includeAgent": "true"}).status_code == 404


def test_source_code_with_an_agent_is_refused(client):
    path = f"deployments/{pick(client, has_scoring_code)['id']}/scoringCode/"
    assert client.get(path, params={"sourceCode": "true", "includeAgent": "true"}).status_code == 422


def test_model_without_scoring_code_has_none(client):
    path = f"deployments/{pick(client, is_custom)['id']}/"
    assert client.get(f"{path}scoringCode/").status_code == 404
    assert client.post(f"{path}scoringCodeBuilds/", json={}).status_code == 404


def test_prediction_log_is_requested_and_then_fetched_as_text(client):
    deployment_id = pick(client, is_custom)["id"]
    path = f"customModelDeployments/{deployment_id}/logs/"
    accepted = client.post(path)
    assert accepted.status_code == 202
    assert accepted.headers["location"].endswith(f"/status/{accepted.json()['statusId']}/")
    finished = client.get(accepted.headers["location"])
    assert finished.status_code == 303
    log = client.get(finished.headers["location"])
    assert log.headers["content-type"].startswith("text/plain")
    assert log.headers["content-disposition"].startswith("attachment; filename=")
    assert "POST /predict/ 200" in log.text
    assert client.get(f"{path}none/").status_code == 404


def test_failed_prediction_log_request_makes_no_log(emulator, client):
    emulator.fault("POST /customModelDeployments/*/logs/ outcome=EXPIRED")
    path = f"customModelDeployments/{pick(client, is_custom)['id']}/logs/"
    assert client.get(client.post(path).headers["location"]).json()["status"] == "EXPIRED"


def test_deployment_log_is_text_with_a_name(client):
    deployment_id = pick(client, is_custom)["id"]
    log = client.get(f"customModelDeployments/{deployment_id}/logs/")
    assert log.headers["content-type"].startswith("text/plain")
    assert log.headers["content-disposition"] == f'attachment; filename="deployment-{deployment_id}.log"'
    assert f"Deployment {deployment_id} is ready" in log.text


def test_logs_are_refused_for_what_is_not_a_custom_model(client):
    deployment_id = pick(client, has_scoring_code)["id"]
    assert client.post(f"customModelDeployments/{deployment_id}/logs/").status_code == 422
    assert client.post("customModelDeployments/none/logs/").status_code == 404


def test_capabilities_say_why_something_is_not_supported(client):
    for deployment in fleet(client)[:10]:
        for capability in client.get(f"deployments/{deployment['id']}/capabilities/").json()["data"]:
            assert bool(capability["messages"]) != capability["supported"]
            if capability["name"] == "supports_scoring_code_download":
                assert capability["supported"] == has_scoring_code(deployment)


def test_model_history_begins_with_the_current_champion(client):
    lengths = set()
    for deployment in fleet(client)[:20]:
        page = client.get(f"deployments/{deployment['id']}/modelHistory/").json()
        current = page["data"][0]
        lengths.add(page["totalCount"])
        assert current["endDate"] is None
        assert current["modelPackage"]["modelId"] == deployment["model"]["id"]
        for later, earlier in zip(page["data"], page["data"][1:], strict=False):
            assert later["startDate"] == earlier["endDate"]
        assert page["data"][-1]["replacementReason"] is None
    assert len(lengths) > 1


def test_resource_bundles_can_have_half_a_cpu_and_can_be_disabled(emulator, client):
    bundle = client.get("mlops/compute/bundles/cpu.nano/").json()
    assert bundle["cpuCount"] == 0.5
    assert client.get("mlops/compute/bundles/none/").status_code == 404
    emulator.resource_bundles = False
    assert client.get("mlops/compute/bundles/").status_code == 403
    assert client.get("mlops/compute/bundles/cpu.nano/").status_code == 403


def test_older_server_leaves_out_what_it_does_not_know(emulator, client):
    whole = pick(client)
    emulator.dialect = "older"
    older = client.get(f"deployments/{whole['id']}/").json()
    for missing in ("status", "createdAt", "settings", "tags", "importance"):
        assert missing not in older
    assert older["serviceHealth"] == {"status": whole["serviceHealth"]["status"]}
    assert "targetType" not in older["model"]
    assert client.get("mlops/compute/bundles/cpu.nano/").json()["description"] is None


def test_newer_server_adds_fields_and_enum_values():
    with Emulator(deployments=200, dialect="newer") as emulator, client_of(emulator) as client:
        rows = fleet(client)
    assert all("fairnessHealth" in row and "creator" in row for row in rows)
    assert "BUSINESS_CRITICAL" in {row["importance"] for row in rows}
    assert "edge" in {row["predictionEnvironment"]["platform"] for row in rows}


def test_latency_delays_every_answer(emulator, client):
    emulator.latency = 0.05
    client.get("version/")
    record = emulator.requests[-1]
    assert record.answered_at - record.started_at >= 0.05


def test_request_log_keeps_what_arrived_as_it_arrived(emulator, client):
    client.patch(
        "deployments/%C3%A4/", params={"a": "1,2", "b": ""}, json={"label": "ü"}, headers={"X-Twice": "1"}
    )
    (record,) = emulator.requests
    assert (record.method, record.path, record.status) == ("PATCH", "/api/v2/deployments/%C3%A4/", 404)
    assert record.query == "a=1%2C2&b="
    assert record.parameters == {"a": ["1,2"], "b": [""]}
    assert record.json == {"label": "ü"}
    assert record.authorization == f"Bearer {emulator.token}"
    assert record.headers["x-twice"] == "1"
    assert record.origin == "api"
    assert record.started_at <= record.answered_at
    assert emulator.token not in repr(record)


def test_request_log_joins_repeated_headers(emulator, client):
    client.get("version/", headers=[("X-A", "1"), ("X-A", "2")])
    assert emulator.requests[0].headers["x-a"] == "1, 2"


def test_request_log_can_be_filtered_and_cleared(emulator, client):
    deployment_id = pick(client)["id"]
    client.get(f"deployments/{deployment_id}/")
    client.get("version/")
    assert [record.path for record in emulator.requests_to("GET /deployments/*/")] == [
        f"/api/v2/deployments/{deployment_id}/"
    ]
    assert len(emulator.requests_to("* *")) == 3
    assert emulator.requests_to("GET storage") == ()
    with pytest.raises(ValueError, match="expected METHOD ROUTE"):
        emulator.requests_to("GET /version/ status=503")
    emulator.clear_requests()
    assert emulator.requests == ()


def test_request_log_is_bounded():
    with Emulator(deployments=0, log_limit=2) as emulator, client_of(emulator) as client:
        for name in ("a", "b", "c"):
            client.get(f"{name}/")
        assert [record.path for record in emulator.requests] == ["/api/v2/b/", "/api/v2/c/"]


def test_prediction_moves_a_deployment_to_the_front(emulator, client):
    last = fleet(client)[-1]["id"]
    emulator.predict(last)
    assert fleet(client)[0]["id"] == last
    with pytest.raises(KeyError):
        emulator.predict("none")


def test_emulator_goes_on_with_its_state_after_a_restart():
    emulator = Emulator(deployments=30, operation_seconds=0)
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = emulator.endpoint
    first = emulator
    first.drift(3)
    with emulator, client_of(emulator) as client:
        endpoint, storage = emulator.endpoint, emulator.storage_endpoint
        doomed = fleet(client)[0]["id"]
        client.delete(f"deployments/{doomed}/")
        with pytest.raises(RuntimeError, match="running already"):
            emulator.start()
    emulator.stop()
    with emulator, client_of(emulator) as client:
        assert (emulator.endpoint, emulator.storage_endpoint) == (endpoint, storage)
        assert client.get(f"deployments/{doomed}/").status_code == 404
        assert len(emulator.requests) == 3


def test_stopping_ends_requests_that_wait_and_leaves_no_thread():
    before = set(threading.enumerate())
    emulator = Emulator(deployments=0, latency=60)
    emulator.start()
    failures = []

    def ask():
        try:
            httpx.get(f"{emulator.endpoint}/version/", verify=False, trust_env=False, timeout=30)
        except httpx.TransportError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.1)
    emulator.stop()
    asking.join()
    assert len(failures) == 1
    assert set(threading.enumerate()) <= before  # one of another test may end


def test_taken_port_is_reported_and_the_other_one_released():
    with Emulator(deployments=0) as running:
        for taken in ({"port": running.port}, {"storage_port": running.storage_port}):
            with pytest.raises(OSError, match="in use"):
                Emulator(deployments=0, **taken).start()


@pytest.mark.parametrize(
    "wrong",
    [{"deployments": -1}, {"image_redirect": 200}, {"storage_rate": 0}, {"dialect": "old"}, {"latency": -1},
     {"epoch": datetime(2024, 1, 1)}, {"faults": ["GET /x"]}],  # noqa: DTZ001 - what is refused here
)  # fmt: skip
def test_wrong_setting_is_refused(wrong):
    with pytest.raises(ValueError):
        Emulator(**wrong)


def test_every_setting_is_explained():
    names = inspect.signature(Emulator).parameters
    assert all(f"\n    {name}: " in inspect.getdoc(Emulator) for name in names)
    assert len(names) > 20


def test_setting_is_checked_when_it_is_changed():
    emulator = Emulator(deployments=0)
    with pytest.raises(ValueError, match="operation_seconds must not be negative"):
        emulator.operation_seconds = -1


def test_same_seed_draws_the_same_details_at_any_time():
    seen = []
    for year in (2024, 2025):
        epoch = datetime(year, 6, 1, tzinfo=UTC)
        with Emulator(deployments=9, epoch=epoch) as emulator, client_of(emulator) as client:
            paths = [f"deployments/{row['id']}" for row in fleet(client)]
            details = ("features", "capabilities")
            seen.append([client.get(f"{path}/{detail}/").json() for path in paths for detail in details])
    assert seen[0] == seen[1]


def test_same_seed_draws_the_same_fleet():
    epoch = datetime(2025, 6, 1, tzinfo=UTC)
    fleets = []
    for seed in (0, 0, 1):
        with Emulator(deployments=5, seed=seed, epoch=epoch) as emulator, client_of(emulator) as client:
            fleets.append(fleet(client))
    assert fleets[0] == fleets[1] != fleets[2]


def test_request_log_is_bounded_by_bytes():
    with Emulator(deployments=0, log_bytes=20_000) as emulator, client_of(emulator) as client:
        for number in range(8):
            client.post(
                "deployments/fromLearningModel/", content=b"x" * 5000, headers={"x-number": str(number)}
            )
        assert [record.headers["x-number"] for record in emulator.requests] == ["5", "6", "7"]
        client.post("deployments/fromLearningModel/", content=b"x" * 50_000)
        assert [len(record.body) for record in emulator.requests] == [50_000]
        emulator.clear_requests()
        client.get("version/")
        assert len(emulator.requests) == 1


def test_emulator_can_be_as_at_the_start(emulator, client):
    before = fleet(client)
    client.delete(f"deployments/{before[0]['id']}/")
    emulator.fault("GET /version/ status=503")
    emulator.replace_image()
    emulator.reset()
    assert [row["label"] for row in fleet(client)] == [row["label"] for row in before]
    assert client.get("version/").status_code == 200
    assert client.get("deletedDeployments/").json()["data"] == []
    assert emulator.changes == ()


def test_token_can_be_revoked(emulator, client):
    emulator.token = "next-one"
    assert client.get("version/").status_code == 401
    assert client.get("version/", headers={"Authorization": "Bearer next-one"}).status_code == 200


def test_body_may_come_in_chunks_and_after_a_permission(emulator, client):
    def parts():
        yield b'{"label": "in '
        yield b'chunks"}'

    chosen = pick(client)["id"]
    assert client.patch(f"deployments/{chosen}/", content=parts()).status_code == 204
    assert emulator.requests[-1].json == {"label": "in chunks"}
    request = (
        f"PATCH /api/v2/deployments/{chosen}/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {emulator.token}\r\n"
        "Expect: 100-continue\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"label":"big"}')
        assert connection.recv(1000).startswith(b"HTTP/1.1 204 No Content\r\n")


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"3\r\nab", b"3\r\nabc", b"", b"3\r\nabcdef", b"\xff\r\n"], ids=range(6)
)
def test_broken_chunks_close_the_connection(emulator, body):
    head = b"POST /api/v2/version/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""


def test_emulator_serves_https(tls):
    with Emulator(deployments=3, image_size=3_000_000, tls=tls.server_context()) as emulator:
        trusting = ssl.create_default_context(cafile=tls.ca_file)
        assert emulator.endpoint.startswith("https://127.0.0.1:")
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(
            base_url=emulator.endpoint, headers=headers, verify=trusting, trust_env=False
        ) as client:
            assert client.get("deployments/").json()["totalCount"] == 3
            location = client.get("mlops/portablePredictionServerImage/").headers["location"]
            assert location.startswith(emulator.storage_endpoint)
            assert len(httpx.get(location, verify=trusting, trust_env=False).content) == 3_000_000
            emulator.fault("GET /version/ reset=0 times=1")
            emulator.fault("GET /version/ truncate=3")
            for _ in range(2):
                with pytest.raises(httpx.TransportError):
                    client.get("version/")
        with pytest.raises(httpx.TransportError):
            httpx.get(emulator.endpoint.replace("https", "http"), trust_env=False)


def test_nothing_is_served_outside_the_endpoint(emulator, client):
    assert client.get(emulator.endpoint.replace("/api/v2", "/deployments/")).status_code == 404
    assert client.get(emulator.endpoint.replace("/api/v2", "/api/v3/deployments/")).status_code == 404


@pytest.mark.parametrize(
    "framing",
    [
        f"content-length: {'9' * 5000}",
        "content-length: -1",
        "transfer-encoding: chunked\r\n\r\n-1",
        "transfer-encoding: chunked\r\n\r\n0x2",
        "transfer-encoding: chunked\r\n\r\nxyz",
    ],
)
def test_body_without_an_end_closes_the_connection(emulator, capfd, framing):
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(f"POST /api/v2/version/ HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        assert connection.recv(1000) == b""
    assert capfd.readouterr() == ("", "")


def test_connection_that_comes_while_it_stops_is_closed_too():
    held, go = threading.Event(), threading.Event()

    def hold(request):
        held.set()
        return not go.wait(10)

    with socket.socket() as late:
        with Emulator(deployments=0, image_size=None) as emulator:
            emulator.fault("GET /version/ status=500", when=hold)
            with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as client:
                client.sendall(b"GET /api/v2/version/ HTTP/1.0\r\n\r\n")
                assert held.wait(10)
            # The server stands still: it will see this one and the stop at a time.
            late.connect(("127.0.0.1", emulator.port))
            threading.Timer(0.1, go.set).start()
        # A socket that nobody closed is a warning here, and warnings are errors.
        gc.collect()


def test_emulator_goes_on_after_it_had_no_files_left():
    code = """
        import resource, socket, sys
        from datarobot_mlops_async.emulator import Emulator

        with Emulator(deployments=0, image_size=None) as emulator:
            clients = [socket.socket() for _ in range(8)]
            most = clients[-1].fileno() + 3  # no file is left for what the server accepts after two
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            for client in clients:
                client.connect(("127.0.0.1", emulator.port))
            for client in [*clients[:2], None]:
                client = client or socket.create_connection(("127.0.0.1", emulator.port), timeout=10)
                client.sendall(b"GET /_emulator/faults HTTP/1.0\\r\\n\\r\\n")
                print(client.recv(12).decode())
                if client is clients[1]:
                    for one in clients:
                        one.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("HTTP/1.1 200\n" * 3, "")
