"""One class per family of routes: what ``session.deployments`` and its neighbours are.

A session makes them; nobody else needs to. Their methods check what they are given before anything is sent.
"""

from datarobot_mlops_async.resources._arguments import UNSET as UNSET
from datarobot_mlops_async.resources._arguments import (
    BuildEnvironmentTypeWord,
    DeploymentOrderWord,
    DeploymentStatusWord,
    ExecutionEnvironmentTypeWord,
    FeatureOrderWord,
    HealthFilterWord,
    ImportanceWord,
    ModelExecutionTypeWord,
    OneOrMore,
    PredictionEnvironmentPlatformWord,
    ResourceBundleUseCaseWord,
    RoleWord,
    TargetDeploymentStatusWord,
)
from datarobot_mlops_async.resources._arguments import RawValue as RawValue
from datarobot_mlops_async.resources._base import result_at as result_at
from datarobot_mlops_async.resources._changes import Change, Watch
from datarobot_mlops_async.resources._custom_model_deployments import CustomModelDeployments
from datarobot_mlops_async.resources._deployments import Deployments
from datarobot_mlops_async.resources._installation import DeletedDeployments, PPSImage, ResourceBundles
from datarobot_mlops_async.resources._one_deployment import OneDeployment

__all__ = [
    "BuildEnvironmentTypeWord",
    "Change",
    "CustomModelDeployments",
    "DeletedDeployments",
    "DeploymentOrderWord",
    "DeploymentStatusWord",
    "Deployments",
    "ExecutionEnvironmentTypeWord",
    "FeatureOrderWord",
    "HealthFilterWord",
    "ImportanceWord",
    "ModelExecutionTypeWord",
    "OneDeployment",
    "OneOrMore",
    "PPSImage",
    "PredictionEnvironmentPlatformWord",
    "ResourceBundleUseCaseWord",
    "ResourceBundles",
    "RoleWord",
    "TargetDeploymentStatusWord",
    "Watch",
]
