"""Only type-checked, never run: what bulk work promises to a type checker."""

from __future__ import annotations

from typing import assert_type

from datarobot_mlops_async import AsyncSession, BulkStream, Journal, Outcome, PlannedRequest, read_journal
from datarobot_mlops_async.models import Deployment, DeploymentCapability


async def bulk(session: AsyncSession, ids: list[str]) -> None:
    assert_type(await session.bulk(session.deployments.begin_deactivate, ids), list[Outcome[str, Deployment]])
    assert_type(
        await session.bulk(session.deployments.capabilities, ids),
        list[Outcome[str, tuple[DeploymentCapability, ...]]],
    )
    assert_type(
        await session.bulk(session.deployments.begin_deactivate, ids, dry_run=True), list[PlannedRequest[str]]
    )
    assert_type(session.bulk_stream(session.deployments.get, ids), BulkStream[str, Deployment])
    assert_type(read_journal("journal"), Journal)
    await session.bulk(session.deployments.get, ids, concurrency=3)  # type: ignore[call-overload]
