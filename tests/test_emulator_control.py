"""The emulator's control interface and its page, as tests in any language and people see them."""

from __future__ import annotations

import re
import shutil
import subprocess

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator


@pytest.fixture
def emulator():
    with Emulator(deployments=30, image_size=10_000, operation_seconds=60) as running:
        yield running


@pytest.fixture
def api(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(base_url=emulator.endpoint, headers=headers, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def control(emulator):
    base = emulator.endpoint.removesuffix("api/v2") + "_emulator/"
    with httpx.Client(base_url=base, trust_env=False, timeout=10) as client:
        yield client


def test_faults_are_added_listed_and_lifted(api, control):
    rule = "GET /version/ status=503 times=1"
    assert control.post("faults", json={"rule": rule}).json() == [
        {"rule": "GET /version/ times=1 status=503", "fired": 0}
    ]
    assert [api.get("version/").status_code for _ in range(2)] == [503, 200]
    assert control.get("faults").json()[0]["fired"] == 1
    refused = control.post("faults", json={"rule": "GET /nosuch/ stall"})
    assert refused.status_code == 422
    assert "there is no route /nosuch/" in refused.json()["message"]
    assert control.delete("faults").json() == []


def test_requests_are_listed_without_secrets_and_without_the_control_s_own(emulator, api, control):
    location = api.get("mlops/portablePredictionServerImage/").headers["location"]
    api.get(location, headers={"Authorization": ""})
    api.patch(f"deployments/{'5' * 24}/", json={"label": "x"})
    found = control.get("requests")
    assert [(each["method"], each["status"], each["origin"]) for each in found.json()] == [
        ("GET", 302, "api"),
        ("GET", 400, "storage"),
        ("PATCH", 404, "api"),
    ]
    assert emulator.token not in found.text
    assert "X-Amz-Signature" not in found.text
    assert found.json()[2]["body"] == '{"label":"x"}'
    assert len(control.get("requests", params={"route": "GET storage"}).json()) == 1
    assert control.delete("requests").json() == []
    assert emulator.requests == ()


def test_fleet_drifts_and_everything_can_be_as_at_the_start(emulator, api, control):
    before = api.get("deployments/", params={"limit": 100}).json()
    control.post("drift", json={"changes": 40})
    changes = control.get("changes").json()
    assert {"kind", "id", "before", "after"} == set(changes[0])
    assert len(emulator.changes) == len(changes) > 10
    emulator.fault("GET /version/ status=503")
    shown = control.post("reset", json={}).json()
    assert (shown["deployments"], shown["faults"], shown["requests"]) == (30, [], [])
    after = api.get("deployments/", params={"limit": 100}).json()
    assert [row["label"] for row in after["data"]] == [row["label"] for row in before["data"]]


def test_settings_are_read_and_changed(emulator, api, control):
    assert control.get("settings").json()["operation_seconds"] == 60
    changed = control.patch("settings", json={"dialect": "older", "token": "other", "deployments": 3})
    assert changed.json()["dialect"] == "older"
    assert "token" not in changed.json()
    assert api.get("version/").status_code == 401
    control.post("reset", json={})
    assert len(api.get("deployments/", headers={"Authorization": "Bearer other"}).json()["data"]) == 3
    for wrong in (
        *({"latency": -1}, {"latency": "x"}, {"dialect": "latin"}, {"port": 1}, {"none": 1}),
        *(
            {"version": 5},
            {"version": "new"},
            {"deployments": 1.5},
            {"deployments": None},
            {"scoring_code_size": True},
        ),
    ):
        refused = control.patch("settings", json=wrong)
        assert refused.status_code == 422
        assert next(iter(wrong)) in refused.json()["message"]


def test_operations_begin_without_a_request(emulator, api, control):
    path = control.post("operations", json={"seconds": 0, "outcome": "ERROR"}).json()["path"]
    assert api.get(path).json()["status"] == "ERROR"
    assert api.get(emulator.begin_operation()).json()["status"] == "INITIALIZED"
    over = api.get(emulator.begin_operation(0))
    assert (over.status_code, over.json()["status"]) == (200, "COMPLETED")
    assert control.post("operations", json={"outcome": "BROKEN"}).status_code == 422
    with pytest.raises(ValueError, match="outcome must be one of COMPLETED, ERROR, ABORTED, EXPIRED"):
        emulator.begin_operation(outcome="BROKEN")


def test_signatures_expire(api, control):
    location = api.get("mlops/portablePredictionServerImage/").headers["location"]
    assert control.post("signatures", json={}).status_code == 200
    assert httpx.get(location, trust_env=False).status_code == 403


def test_calls_are_told(control):
    told = control.get("").json()
    assert told["POST /_emulator/drift"] == 'Let the fleet change: {"changes": 5}.'
    assert all(told.values())
    for call in told:
        method, _, path = call.partition(" ")
        assert control.request(method, control.base_url.join(path), json={}).status_code in (200, 422)


def test_what_is_not_there_is_refused(control):
    assert control.get("none").status_code == 404
    assert control.put("faults").status_code == 405
    # What a form on another site's page can send.
    assert control.post("reset", content="{}", headers={"content-type": "text/plain"}).status_code == 415


def test_state_tells_what_the_page_shows(api, control):
    active = api.get("deployments/", params={"status": "active"}).json()["data"][0]["id"]
    api.patch(f"deployments/{active}/status/", json={"status": "inactive"})
    state = control.get("state").json()
    assert (
        sum(state["statuses"].values()) == sum(state["serviceHealth"].values()) == state["deployments"] == 30
    )
    assert [each["description"] for each in state["operations"]] == ["Deployment status change"]
    assert [each["method"] for each in state["requests"]] == ["PATCH", "GET"]
    assert state["changes"][0]["after"] == {"status": "stopping"}


@pytest.mark.skipif(
    not shutil.which("chromium"), reason="chromium is not installed (Debian's package chromium)"
)
def test_page_shows_what_goes_on(tmp_path, emulator, api, control):
    emulator.fault("GET /version/ status=503")
    api.get("version/")
    active = api.get("deployments/", params={"status": "active"}).json()["data"][0]["id"]
    api.patch(f"deployments/{active}/status/", json={"status": "inactive"})
    page = str(control.base_url.join("/"))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
               "--no-proxy-server", "--virtual-time-budget=3000", "--dump-dom", page]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    for part in (
        ">live<",
        ">30<",
        "GET /version/ status=503",
        "Deployment status change",
        "/api/v2/version/",
        active,
    ):
        assert part in shown


def test_page_needs_nothing_from_elsewhere(emulator, control):
    page = httpx.get(control.base_url.join("/"), trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=.(?!data:)|https?:|@import", page.text)
    assert emulator.requests == ()
