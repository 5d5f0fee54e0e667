"""Only type-checked, never run: what the response classes promise to a type checker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_type

import attrs

from datarobot_mlops_async.models import (
    CustomModelDeployment,
    Deployment,
    DeploymentModel,
    DeploymentOwner,
    DeploymentStatus,
    DeploymentTag,
    Feature,
    HealthStatus,
    Importance,
    PPSImageMetadata,
    ResourceBundle,
    extra,
)


def reads(
    deployment: Deployment,
    bundle: ResourceBundle,
    image: PPSImageMetadata,
    custom: CustomModelDeployment,
    feature: Feature,
) -> None:
    assert_type(deployment.label, str)
    assert_type(deployment.description, str | None)
    assert_type(deployment.created_at, datetime)
    assert_type(deployment.status, DeploymentStatus | str)
    assert_type(deployment.importance, Importance | str | None)
    assert_type(deployment.model, DeploymentModel)
    assert_type(deployment.model.deployed_at, datetime | None)
    assert_type(deployment.service_health.status, HealthStatus | str)
    assert_type(deployment.tags, tuple[DeploymentTag, ...])
    assert_type(deployment.permissions, tuple[str, ...])
    if deployment.owners:
        assert_type(deployment.owners.preview[0], DeploymentOwner)
    assert_type(bundle.cpu_count, int | float)
    assert_type(bundle.memory_bytes, int)
    assert_type(image.image_size, int)
    assert_type(custom.deployed, datetime | str)
    assert_type(feature.importance, float | None)
    assert_type(extra(deployment.model), Mapping[str, Any])


def makes() -> Deployment:
    deployment = Deployment(id="1", label="Churn", status="launching", extra={"creator": None})
    assert_type(attrs.evolve(deployment, label="Churn 2"), Deployment)
    return deployment


def refuses(deployment: Deployment) -> None:
    deployment.label = "x"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] # frozen
    Deployment("1")  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue] # keyword-only
    Deployment(label=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # not a string
    Deployment(deletedAt="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # no such field
