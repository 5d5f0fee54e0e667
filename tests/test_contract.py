"""The API page as data, walked: every operation through the public surface, compared with the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import MLOpsError
from tests.servers.clients import path_of

pytestmark = pytest.mark.anyio

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text())
OPERATIONS = {
    f"{each['method']} {each['path'].removeprefix('/api/v2')}": each for each in CONTRACT["operations"]
}
SCHEMAS = CONTRACT["schemas"]
START, END = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)


class Ids:
    """What the calls below are made on, looked up through another session."""

    deployment: str
    server: str
    custom: str
    bundle: str
    log: str
    deleted: ClassVar[list[str]]


async def drain(artifact):
    async with artifact.stream() as chunks:
        async for _ in chunks:
            pass


async def collect(paginator):
    return await paginator.collect()


async def list_deployments(session, ids):
    await collect(
        session.deployments.list(
            order_by="-label",
            search="x,y z",
            service_health=["failing", "not_started"],
            model_health=["passing", "unknown"],
            accuracy_health=["warning", "unavailable"],
            role="OWNER",
            status=["active", "inactive"],
            importance=["LOW", "HIGH"],
            last_prediction_timestamp_start=START,
            last_prediction_timestamp_end=END,
            prediction_usage_daily_avg_greater_than=1,
            prediction_usage_daily_avg_less_than=10**6,
            default_prediction_server_id=["a1", "b2"],
            build_environment_type=["Python", "R"],
            execution_environment_type=["datarobot", "external"],
            prediction_environment_platform=["aws", "other"],
            created_by_me=True,
            created_by="someone",
            champion_model_execution_type="dedicated",
            champion_model_target_type="Binary",
            tag_keys=["team", "a,b"],
            tag_values=["risk", "x"],
        )
    )


async def scoring_code(session, ids):
    everything = dict.fromkeys(
        ["include_agent", "include_pe", "include_prediction_explanations", "include_prediction_intervals"],
        False,
    )
    await drain(
        await session.deployments.scoring_code(ids.deployment, source_code=True, build=False, **everything)
    )


CALLS = {
    "GET /customModelDeployments/": lambda s, i: collect(
        s.custom_model_deployments.list(custom_model_ids=["m1", "m2"], environment_ids=["e1", "e2"])
    ),
    "GET /customModelDeployments/{deploymentId}/logs/": lambda s, i: drain(
        s.custom_model_deployments.deployment_log(i.custom)
    ),
    "POST /customModelDeployments/{deploymentId}/logs/": lambda s, i: (
        s.custom_model_deployments.begin_prediction_log(i.custom)
    ),
    "GET /customModelDeployments/{deploymentId}/logs/{logId}/": lambda s, i: drain(
        s.custom_model_deployments.prediction_log(i.custom, i.log)
    ),
    "GET /deletedDeployments/": lambda s, i: collect(s.deleted_deployments.list()),
    "PATCH /deletedDeployments/": lambda s, i: s.deleted_deployments.begin_erase(i.deleted),
    "GET /deployments/": list_deployments,
    "POST /deployments/fromLearningModel/": lambda s, i: s.deployments.begin_create_from_learning_model(
        "5f1a2b3c4d5e6f7a8b9c0d1e",
        "New",
        description="For the board",
        default_prediction_server_id=i.server,
        grant_initial_deployment_roles_from_project=False,
        importance="HIGH",
        prediction_threshold=0.25,
        status="inactive",
    ),
    "DELETE /deployments/{deploymentId}/": lambda s, i: s.deployments.delete(
        i.deployment, ignore_management_agent=True
    ),
    "GET /deployments/{deploymentId}/": lambda s, i: s.deployments.get(i.deployment),
    "PATCH /deployments/{deploymentId}/": lambda s, i: s.deployments.update(
        i.deployment, label="L", description=None, importance="LOW"
    ),
    "GET /deployments/{deploymentId}/capabilities/": lambda s, i: s.deployments.capabilities(i.deployment),
    "GET /deployments/{deploymentId}/features/": lambda s, i: collect(
        s.deployments.features(
            i.deployment,
            include_non_prediction_features=True,
            for_segmented_analysis=False,
            search="a",
            order_by="-importance",
        )
    ),
    "GET /deployments/{deploymentId}/modelHistory/": lambda s, i: collect(
        s.deployments.model_history(i.deployment)
    ),
    "POST /deployments/{deploymentId}/onDemandReports/": lambda s, i: s.deployments.begin_report(
        i.deployment, "5f1a2b3c4d5e6f7a8b9c0d3e"
    ),
    "GET /deployments/{deploymentId}/scoringCode/": scoring_code,
    "POST /deployments/{deploymentId}/scoringCodeBuilds/": lambda s, i: (
        s.deployments.begin_scoring_code_build(
            i.deployment,
            include_agent=True,
            include_prediction_explanations=False,
            include_prediction_intervals=True,
        )
    ),
    "PATCH /deployments/{deploymentId}/status/": lambda s, i: s.deployments.begin_deactivate(i.deployment),
    "GET /mlops/compute/bundles/": lambda s, i: collect(
        s.resource_bundles.list(use_cases=["customModel", "customJob"])
    ),
    "GET /mlops/compute/bundles/{resourceRequestBundleId}/": lambda s, i: s.resource_bundles.get(i.bundle),
    "GET /mlops/portablePredictionServerImage/": lambda s, i: fetch_image(s),
    "GET /mlops/portablePredictionServerImage/metadata/": lambda s, i: s.pps_image.metadata(),
}

BOOLEANS = ["false", "False", "true", "True"]


async def fetch_image(session):
    await drain(await session.pps_image.artifact())


@pytest.fixture
def emulator():
    with Emulator(deployments=300, image_size=2**20, operation_seconds=0.0) as running:
        yield running


@pytest.fixture
async def session(emulator):
    async with AsyncSession(emulator.endpoint, emulator.token, retry=RetryPolicy(max_retries=1)) as opened:
        yield opened


async def first_with_scoring_code(session, deployments):
    for deployment in deployments:
        capabilities = await session.deployments.capabilities(deployment.id)
        if any(each.supported for each in capabilities if "scoring_code" in each.name):
            return deployment.id
    raise AssertionError("no deployment has scoring code")


@pytest.fixture
async def ids(session):
    found = Ids()
    deletable, *others = (await session.deployments.list(status=["active"]).first_page()).items
    found.deployment = await first_with_scoring_code(session, others)
    found.server = next(
        each.default_prediction_server.id for each in others if each.default_prediction_server is not None
    )
    operation = await session.deployments.begin_deactivate(deletable.id)
    assert (await operation.status()).status == "COMPLETED"
    await session.deployments.delete(deletable.id)
    found.custom = (await session.custom_model_deployments.list().first_page()).items[0].id
    found.bundle = (await session.resource_bundles.list().first_page()).items[0].id
    found.deleted = [each.id for each in (await session.deleted_deployments.list().first_page()).items][:2]
    log = await (await session.custom_model_deployments.begin_prediction_log(found.custom))
    found.log = (await path_of(session, log)).rstrip("/").rpartition("/")[2]
    return found


def matches(operation, record):
    template, actual = operation["path"].split("/"), record.path.split("/")
    return (
        record.origin == "api"
        and record.method == operation["method"]
        and len(template) == len(actual)
        and all(part == given or part.startswith("{") for part, given in zip(template, actual, strict=True))
    )


def test_every_operation_of_the_page_is_called_here():
    assert set(CALLS) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_operation_goes_out_as_the_page_says(name, emulator, session, ids):
    operation = OPERATIONS[name]
    emulator.clear_requests()
    try:
        await CALLS[name](session, ids)
    except MLOpsError as error:
        pytest.fail(f"{error!r}: {error}")
    (record, *_) = [each for each in emulator.requests if matches(operation, each)]
    assert record.status is not None
    assert record.status < 400
    assert record.authorization == f"Bearer {emulator.token}"
    check_query(operation, record.parameters)
    check_body(operation, record.body)


def check_query(operation, sent):
    documented = {each["name"]: each for each in operation["parameters"] if each["location"] == "query"}
    assert set(sent) == set(documented)
    for name, values in sent.items():
        parameter = documented[name]
        if parameter["type"] == "array[string]":
            assert len(values) == 1, f"{name} is one value, joined by commas"
            if "enum" in parameter:
                assert set(values[0].split(",")) <= set(parameter["enum"])
            assert "," in values[0]
        elif parameter["type"] == "any" or name == "useCases":
            assert len(values) == 2, f"{name} is repeated"
        elif parameter.get("enum") == BOOLEANS:
            assert values[0] in {"true", "false"}
        elif parameter["type"] == "integer":
            assert int(values[0]) >= 0
        elif parameter["type"] == "string(date-time)":
            assert datetime.fromisoformat(values[0]).tzinfo is not None
        elif "enum" in parameter:
            assert values[0] in parameter["enum"]


def check_body(operation, body):
    schema = next((each["type"] for each in operation["parameters"] if each["location"] == "body"), None)
    if schema is None:
        assert body == b""
        return
    properties = SCHEMAS[schema]["properties"]
    sent = json.loads(body)
    assert set(sent) == set(properties)
    kinds = {"string": str, "boolean": bool, "number": (int, float), "[string]": list}
    for name, value in sent.items():
        kind, _, nullable = properties[name]["type"].partition(",")
        assert (value is None and nullable) or isinstance(value, kinds[kind])
        assert value is None or "enum" not in properties[name] or value in properties[name]["enum"]


SNAKE = {"orderBy": "order_by"}


def snake(name):
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


LISTS = {
    "GET /deployments/": lambda s, **arguments: s.deployments.list(**arguments),
    "GET /deployments/{deploymentId}/features/": lambda s, **arguments: s.deployments.features(
        "d1", **arguments
    ),
    "GET /mlops/compute/bundles/": lambda s, **arguments: s.resource_bundles.list(**arguments),
}
ENUM_PARAMETERS = [
    (name, parameter["name"], parameter["enum"])
    for name, operation in OPERATIONS.items()
    for parameter in operation["parameters"]
    if parameter.get("enum", BOOLEANS) != BOOLEANS
]


@pytest.mark.parametrize(("name", "parameter", "values"), ENUM_PARAMETERS)
def test_every_enum_value_of_a_parameter_is_accepted_and_others_are_not(name, parameter, values):
    session = AsyncSession("https://h", "t")
    argument = snake(parameter)
    for value in values:
        LISTS[name](session, **{argument: value})
    with pytest.raises(ValueError, match=f"{argument}: 'nonsense' is not one of"):
        LISTS[name](session, **{argument: "nonsense"})
