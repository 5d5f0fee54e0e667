"""A fleet in motion: drift, and the log of what has changed."""

from __future__ import annotations

import sys
import threading

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator


def client_of(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    return httpx.Client(base_url=emulator.endpoint, headers=headers, trust_env=False, timeout=10)


def fleet(client):
    found, offset = [], 0
    while True:
        page = client.get("deployments/", params={"limit": 100, "offset": offset, "orderBy": "label"}).json()
        found += page["data"]
        if page["next"] is None:
            return {row["id"]: row for row in found}
        offset += 100


def replayed(before, changes):
    after = {name: dict(row) for name, row in before.items()}
    for change in changes:
        if change.kind == "removed":
            del after[change.deployment_id]
        elif change.kind == "added":
            after[change.deployment_id] = dict(change.after)
        else:
            after[change.deployment_id].update(change.after)
    return after


def test_changes_lead_from_one_listing_to_the_next():
    with Emulator(deployments=150) as emulator, client_of(emulator) as client:
        before = fleet(client)
        emulator.drift(300)
        after = fleet(client)
        assert replayed(before, emulator.changes) == after != before
        assert {change.kind for change in emulator.changes} == {"added", "changed", "removed"}
        changed = {name for change in emulator.changes if change.kind == "changed" for name in change.fields}
        assert {"status", "serviceHealth", "modelHealth", "predictionUsage"} <= changed
        gone = [change.deployment_id for change in emulator.changes if change.kind == "removed"]
        deleted = client.get("deletedDeployments/", params={"limit": 100}).json()["data"]
        assert {row["id"] for row in deleted} == set(gone)


def test_changes_by_requests_are_logged_and_non_changes_are_not():
    with Emulator(deployments=20, operation_seconds=0) as emulator, client_of(emulator) as client:
        chosen = next(row for row in fleet(client).values() if row["status"] == "active")
        path = f"deployments/{chosen['id']}/"
        client.patch(path, json={"label": chosen["label"]})
        assert emulator.changes == ()
        client.patch(path, json={"label": "other"})
        client.patch(f"{path}status/", json={"status": "inactive"})
        client.get(path)
        client.delete(path)
        [label, launching, inactive, removed] = emulator.changes
        assert (label.kind, label.before, label.after) == (
            "changed",
            {"label": chosen["label"]},
            {"label": "other"},
        )
        assert label.fields == ("label",)
        assert (launching.after, inactive.after) == ({"status": "stopping"}, {"status": "inactive"})
        assert (removed.kind, removed.before["label"], removed.after) == ("removed", "other", {})
        assert label.at <= launching.at <= inactive.at <= removed.at


def test_fleet_drifts_by_itself_at_its_rate():
    with Emulator(deployments=50) as emulator, client_of(emulator) as client:
        client.get("version/")
        assert emulator.changes == ()
        emulator.drift_rate = 1e9
        client.get("version/")
        assert len(emulator.changes) > 100
        emulator.drift_rate = 0
        seen = emulator.changes
        client.get("version/")
        assert emulator.changes == seen


def test_drift_of_one_seed_is_the_same_and_an_empty_fleet_grows():
    def story(count):
        emulator = Emulator(deployments=count, seed=3)
        emulator.drift(200)
        return [(change.kind, change.deployment_id[8:], change.fields) for change in emulator.changes]

    assert [part[0] for part in story(0)][:1] == ["added"]
    assert story(10) == story(10)


def test_negative_drift_is_refused():
    with pytest.raises(ValueError, match="drift_rate must not be negative"):
        Emulator(drift_rate=-1)


def test_change_is_kept_while_the_fleet_is_prepared():
    before = sys.getswitchinterval()
    with Emulator(deployments=1) as emulator, client_of(emulator) as client:
        ((name, _),) = fleet(client).items()
        try:
            sys.setswitchinterval(1e-6)
            for number in range(100):
                emulator.reset()
                preparing = threading.Thread(target=emulator.prepare)
                preparing.start()
                client.patch(f"deployments/{name}/", json={"label": str(number)})
                preparing.join()
                assert client.get(f"deployments/{name}/").json()["label"] == str(number)
        finally:
            sys.setswitchinterval(before)
