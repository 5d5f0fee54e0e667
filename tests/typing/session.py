"""Only type-checked, never run: what an editor knows about the public surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

from datarobot_mlops_async import (
    Artifact,
    AsyncSession,
    DownloadResult,
    Operation,
    Page,
    Paginator,
    RawValue,
    progress_bar,
)
from datarobot_mlops_async.models import (
    Deployment,
    DeploymentCapability,
    DeploymentStatus,
    Feature,
    Importance,
    PPSImageMetadata,
    ResourceBundle,
)

if TYPE_CHECKING:
    from datarobot_mlops_async.resources import HealthFilterWord


async def check(session: AsyncSession) -> None:
    assert_type(session.deployments.list(status=["active", DeploymentStatus.INACTIVE]), Paginator[Deployment])
    assert_type(session.deployments.list(status=RawValue("hibernating")), Paginator[Deployment])
    async for deployment in session.deployments.list():
        assert_type(deployment, Deployment)
    assert_type(await session.deployments.list().first_page(), Page[Deployment])
    assert_type(await session.deployments.list().collect(), list[Deployment])
    async with session.deployments.features("d").prefetch(4) as features:
        async for feature in features:
            assert_type(feature, Feature)

    assert_type(await session.deployments.get("d"), Deployment)
    assert_type(await session.deployments.capabilities("d"), tuple[DeploymentCapability, ...])
    operation = await session.deployments.begin_set_status("d", "inactive")
    assert_type(operation, Operation[Deployment])
    assert_type(await operation, Deployment)
    assert_type(await operation.wait(timeout=1200), Deployment)
    assert_type(await (await session.deployments.begin_report("d", "r")), None)
    assert_type(await (await session.deployments.begin_scoring_code_build("d")), Artifact)
    assert_type(session.operation("status/s/"), Operation[Any])
    again: Operation[Deployment] = session.operation("status/s/")
    assert_type(await again, Deployment)
    assert_type(await AsyncSession.open("https://h", timeout=5), AsyncSession)
    await AsyncSession.open(timeot=5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]

    assert_type(await session.resource_bundles.get("b"), ResourceBundle)
    assert_type(await session.pps_image.metadata(), PPSImageMetadata)
    artifact = await session.pps_image.artifact()
    assert_type(await artifact.download(Path("images"), on_progress=progress_bar()), DownloadResult)
    async with artifact.stream() as chunks:
        async for chunk in chunks:
            _: bytes = chunk
    await session.with_options(timeout=5, retry=0).deployments.update("d", label=None)


def catches_wrong_words(session: AsyncSession, word: HealthFilterWord, words: list[HealthFilterWord]) -> None:
    deployments = session.deployments
    deployments.list(service_health="failing", importance=["LOW", Importance.HIGH], role=RawValue("GUEST"))
    deployments.list(model_health=words, accuracy_health=word, order_by="-label")
    deployments.list(status="activ")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    deployments.list(status=["activ"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    deployments.list(service_health="notStarted")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    deployments.list(order_by="name")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    deployments.list(tag_keys=[1])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    session.resource_bundles.list(use_cases="model")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
