"""The words that parameters take, as types: a wrong one is caught while it is typed. And lists' filters.

Each word is a member of the enumeration, one of its words, or a `RawValue` for a server that knows more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, Literal, TypeAlias, TypeVar

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
    ResourceBundleUseCase,
    Role,
    TargetDeploymentStatus,
)
from datarobot_mlops_async.resources._arguments import (
    Check,
    RawValue,
    choice,
    choices,
    flag,
    joined,
    moment,
    text,
    texts,
    whole,
)

T = TypeVar("T")
OneOrMore: TypeAlias = T | Iterable[T]
DeploymentStatusWord: TypeAlias = (
    DeploymentStatus
    | RawValue
    | Literal["active", "archived", "errored", "inactive", "launching", "replacingModel", "stopping"]
)
TargetDeploymentStatusWord: TypeAlias = TargetDeploymentStatus | RawValue | Literal["active", "inactive"]
HealthFilterWord: TypeAlias = (
    HealthFilter
    | RawValue
    | Literal["failing", "not_started", "passing", "unavailable", "unknown", "warning"]
)
ImportanceWord: TypeAlias = Importance | RawValue | Literal["CRITICAL", "HIGH", "MODERATE", "LOW"]
RoleWord: TypeAlias = Role | RawValue | Literal["OWNER", "USER"]
BuildEnvironmentTypeWord: TypeAlias = (
    BuildEnvironmentType | RawValue | Literal["DataRobot", "Python", "R", "Java", "Julia", "Legacy", "Other"]
)
ExecutionEnvironmentTypeWord: TypeAlias = (
    ExecutionEnvironmentType | RawValue | Literal["datarobot", "external"]
)
PredictionEnvironmentPlatformWord: TypeAlias = (
    PredictionEnvironmentPlatform
    | RawValue
    | Literal[
        "aws",
        "gcp",
        "azure",
        "onPremise",
        "datarobot",
        "datarobotServerless",
        "openShift",
        "other",
        "snowflake",
        "sapAiCore",
    ]
)
ModelExecutionTypeWord: TypeAlias = (
    ModelExecutionType | RawValue | Literal["custom_inference_model", "external", "dedicated"]
)
ResourceBundleUseCaseWord: TypeAlias = (
    ResourceBundleUseCase | RawValue | Literal["customApplication", "customJob", "customModel", "sapAICore"]
)
DeploymentOrderWord: TypeAlias = (
    DeploymentOrder
    | RawValue
    | Literal[
        "label",
        "-label",
        "serviceHealth",
        "-serviceHealth",
        "modelHealth",
        "-modelHealth",
        "accuracyHealth",
        "-accuracyHealth",
        "recentPredictions",
        "-recentPredictions",
        "lastPredictionTimestamp",
        "-lastPredictionTimestamp",
        "currentModelDeployedTimestamp",
        "-currentModelDeployedTimestamp",
        "createdAtTimestamp",
        "-createdAtTimestamp",
        "importance",
        "-importance",
        "fairnessHealth",
        "-fairnessHealth",
        "customMetricsHealth",
        "-customMetricsHealth",
        "actualsTimelinessHealth",
        "-actualsTimelinessHealth",
        "predictionsTimelinessHealth",
        "-predictionsTimelinessHealth",
    ]
)
FeatureOrderWord: TypeAlias = FeatureOrder | RawValue | Literal["name", "-name", "importance", "-importance"]

# How each filter is checked and written.
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
