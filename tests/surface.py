"""The public surface as calls: everything that sends something."""

from __future__ import annotations

import anyio
from attrs import frozen

from datarobot_mlops_async.errors import MLOpsError


@frozen(kw_only=True)
class Ids:
    """What the calls are made on."""

    deployment: str = "d1"
    custom: str = "d1"
    bundle: str = "b1"
    deletable: str = "d8"
    deleted: str = "d9"
    log: str = "l1"


async def first_page(paginator):
    return await paginator.first_page()


async def prefetched(paginator):
    async with paginator.prefetch(2) as items:
        return [item async for item in items]


async def streamed(artifact, evidence):
    async with artifact.stream() as chunks:
        evidence.show("chunks", chunks)
        return sum([len(chunk) async for chunk in chunks])


async def image_stream(session, ids, evidence, directory):
    return await streamed(await session.pps_image.artifact(), evidence)


async def image_download(session, ids, evidence, directory):
    artifact = await session.pps_image.artifact()
    evidence.show("artifact", artifact)
    return await artifact.download(
        directory, on_progress=lambda progress: evidence.show("progress", progress)
    )


async def awaited(evidence, beginning):
    operation = await beginning
    evidence.show("operation", operation)
    evidence.show("status", await operation.status())
    try:
        return await operation.wait(timeout=0.4, on_update=lambda status: evidence.show("update", status))
    finally:
        evidence.show("operation after it", operation)


async def resumed(session, ids, evidence, directory):
    begun = await session.custom_model_deployments.begin_prediction_log(ids.custom)
    return await awaited(evidence, ready(session.operation(begun.location or "status/none/")))


async def bulk(session, ids, evidence, directory):
    outcomes = await session.bulk(
        session.deployments.begin_activate,
        [ids.deployment, "x", "y"],
        journal=directory / "journal.jsonl",
        operation_timeout=0.4,
    )
    for outcome in outcomes:
        evidence.show("outcome", outcome)
        evidence.note("outcome: line", outcome.to_json())
        if outcome.error is not None:
            evidence.catch("outcome", outcome.error)


async def ready(value):
    return value


async def log_download(session, ids, evidence, directory):
    artifact = await awaited(evidence, session.custom_model_deployments.begin_prediction_log(ids.custom))
    evidence.show("log", artifact)
    return await artifact.download(directory / "log.txt", overwrite=True)


async def jar_download(session, ids, evidence, directory):
    artifact = await awaited(evidence, session.deployments.begin_scoring_code_build(ids.deployment))
    return await artifact.download(f"{directory}/jars/", overwrite=True)


CALLS = {
    "deployments.list": lambda s, i, e, d: first_page(s.deployments.list(search="x", status=["active"])),
    "deployments.list, collected": lambda s, i, e, d: s.deployments.list(page_size=10).collect(),
    "deployments.list, prefetched": lambda s, i, e, d: prefetched(s.deployments.list(page_size=10)),
    "deployments.get": lambda s, i, e, d: s.deployments.get(i.deployment),
    "deployments.update": lambda s, i, e, d: s.deployments.update(i.deployment, label="New"),
    "deployments.delete": lambda s, i, e, d: s.deployments.delete(i.deletable),
    "deployments.capabilities": lambda s, i, e, d: s.deployments.capabilities(i.deployment),
    "deployments.features": lambda s, i, e, d: s.deployments.features(i.deployment).collect(),
    "deployments.model_history": lambda s, i, e, d: s.deployments.model_history(i.deployment).collect(),
    "deployments.begin_create": lambda s, i, e, d: awaited(
        e, s.deployments.begin_create_from_learning_model("5f1a2b3c4d5e6f7a8b9c0d1e", "New")
    ),
    "deployments.begin_deactivate": lambda s, i, e, d: awaited(
        e, s.deployments.begin_deactivate(i.deployment)
    ),
    "deployments.begin_report": lambda s, i, e, d: s.deployments.begin_report(i.deployment, "r1"),
    "deployments.scoring_code": lambda s, i, e, d: s.deployments.scoring_code(i.deployment),
    "deployments.begin_scoring_code_build": jar_download,
    "deleted_deployments.list": lambda s, i, e, d: s.deleted_deployments.list().collect(),
    "deleted_deployments.begin_erase": lambda s, i, e, d: s.deleted_deployments.begin_erase([i.deleted]),
    "custom_model_deployments.list": lambda s, i, e, d: s.custom_model_deployments.list().collect(),
    "custom_model_deployments.deployment_log": lambda s, i, e, d: streamed(
        s.custom_model_deployments.deployment_log(i.custom), e
    ),
    "custom_model_deployments.begin_prediction_log": log_download,
    "resource_bundles.list": lambda s, i, e, d: s.resource_bundles.list().collect(),
    "resource_bundles.get": lambda s, i, e, d: s.resource_bundles.get(i.bundle),
    "pps_image.metadata": lambda s, i, e, d: s.pps_image.metadata(),
    "pps_image.artifact, streamed": image_stream,
    "pps_image.artifact, downloaded": image_download,
    "operation": resumed,
    "bulk": bulk,
}


async def find_ids(session):
    """Return ids of things that are there, the deployment one with scoring code."""
    second, *others = (await session.deployments.list(status=["active"]).first_page()).items
    for first in others:
        capabilities = await session.deployments.capabilities(first.id)
        if any(each.supported for each in capabilities if "scoring_code" in each.name):
            break
    custom = (await session.custom_model_deployments.list().first_page()).items[0]
    bundle = (await session.resource_bundles.list().first_page()).items[0]
    # One that is gone already: the calls run at the same time, in any order.
    deleted = others[-1]
    await (await session.deployments.begin_deactivate(deleted.id))
    await session.deployments.delete(deleted.id)
    return Ids(
        deployment=first.id,
        deletable=second.id,
        deleted=deleted.id,
        custom=custom.id,
        bundle=bundle.id,
    )


async def call_everything(session, ids, evidence, directory, names=CALLS):
    """Call all of it at once; return what was raised."""
    raised = {}

    async def call(name):
        try:
            with anyio.fail_after(20):
                evidence.show(name, await CALLS[name](session, ids, evidence, directory))
        except MLOpsError as error:
            raised[name] = error
            evidence.catch(name, error)

    for part in (
        session,
        session.settings,
        session.deployments,
        session.pps_image,
        session.deployments.list(),
    ):
        evidence.show(type(part).__name__, part)
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(call, name)
    # Journals of downloads and of bulk runs; what was downloaded is larger, or public.
    for file in directory.rglob("*"):
        if file.is_file() and file.stat().st_size < 64 * 1024:
            evidence.note(f"file: {file.name}", file.read_bytes().decode("latin-1"))
    return raised
