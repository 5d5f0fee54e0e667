"""The filters of lists: how each is checked and written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from datarobot_mlops_async.models import (
    BuildEnvironmentType,
    DeploymentOrder,
    DeploymentStatus,
    ExecutionEnvironmentType,
    FeatureOrder,
    HealthFilter,
    Importance,
    ModelExecutionType,
    PredictionEnvironmentPlatform,
    Role,
)
from datarobot_mlops_async.resources._arguments import (
    choice,
    choices,
    flag,
    joined,
    moment,
    text,
    texts,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async.resources._arguments import Check

DEPLOYMENT_FILTERS: Final[Mapping[str, Check]] = {
    "order_by": partial(choice, enum=DeploymentOrder),
    "search": text,
    "service_health": partial(choices, enum=HealthFilter),
    "model_health": partial(choices, enum=HealthFilter),
    "accuracy_health": partial(choices, enum=HealthFilter),
    "role": partial(choice, enum=Role),
    "status": partial(choices, enum=DeploymentStatus),
    "importance": partial(choices, enum=Importance),
    "last_prediction_timestamp_start": moment,
    "last_prediction_timestamp_end": moment,
    "prediction_usage_daily_avg_greater_than": whole,
    "prediction_usage_daily_avg_less_than": whole,
    "default_prediction_server_id": joined,
    "build_environment_type": partial(choices, enum=BuildEnvironmentType),
    "execution_environment_type": partial(choices, enum=ExecutionEnvironmentType),
    "prediction_environment_platform": partial(choices, enum=PredictionEnvironmentPlatform),
    "created_by_me": flag,
    "created_by": text,
    "champion_model_execution_type": partial(choice, enum=ModelExecutionType),
    "champion_model_target_type": text,
    "tag_keys": texts,
    "tag_values": texts,
}
FEATURE_FILTERS: Final[Mapping[str, Check]] = {
    "include_non_prediction_features": flag,
    "for_segmented_analysis": flag,
    "search": text,
    "order_by": partial(choice, enum=FeatureOrder),
}
