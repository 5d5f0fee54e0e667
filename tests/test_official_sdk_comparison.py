"""The same calls by the official SDK and by this library, compared on the wire.

Where the two differ on purpose:

- Lists: the SDK leaves offset, limit and order to the server and so reads pages of 20 under an order that
  changes while it is read. We ask for pages of 100 in a stable order. Filters are the same to the byte.
- Scoring code: the SDK sends ``False`` for what it does not want and writes booleans as Python does; the page takes
  both spellings, and other clients send lower case. We leave out what was not asked for.
- The SDK reads a deployment before it acts on it; we take its id.
"""

from __future__ import annotations

import json

import pytest

from datarobot_mlops_async import AsyncSession
from datarobot_mlops_async.emulator import Emulator
from tests.test_official_sdk import FILTERS, SDK_CALLS, emulator, requests_of_sdk, sdk, subject

__all__ = ["emulator", "sdk", "subject"]

pytestmark = [
    pytest.mark.anyio,
    # The SDK's own.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
PAGING = {"offset", "limit", "orderBy"}


@pytest.fixture
def anyio_backend():
    """One event loop is enough here: `test_contract` looks at the wire on all of them."""
    return "asyncio"


async def everything(paginator):
    return await paginator.collect()


async def wait_for(operation):
    return await (await operation)


async def download(artifact, path):
    await (await artifact).download(path)


OUR_CALLS = {
    "list": lambda s, x: everything(s.deployments.list()),
    "list_page": None,  # the SDK's offset has no counterpart here: paging is the paginator's work
    "list_ordered": lambda s, x: everything(s.deployments.list(order_by="-label", search="e")),
    "list_filtered": lambda s, x: everything(s.deployments.list(**FILTERS)),
    **{
        f"list_{name}": lambda s, x, name=name: everything(s.deployments.list(**{name: FILTERS[name]}))
        for name in FILTERS
    },
    "get": lambda s, x: s.deployments.get(x.active_id),
    "update": lambda s, x: s.deployments.update(
        x.active_id, label="new", description="text", importance="CRITICAL"
    ),
    "delete": lambda s, x: s.deployments.delete(x.active_id),
    "activate": lambda s, x: wait_for(s.deployments.begin_activate(x.inactive_id)),
    "deactivate": lambda s, x: wait_for(s.deployments.begin_deactivate(x.active_id)),
    "get_features": lambda s, x: everything(s.deployments.features(x.active_id)),
    "get_capabilities": lambda s, x: s.deployments.capabilities(x.active_id),
    "download_scoring_code": lambda s, x: download(
        s.deployments.scoring_code(x.active_id), x.directory / "ours.jar"
    ),
    "download_scoring_code_source": lambda s, x: download(
        s.deployments.scoring_code(x.active_id, source_code=True), x.directory / "ours.jar"
    ),
    "download_scoring_code_built": lambda s, x: download(
        s.deployments.scoring_code(x.active_id, include_agent=True, include_prediction_explanations=True),
        x.directory / "ours.jar",
    ),
    "bundles": lambda s, x: everything(s.resource_bundles.list()),
    "bundles_filtered": lambda s, x: everything(
        s.resource_bundles.list(use_cases=["customModel", "sapAICore"])
    ),
    "bundle": lambda s, x: s.resource_bundles.get("cpu.nano"),
}


async def create(session, subject):
    server = (await session.deployments.get(subject.active_id)).default_prediction_server
    await wait_for(
        session.deployments.begin_create_from_learning_model(
            "5c0a979859b00004ba52e431",
            "Created",
            description="text",
            default_prediction_server_id=server.id,
            importance="HIGH",
            prediction_threshold=0.5,
            status="inactive",
        )
    )


OUR_CALLS["create_from_learning_model"] = create


def said(records, subject, call):
    """Return what the requests say, without reads that only prepare or follow, and without paging."""
    reads = (
        set()
        if call == "get"
        else {f"/api/v2/deployments/{each}/" for each in (subject.active_id, subject.inactive_id)}
    )
    seen = []
    for record in records:
        if record.origin == "storage" or "/status/" in record.path.removesuffix("/status/"):
            continue
        if record.method == "GET" and record.path in reads:
            continue
        if record.method == "GET" and "fromLearningModel" in "".join(each[1] for each in seen):
            continue
        parameters = {
            name: [value.lower() for value in values] if name[:7] in {"include", "sourceC"} else values
            for name, values in record.parameters.items()
            if name not in PAGING and values != ["False"]
        }
        body = json.loads(record.body) if record.body else None
        if body and record.path.endswith("/scoringCodeBuilds/"):
            body = {name: value for name, value in body.items() if value}
        entry = (record.method, record.path, parameters, body)
        if entry not in seen:  # further pages of one list
            seen.append(entry)
    return seen


def test_every_call_of_the_sdk_has_its_counterpart():
    assert set(OUR_CALLS) == set(SDK_CALLS)


@pytest.mark.parametrize("call", [name for name, ours in OUR_CALLS.items() if ours])
async def test_both_say_the_same(call, emulator, subject):
    theirs = said(requests_of_sdk(emulator, call, subject), subject, call)
    assert theirs
    # A second installation, drawn from the same seed: the first one has changed.
    with Emulator(deployments=60, image_size=None, operation_seconds=0.05, epoch=emulator.epoch) as ours:
        async with AsyncSession(ours.endpoint, ours.token) as session:
            await OUR_CALLS[call](session, subject)
        assert said(ours.requests, subject, call) == theirs


async def test_both_see_the_same_state(emulator, subject):
    SDK_CALLS["deactivate"](subject)
    SDK_CALLS["update"](subject)
    async with AsyncSession(emulator.endpoint, emulator.token) as session:
        deployment = await session.deployments.get(subject.active_id)
        assert (deployment.status, deployment.label, deployment.description) == ("inactive", "new", "text")
        await wait_for(session.deployments.begin_activate(subject.active_id))
    assert subject.active.status == "active"
