"""The words that parameters take, as types: a wrong one is caught while it is typed.

Each is a member of the enumeration, one of its words, or a `RawValue` for a server that knows more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, TypeVar

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
from datarobot_mlops_async.resources._arguments import RawValue

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
