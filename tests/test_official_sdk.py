"""The emulator as the official `datarobot` SDK sees it: an outsider's witness that it speaks the API.

`SDK_CALLS` names each call once, and `requests_of_sdk` returns what it puts on the wire, so that
another client's requests for the same calls can be compared with it.
"""

from __future__ import annotations

import gc
import time
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import datarobot
import pytest
from attrs import frozen
from datarobot import Deployment
from datarobot._version import __expected_server_version__
from datarobot.errors import AsyncProcessUnsuccessfulError, ClientError
from datarobot.models.deployment import DeploymentListFilters
from datarobot.models.resource_bundle import ResourceBundle
from datarobot.utils import waiters

from datarobot_mlops_async.emulator import Emulator, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# The SDK's own warnings: urllib3 dislikes how it sets its retries up, and it has deprecated a call used here.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@frozen(kw_only=True)
class Subject:
    """What the calls are made with."""

    active_id: str
    inactive_id: str
    directory: Path

    @property
    def active(self):
        """The active deployment, which also has scoring code, as the SDK knows it."""
        return Deployment.get(self.active_id)


FILTERS = {
    "role": "OWNER",
    "service_health": ["passing", "failing"],
    "model_health": ["passing", "not_started", "warning"],
    "accuracy_health": ["unknown", "passing", "not_started", "warning"],
    "execution_environment_type": ["datarobot", "external"],
    "importance": ["LOW", "MODERATE", "HIGH"],
    "tag_keys": ["team", "stage"],
    "tag_values": ["risk", "growth", "production"],
}

SDK_CALLS: dict[str, Callable[[Subject], object]] = {
    "list": lambda subject: Deployment.list(),
    "list_page": lambda subject: Deployment.list(offset=20, limit=10),
    "list_ordered": lambda subject: Deployment.list(order_by="-label", search="e"),
    "list_filtered": lambda subject: Deployment.list(filters=DeploymentListFilters(**FILTERS)),
    **{
        f"list_{name}": lambda subject, name=name: Deployment.list(
            filters=DeploymentListFilters(**{name: FILTERS[name]})
        )
        for name in FILTERS
    },
    "get": lambda subject: Deployment.get(subject.active_id),
    "update": lambda subject: subject.active.update(label="new", description="text", importance="CRITICAL"),
    "delete": lambda subject: subject.active.delete(),
    "activate": lambda subject: Deployment.get(subject.inactive_id).activate(),
    "deactivate": lambda subject: subject.active.deactivate(),
    "get_features": lambda subject: subject.active.get_features(),
    "get_capabilities": lambda subject: subject.active.get_capabilities(),
    "create_from_learning_model": lambda subject: Deployment.create_from_learning_model(
        "5c0a979859b00004ba52e431",
        "Created",
        "text",
        default_prediction_server_id=subject.active.default_prediction_server["id"],
        importance="HIGH",
        prediction_threshold=0.5,
        status="inactive",
    ),
    "download_scoring_code": lambda subject: subject.active.download_scoring_code(
        str(subject.directory / "plain.jar")
    ),
    "download_scoring_code_source": lambda subject: subject.active.download_scoring_code(
        str(subject.directory / "source.jar"), source_code=True
    ),
    "download_scoring_code_built": lambda subject: subject.active.download_scoring_code(
        str(subject.directory / "built.jar"), include_agent=True, include_prediction_explanations=True
    ),
    "bundles": lambda subject: ResourceBundle.list(),
    "bundles_filtered": lambda subject: ResourceBundle.list(
        use_cases=["customModel", "sapAICore"], offset=1, limit=5
    ),
    "bundle": lambda subject: ResourceBundle.get("cpu.nano"),
}


@pytest.fixture
def emulator():
    version = f"{__expected_server_version__}.0"  # an older one makes the SDK warn
    with Emulator(deployments=60, image_size=None, version=version, operation_seconds=0.05) as running:
        yield running


@pytest.fixture
def sdk(emulator, monkeypatch):
    """The SDK's client, connected, with a waiter that sleeps 20 ms where it would sleep 5 s."""
    quick = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds / 250))
    monkeypatch.setattr(waiters, "time", quick)
    # Without the tracking, which walks the stack of every call and sends it along.
    client = datarobot.Client(
        endpoint=emulator.endpoint, token=emulator.token, enable_api_consumer_tracking=False
    )
    yield client
    client.close()
    datarobot.client.set_client(None)
    gc.collect(1)  # urllib3 holds on to the connection of an answer without a body until it is collected


@pytest.fixture
def subject(sdk, emulator, tmp_path):
    active = Deployment.list(order_by="label")
    chosen = next(
        one for one in active if one.status == "active" and one.model["build_environment_type"] == "DataRobot"
    )
    inactive = next(one for one in active if one.status == "inactive")
    emulator.clear_requests()
    return Subject(active_id=chosen.id, inactive_id=inactive.id, directory=tmp_path)


def requests_of_sdk(emulator: Emulator, call: str, subject: Subject) -> Sequence[RequestRecord]:
    """Make one of `SDK_CALLS` and return the requests that it sent."""
    emulator.clear_requests()
    SDK_CALLS[call](subject)
    return emulator.requests


def test_client_starts_up_by_asking_for_the_version(sdk, emulator):
    (record,) = emulator.requests
    assert (record.method, record.path, record.authorization) == (
        "GET",
        "/api/v2/version/",
        f"Token {emulator.token}",
    )


def test_client_with_a_wrong_token_is_refused(emulator):
    with pytest.raises(ClientError, match="Unable to authenticate"):
        datarobot.Client(endpoint=emulator.endpoint, token="wrong")


@pytest.mark.parametrize("call", SDK_CALLS)
def test_every_call_succeeds(emulator, subject, call):
    records = requests_of_sdk(emulator, call, subject)
    assert records
    assert all(record.status < 400 for record in records)


def test_list_is_read_page_by_page_to_the_end(emulator, subject):
    assert len(Deployment.list()) == 60
    assert [record.query for record in emulator.requests] == ["", "offset=20&limit=20", "offset=40&limit=20"]


@pytest.mark.parametrize("name", FILTERS)
def test_list_filter_applies(subject, name):
    everything = {one.id for one in Deployment.list()}
    found = {one.id for one in Deployment.list(filters=DeploymentListFilters(**{name: FILTERS[name]}))}
    assert found
    assert found <= everything
    if name != "execution_environment_type":  # all there are is asked for
        assert found < everything


def test_deployment_is_decoded(subject):
    deployment = subject.active
    assert deployment.id == subject.active_id
    assert deployment.status == "active"
    assert deployment.default_prediction_server["datarobot-key"]
    assert deployment.service_health["status"]
    assert deployment.owners["preview"][0]["email"]


def test_update_is_seen_by_the_next_read(subject):
    SDK_CALLS["update"](subject)
    updated = subject.active
    assert (updated.label, updated.description, updated.importance) == ("new", "text", "CRITICAL")


def test_deleted_deployment_is_gone(subject):
    SDK_CALLS["delete"](subject)
    with pytest.raises(ClientError) as caught:
        Deployment.get(subject.active_id)
    assert caught.value.status_code == 404


def test_status_changes_are_waited_for(emulator, subject):
    deployment = subject.active
    deployment.deactivate()
    assert deployment.status == "inactive"
    deployment.activate()
    assert deployment.status == "active"
    assert {record.status for record in emulator.requests_to("GET /status/*/")} == {200, 303}


def test_failed_status_change_is_raised(emulator, subject):
    emulator.fault("PATCH /deployments/*/status/ outcome=ERROR")
    with pytest.raises(AsyncProcessUnsuccessfulError, match="did not complete"):
        subject.active.deactivate()


def test_created_deployment_is_as_it_was_asked_for(subject):
    created = SDK_CALLS["create_from_learning_model"](subject)
    assert (created.label, created.description, created.importance) == ("Created", "text", "HIGH")
    assert (created.status, created.model["id"]) == ("inactive", "5c0a979859b00004ba52e431")


def test_creation_without_a_description_is_accepted_as_the_sdk_leaves_null_out(emulator, subject):
    created = Deployment.create_from_learning_model("5c0a979859b00004ba52e431", "Created")
    assert created.description is None
    assert "description" not in emulator.requests_to("POST /deployments/fromLearningModel/")[0].json


def test_features_and_capabilities_are_decoded(subject):
    features = subject.active.get_features()
    assert {"name", "feature_type", "importance", "date_format", "known_in_advance"} == set(features[0])
    assert any(not one["supported"] and one["messages"] for one in subject.active.get_capabilities())


def test_scoring_code_is_an_archive_built_where_it_has_to_be(emulator, subject):
    for call in ("download_scoring_code", "download_scoring_code_source", "download_scoring_code_built"):
        SDK_CALLS[call](subject)
    for name in ("plain.jar", "source.jar", "built.jar"):
        assert zipfile.is_zipfile(subject.directory / name)
    assert len(emulator.requests_to("POST /deployments/*/scoringCodeBuilds/")) == 1


def test_bundles_are_decoded(subject):
    assert len(SDK_CALLS["bundles"](subject)) > 10
    assert SDK_CALLS["bundle"](subject).cpu_count == 0.5
    assert all(
        {"customModel", "sapAICore"} & set(bundle.use_cases)
        for bundle in SDK_CALLS["bundles_filtered"](subject)
    )
