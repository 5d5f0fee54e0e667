"""The emulator against the published page: every operation, every schema, and no input that breaks it."""

from __future__ import annotations

import http.client
import json
import re
import socket
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datarobot_mlops_async.emulator import Emulator

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())
SCHEMAS = CONTRACT["schemas"]
OPERATIONS = CONTRACT["operations"]
PRIMITIVES = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
# Where the service differs from its page, and the emulator follows the service.
DEVIATIONS = {
    "ResourceRequestBundleResponse.cpuCount": "number",
    "ResourceRequestBundleResponse.gpuCount": "number,null",
}


@pytest.fixture
def emulator():
    with Emulator(deployments=120, image_size=5000, scoring_code_size=100, operation_seconds=0) as running:
        yield running


@pytest.fixture
def client(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(
        base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False, timeout=10
    ) as connected:
        yield connected


def mismatches(value, type_, where):
    """Yield what is wrong with a value, given a type of the contract."""
    if type_.startswith("["):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from mismatches(item, type_[1:-1], f"{where}[{index}]")
    elif type_ in SCHEMAS:
        yield from schema_mismatches(value, type_, where)
    else:
        kinds, _, form = type_.partition("(")
        if not any(PRIMITIVES[kind](value) for kind in kinds.split(",")):
            yield f"{where}: {value!r} is not {type_}"
        elif (
            form.startswith("date-time")
            and value is not None
            and datetime.fromisoformat(value).tzinfo is None
        ):
            yield f"{where}: {value!r} has no time zone"


def schema_mismatches(value, schema, where):
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is not a {schema}"
        return
    properties = SCHEMAS[schema]["properties"]
    for name in value.keys() - properties.keys():
        yield f"{where}.{name}: unknown to the page"
    for name, definition in properties.items():
        if name not in value:
            if definition["required"]:
                yield f"{where}.{name}: missing"
            continue
        yield from mismatches(
            value[name], DEVIATIONS.get(f"{schema}.{name}", definition["type"]), f"{where}.{name}"
        )
        if "enum" in definition and value[name] is not None and value[name] not in definition["enum"]:
            yield f"{where}.{name}: {value[name]!r} is not in the enum"


def assert_matches(body, schema):
    assert list(mismatches(body, schema, "$")) == []


def fleet(client):
    return [
        row
        for offset in range(0, 120, 100)
        for row in client.get("deployments/", params={"limit": 100, "offset": offset}).json()["data"]
    ]


def test_every_deployment_matches_the_page_and_the_fleet_is_varied(client):
    rows = fleet(client)
    for row in rows:
        assert_matches(row, "DeploymentRetrieveResponse")
        assert client.get(f"deployments/{row['id']}/").json() == row
    words = json.dumps(rows)
    assert '"string"' not in words
    optional = {name for name, definition in SCHEMAS["DeploymentRetrieveResponse"]["properties"].items()}
    assert optional <= {name for row in rows for name in row}
    assert len({row["label"] for row in rows}) > 100
    assert len({row["status"] for row in rows}) >= 3
    assert {"passing", "warning", "failing", "notStarted"} <= {row["modelHealth"]["status"] for row in rows}
    assert any("." in row["createdAt"] and row["createdAt"].endswith("Z") for row in rows)
    assert any("+" in (row["predictionUsage"]["lastTimestamp"] or "") for row in rows)


def test_lists_match_the_page(client):
    assert_matches(client.get("deployments/").json(), "DeploymentListResponse")
    assert_matches(
        client.get("customModelDeployments/", params={"limit": 1000}).json(),
        "CustomModelDeploymentListResponse",
    )
    assert_matches(client.get("mlops/compute/bundles/").json(), "ResourceRequestBundleListResponse")


def test_details_match_the_page(client):
    seen = set()
    for row in fleet(client):
        path = f"deployments/{row['id']}/"
        history = client.get(f"{path}modelHistory/").json()
        assert_matches(history, "ModelHistoryListResponse")
        seen |= {name for entry in history["data"] for name in entry}
        assert_matches(client.get(f"{path}features/").json(), "FeatureListResponse")
        assert_matches(client.get(f"{path}capabilities/").json(), "DeploymentCapabilitiesRetrieveResponse")
    assert seen == set(SCHEMAS["ModelHistoryResponse"]["properties"])


def test_single_resources_match_the_page(client):
    assert_matches(
        client.get("mlops/portablePredictionServerImage/metadata/").json(), "PPSImageMetadataResponse"
    )
    for bundle in client.get("mlops/compute/bundles/", params={"limit": 100}).json()["data"]:
        assert client.get(f"mlops/compute/bundles/{bundle['id']}/").json() == bundle


def test_accepted_requests_match_the_page(client):
    body = {"modelId": "m", "label": "contract", "description": None}
    created = client.post("deployments/fromLearningModel/", json=body)
    assert_matches(created.json(), "DeploymentCreateResponse")
    client.delete(f"deployments/{created.json()['id']}/")
    assert_matches(client.get("deletedDeployments/").json(), "DeletedDeploymentListResponse")
    custom = client.get("customModelDeployments/").json()["data"][0]["id"]
    assert_matches(
        client.post(f"customModelDeployments/{custom}/logs/").json(), "CustomModelAsyncOperationResponse"
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda item: f"{item['method']} {item['path']}")
def test_every_operation_of_the_page_is_routed(client, operation):
    path = re.sub(r"\{\w+\}", "none", operation["path"].removeprefix("/api/v2/"))
    answer = client.request(operation["method"], path)
    assert answer.status_code != 405
    assert answer.json()["message"] != "Not Found" if answer.status_code == 404 else True


@pytest.mark.parametrize(
    ("method", "path", "schema"),
    [
        ("PATCH", "deployments/{id}/", "DeploymentUpdate"),
        ("PATCH", "deployments/{id}/status/", "DeploymentStatusUpdate"),
        ("POST", "deployments/{id}/onDemandReports/", "ScheduledReportOnDemmand"),
        ("POST", "deployments/{id}/scoringCodeBuilds/", "DeploymentsScoringCodeBuildPayload"),
        ("POST", "deployments/fromLearningModel/", "DeploymentCreateFromLearningModel"),
        ("PATCH", "deletedDeployments/", "DeploymentPermanentDelete"),
    ],
)
def test_body_is_checked_field_by_field(client, method, path, schema):
    row = next(
        row
        for row in fleet(client)
        if row["status"] == "active" and row["model"]["buildEnvironmentType"] == "DataRobot"
    )
    url = path.replace("{id}", row["id"])
    valid = dict(SCHEMAS[schema]["example"])
    for name, definition in SCHEMAS[schema]["properties"].items():
        for wrong in wrong_values(definition):
            answer = client.request(method, url, json=valid | {name: wrong})
            assert answer.status_code == 422, (name, wrong)
            assert set(answer.json()["errors"]) == {name}, (name, wrong)
        if definition["required"] and name != "description":
            without = {key: value for key, value in valid.items() if key != name}
            assert client.request(method, url, json=without).json()["errors"] == {name: "is required"}


def wrong_values(definition):
    kinds = re.sub(r"\(.*", "", definition["type"]).split(",")
    candidates = ["text", 1, 1.5, True, None, [], [1], {}]
    for candidate in candidates:
        if (isinstance(candidate, list) and definition["type"].startswith("[")) or not any(
            PRIMITIVES[kind](candidate) for kind in kinds if kind in PRIMITIVES
        ):
            yield candidate
    if "enum" in definition:
        yield "nonsense"
    if "maxLength" in definition:
        yield "x" * (definition["maxLength"] + 1)
    if "maximum" in definition:
        yield definition["maximum"] + 0.1
        yield definition["minimum"] - 0.1
        yield True
        yield float(10**30)
    if "maxItems" in definition:
        yield ["x"] * (definition["maxItems"] + 1)
    if "string" in kinds:
        yield "null\x00byte"


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"label": "\\ud800"}', b"[1]", b'"text"', b"1" * 5000]
)
def test_body_that_is_no_json_object_is_refused(client, content):
    answer = client.patch(f"deployments/{fleet(client)[0]['id']}/", content=content)
    assert answer.status_code in (400, 422)
    assert answer.json()["message"]


# --- malformed requests


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3)
    ),
    max_leaves=6,
)
hostile_texts = st.sampled_from(
    ["", "\x00", "..", "../", "%", "null", "-1", "0", "1e9", "9" * 40, "true", "a,b,,", "\u0661", "é\ud7ff", "2024-01-01T00:00:00Z",
     "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "x" * 2000, "'\"<>;", "\r\nX: y", "status/x"]
)  # fmt: skip
odd_encodings = st.sampled_from(
    ["%", "%zz", "%00", "%ff%fe", "%u1234", "%c0%af", "a%2Fb", "%0d%0a", "=", "&", ";", "?", "+", "#"]
)
raw_pieces = hostile_texts.map(lambda text: quote(text, safe="")) | odd_encodings | st.text(
    "abcxyz019-_.~!$'()*,;:@", max_size=12
)  # fmt: skip


# A strategy costs more to make than to draw from: each is made once.
values_of_parameters = {
    json.dumps(parameter): raw_pieces
    | st.integers(-5, 200).map(str)
    | st.sampled_from(parameter.get("enum", ["x"]))
    for operation in OPERATIONS
    for parameter in operation["parameters"]
}
no_bodies = st.just(b"") | st.binary(max_size=9)


def bodies_of(example):
    mutated = st.fixed_dictionaries(
        {}, optional={name: json_values | st.just(value) for name, value in example.items()}
    )
    decoded = mutated | st.just(example) | json_values
    return decoded.map(json.dumps).map(str.encode) | st.binary(max_size=20)


bodies_of_schemas = {
    name: bodies_of(schema["example"]) for name, schema in SCHEMAS.items() if "example" in schema
}
operations = st.sampled_from(OPERATIONS)
extra_pieces = st.lists(raw_pieces, max_size=2)
methods = st.sampled_from([None] * 9 + ["PUT", "HEAD"])


@st.composite
def requests(draw, ids):
    """Draw a request of the contract, more or less mutilated; `ids` makes ids, some of which exist."""
    operation = draw(operations)
    path = re.sub(r"\{\w+\}", lambda _: draw(ids), operation["path"])
    query = [
        f"{one['name']}={draw(values_of_parameters[json.dumps(one)])}"
        for one in operation["parameters"]
        if one["location"] == "query" and draw(st.booleans())
    ]
    query += draw(extra_pieces)
    schemas = [one["type"] for one in operation["parameters"] if one["location"] == "body"]
    body = draw(bodies_of_schemas[schemas[0]] if schemas else no_bodies)
    target = path.replace("#", "%23") + ("?" + "&".join(query).replace("#", "%23") if query else "")
    return draw(methods) or operation["method"], target, body


def test_malformed_request_is_never_answered_with_a_server_error(emulator, client):
    known = [row["id"] for row in fleet(client)[:20]] + ["cpu.small"]
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)

    @settings(
        max_examples=600,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(st.sampled_from(known) | raw_pieces))
    def ask(request):
        method, target, body = request
        connection.request(method, target, body, {"Authorization": f"Bearer {emulator.token}"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 500, (method, target, body, content)
        assert answer.headers["x-request-id"]
        if answer.status >= 400 and method != "HEAD":
            assert json.loads(content)["message"]

    try:
        ask()
    finally:
        connection.close()


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=200) | st.text("GET / HTP1.\r\n:abc", max_size=80).map(str.encode), st.booleans())
def test_storage_survives_any_bytes(request_bytes, complete):
    with Storage.get() as connection:
        connection.sendall(request_bytes + (b"\r\n\r\n" if complete else b""))
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert not received or received.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 "))


class Storage:
    """The storage that the property above talks to: hypothesis does not take a module's fixtures."""

    port = 0

    @classmethod
    def get(cls):
        return socket.create_connection(("127.0.0.1", cls.port), timeout=10)


@pytest.fixture(autouse=True)
def storage_port(emulator):
    Storage.port = emulator.storage_port
