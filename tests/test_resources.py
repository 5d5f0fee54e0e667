from __future__ import annotations

import inspect
import json
import textwrap
from datetime import UTC, datetime
from typing import get_args

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async import UNSET, AsyncSession, RawValue, RetryPolicy, resources
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import OperationError, PermissionDeniedError, ProtocolError
from datarobot_mlops_async.models import Deployment, DeploymentStatus, HealthStatus, Importance, Role
from datarobot_mlops_async.resources._arguments import choice, query_from, texts
from tests.scripted import Answer, ScriptedServer
from tests.servers.clients import path_of

pytestmark = pytest.mark.anyio
EMPTY = Answer(body=b'{"data": [], "next": null, "totalCount": 0}')
ACCEPTED = Answer(status=202, headers={"Location": "https://wrong.host/api/v2/status/s1/"}, body=b"")
DONE = Answer(status=303, headers={"Location": "http://wrong.host/x/api/v2/deployments/d1/"}, body=b"")
DEPLOYMENT = Answer(body=b'{"id": "d1", "label": "Churn"}')


def session_for(server):
    return AsyncSession(server.endpoint, "t", retry=RetryPolicy(max_retries=0))


async def target_of(**filters):
    """Return the request target that a list with these filters has."""
    with ScriptedServer(EMPTY) as server:
        async with session_for(server) as session:
            await session.deployments.list(**filters).first_page()
    return server.asked[0].target.partition("?")[2]


async def test_list_has_a_stable_order_unless_the_servers_own_is_wanted():
    assert await target_of() == "orderBy=createdAtTimestamp&offset=0&limit=100"
    assert await target_of(order_by=None, page_size=7) == "offset=0&limit=7"


async def test_filters_take_members_strings_single_values_and_generators():
    assert "status=active%2Cinactive" in await target_of(status=[DeploymentStatus.ACTIVE, "inactive"])
    assert "status=active&" in await target_of(status="active")
    assert "importance=LOW%2CHIGH" in await target_of(importance=(each for each in (Importance.LOW, "HIGH")))
    assert "tagKeys=a&tagKeys=b%2Cc" in await target_of(tag_keys=["a", "b,c"])
    assert "role=OWNER" in await target_of(role=Role.OWNER)
    assert "createdByMe=false" in await target_of(created_by_me=False)


async def test_moment_goes_out_with_its_offset():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert "lastPredictionTimestampStart=2026-01-02T03%3A04%3A05%2B00%3A00" in await target_of(
        last_prediction_timestamp_start=moment
    )


@pytest.mark.parametrize(
    ("filters", "error", "message"),
    [
        ({"status": ["activ"]}, ValueError, "status: 'activ' is not one of .* did you mean 'active'"),
        ({"service_health": [HealthStatus.NOT_STARTED]}, ValueError, "did you mean 'not_started'"),
        ({"status": [3]}, TypeError, "status must be"),
        ({"status": 3}, TypeError, "status must be"),
        ({"status": {"active": 1}}, TypeError, "status must be"),
        ({"tag_keys": []}, ValueError, "tag_keys must not be empty"),
        ({"tag_keys": [""]}, ValueError, "tag_keys must not hold an empty"),
        ({"tag_keys": [b"x"]}, TypeError, "tag_keys must hold strings"),
        ({"default_prediction_server_id": "a,b"}, ValueError, "holds a comma"),
        ({"created_by_me": "yes"}, TypeError, "created_by_me must be a bool"),
        ({"search": 3}, TypeError, "search must be a string"),
        ({"last_prediction_timestamp_end": datetime(2026, 1, 1)}, ValueError, "no time zone"),  # noqa: DTZ001
        ({"last_prediction_timestamp_end": "2026"}, TypeError, "must be a datetime"),
        ({"prediction_usage_daily_avg_less_than": -1}, ValueError, "must be at least 0, not -1"),
        ({"prediction_usage_daily_avg_less_than": 1.5}, TypeError, "must be an int"),
        ({"prediction_usage_daily_avg_less_than": True}, TypeError, "must be an int"),
        ({"page_size": 0}, ValueError, "page_size must be from 1 to 100, not 0"),
        ({"page_size": 101}, ValueError, "page_size must be from 1 to 100, not 101"),
        ({"limit": -1}, ValueError, "limit must be at least 0"),
    ],
)
def test_filter_out_of_bounds_is_refused_by_name_before_anything_is_sent(filters, error, message):
    with pytest.raises(error, match=message):
        AsyncSession("https://h", "t").deployments.list(**filters)


async def test_raw_value_for_a_newer_server_goes_out_as_it_is():
    assert "status=active%2Chibernating" in await target_of(status=["active", RawValue("hibernating")])
    assert choice("role", RawValue("VIEWER"), Role) == "VIEWER"


@given(st.text())
def test_unknown_enum_text_is_refused_with_a_suggestion(text):
    if text in {"OWNER", "USER"}:
        return
    with pytest.raises(ValueError, match="did you mean 'OWNER'|did you mean 'USER'"):
        choice("role", text, Role)


def test_query_leaves_none_out_and_keeps_order():
    arguments = {"c_d": ["x", "y"], "a": None, "b": "1", "other": 3}
    query = query_from(arguments, dict.fromkeys(["b", "a", "c_d"], texts))
    assert query == (("b", "1"), ("cD", "x"), ("cD", "y"))


async def test_custom_model_pages_may_be_larger():
    session = AsyncSession("https://h", "t")
    session.custom_model_deployments.list(page_size=1000)
    with pytest.raises(ValueError, match="1 to 1000"):
        session.custom_model_deployments.list(page_size=1001)


async def test_update_sends_what_was_passed_and_null_for_none():
    with ScriptedServer(Answer(status=204, body=b"")) as server:
        async with session_for(server) as session:
            await session.deployments.update("d1", label=None)
            await session.deployments.update("d1", description="é", importance=Importance.HIGH)
            await session.deployments.update("d1", label="x" * 512, description=None, importance=None)
            with pytest.raises(ValueError, match="at least one of"):
                await session.deployments.update("d1")
            with pytest.raises(ValueError, match="label must have at most 512 characters, not 513"):
                await session.deployments.update("d1", label="x" * 513)
            with pytest.raises(ValueError, match="description must have at most 10000"):
                await session.deployments.update("d1", description="x" * 10_001)
            with pytest.raises(TypeError, match="label must be a string"):
                await session.deployments.update("d1", label=3)
    assert [json.loads(asked.body) for asked in server.asked] == [
        {"label": None},
        {"description": "é", "importance": "HIGH"},
        {"label": "x" * 512, "description": None, "importance": None},
    ]
    assert repr(UNSET) == "UNSET"


async def test_create_always_sends_a_description():
    created = Answer(status=202, body=b'{"id": "d1"}')
    with ScriptedServer(created, DEPLOYMENT) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_create_from_learning_model("m1", "Churn")
            assert operation.location is None
            assert operation.done
            assert (await operation).label == "Churn"
    assert json.loads(server.asked[0].body) == {"modelId": "m1", "label": "Churn", "description": None}
    assert server.asked[1].target == "/api/v2/deployments/d1/"


async def test_create_without_an_id_in_its_answer_reads_what_the_operation_names():
    with ScriptedServer(ACCEPTED, DONE, DEPLOYMENT) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_create_from_learning_model("m1", "Churn")
            assert (await operation).id == "d1"
    assert [asked.target for asked in server.asked[1:]] == ["/api/v2/status/s1/", "/api/v2/deployments/d1/"]
    with ScriptedServer(Answer(status=202, body=b"")) as server:
        async with session_for(server) as session:
            with pytest.raises(ProtocolError, match="which deployment"):
                await (await session.deployments.begin_create_from_learning_model("m1", "Churn"))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
async def test_create_checks_bounds_before_it_sends(threshold):
    async with AsyncSession("https://h", "t") as session:
        create = session.deployments.begin_create_from_learning_model
        with pytest.raises(ValueError, match="prediction_threshold must be from 0 to 1"):
            await create("m", "l", prediction_threshold=threshold)
        with pytest.raises(TypeError, match="prediction_threshold must be a number"):
            await create("m", "l", prediction_threshold="0.5")
        with pytest.raises(ValueError, match="importance: 'VITAL'"):
            await create("m", "l", importance="VITAL")
        with pytest.raises(TypeError, match="model_id must be a string"):
            await create(3, "l")


async def test_set_status_gives_the_refreshed_deployment():
    with ScriptedServer(ACCEPTED, Answer(body=b'{"status": "COMPLETED"}'), DEPLOYMENT) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_activate("d1")
            assert operation.location == "status/s1/"
            assert isinstance(await operation, Deployment)
    assert json.loads(server.asked[0].body) == {"status": "active"}
    with pytest.raises(ValueError, match="'archived' is not one of"):
        async with AsyncSession("https://h", "t") as session:
            await session.deployments.begin_set_status("d1", "archived")


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("deployments/d1/", "Deployment"),
        ("deployments/d1/scoringCode/?includeAgent=true", "Artifact"),
        ("customModelDeployments/c1/logs/l1/", "Artifact"),
        ("reports/r1/", "NoneType"),
    ],
)
async def test_resumed_operation_gives_what_its_resource_is(resource, kind):
    done = Answer(status=303, headers={"Location": f"/api/v2/{resource}"}, body=b"")
    with ScriptedServer(done, DEPLOYMENT) as server:
        async with session_for(server) as session:
            result = await session.operation("https://elsewhere/api/v2/status/s1/")
    assert type(result).__name__ == kind


async def test_resumed_operation_without_a_resource_gives_none():
    with ScriptedServer(Answer(body=b'{"status": "completed"}')) as server:
        async with session_for(server) as session:
            assert await session.operation("status/s1/") is None


async def test_erase_splits_ids_into_requests_of_a_hundred_and_gives_one_operation():
    def accepted(asked):
        number = len(json.loads(asked.body)["deploymentIds"]) if asked.body else 0
        return Answer(status=202, headers={"Location": f"/api/v2/status/of{number}/"}, body=b"")

    with ScriptedServer(accepted) as server:
        async with session_for(server) as session:
            operation = await session.deleted_deployments.begin_erase(
                [*(f"d{n}" for n in range(250)), "d1", "d2"]
            )
    assert operation.location == "status/of100/ status/of100/ status/of50/"
    bodies = [json.loads(asked.body) for asked in server.asked]
    assert [len(body["deploymentIds"]) for body in bodies] == [100, 100, 50]
    assert {body["action"] for body in bodies} == {"PermanentlyErase"}


async def test_erase_that_fails_half_way_hands_over_what_was_accepted():
    with ScriptedServer(ACCEPTED, Answer(status=403, body=b"")) as server:
        async with session_for(server) as session:
            with pytest.raises(OperationError, match="the first 100 of 150 ids were accepted") as caught:
                await session.deleted_deployments.begin_erase([f"d{n}" for n in range(150)])
            assert caught.value.operation.location == "status/s1/"
            with pytest.raises(ValueError, match="must not be empty"):
                await session.deleted_deployments.begin_erase([])
            with pytest.raises(PermissionDeniedError):
                await session.deleted_deployments.begin_erase("d1")


async def test_prediction_log_is_known_by_its_status_id_where_no_location_is_sent():
    log = Answer(status=303, headers={"Location": "/api/v2/customModelDeployments/c1/logs/l1/"}, body=b"")
    with ScriptedServer(Answer(status=202, body=b'{"statusId": "s7"}'), log) as server:
        async with session_for(server) as session:
            operation = await session.custom_model_deployments.begin_prediction_log("c1")
            assert operation.location == "status/s7/"
            await operation
    with ScriptedServer(
        Answer(status=202, body=b'{"statusId": "s7"}'), Answer(body=b'{"status":"COMPLETED"}')
    ) as server:
        async with session_for(server) as session:
            with pytest.raises(ProtocolError, match="where the log is"):
                await (await session.custom_model_deployments.begin_prediction_log("c1"))


async def test_scoring_code_is_built_only_where_an_extra_needs_it():
    jar = Answer(status=303, headers={"Location": "/api/v2/deployments/d1/scoringCode/?build=7"}, body=b"")
    with ScriptedServer(ACCEPTED, jar) as server:
        async with session_for(server) as session:
            plain = await session.deployments.scoring_code("d1", source_code=False)
            assert server.asked == []
            built = await session.deployments.scoring_code("d1", include_agent=True)
            assert json.loads(server.asked[0].body) == {"includeAgent": True}
            with pytest.raises(ValueError, match="exclude each other"):
                await session.deployments.scoring_code("d1", source_code=True, include_agent=True)
            with pytest.raises(ValueError, match="cannot be built"):
                await session.deployments.scoring_code(
                    "d1", source_code=True, include_prediction_intervals=True
                )
            assert await path_of(session, plain) == "deployments/d1/scoringCode/?sourceCode=false"
            assert await path_of(session, built) == "deployments/d1/scoringCode/?build=7"


async def test_build_that_ends_without_a_resource_is_fetched_from_its_documented_route():
    with ScriptedServer(Answer(status=200, body=b"")) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_scoring_code_build("d1", include_agent=True)
            assert await path_of(session, await operation) == "deployments/d1/scoringCode/?includeAgent=true"


async def test_report_has_no_result():
    with ScriptedServer(
        Answer(headers={"Location": "status/s1/"}), Answer(body=b'{"status": "COMPLETED"}')
    ) as server:
        async with session_for(server) as session:
            operation = await session.deployments.begin_report("d1", "r1")
            assert await operation is None
            assert operation.result is None
    assert json.loads(server.asked[0].body) == {"id": "r1"}


async def test_image_hash_of_another_algorithm_is_no_sha256():
    def metadata(algorithm):
        body = {"filename": "i.tar.gz", "imageSize": 3, "hash": "AB", "hashAlgorithm": algorithm}
        return Answer(body=json.dumps(body).encode())

    with ScriptedServer(metadata("SHA256"), metadata("MD5")) as server:
        async with session_for(server) as session:
            first, second = await session.pps_image.artifact(), await session.pps_image.artifact()
    assert (first.filename, first.size, first.sha256) == ("i.tar.gz", 3, "ab")
    assert second.sha256 is None


@pytest.mark.parametrize("name", [name for name in resources.__all__ if name.endswith("Word")])
def test_words_of_a_type_are_those_of_its_enumeration(name):
    enum, raw, words = get_args(getattr(resources, name))
    assert (raw, f"{enum.__name__}Word") == (RawValue, name)
    assert get_args(words) == tuple(member.value for member in enum)


@pytest.mark.parametrize(
    "name", ["CustomModelDeployments", "DeletedDeployments", "Deployments", "PPSImage", "ResourceBundles"]
)
def test_example_of_a_resource_runs_as_it_is_printed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = inspect.getdoc(getattr(resources, name)).split("::\n\n", 1)[1].split("\n\n")[0]
    scope = {}
    exec(
        "async def run(session, deployment_id):\n" + textwrap.indent(textwrap.dedent(example), "    "), scope
    )

    async def run():
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            inactive = await session.deployments.list(status="inactive").collect()
            await session.deployments.delete(inactive[0].id)
            active = await session.deployments.list(status="active").collect()
            emulator.clear_requests()
            await scope["run"](session, active[0].id)

    with Emulator(deployments=40, image_size=1000, operation_seconds=0.01) as emulator:
        anyio.run(run)
        assert emulator.requests
        assert all(each.status < 400 for each in emulator.requests)
