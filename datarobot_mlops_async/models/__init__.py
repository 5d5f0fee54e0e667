"""What the server sends, as typed and immutable objects.

One attrs class for each response schema of the API page, with the page's names in
snake_case. Timestamps are aware datetimes; one that a server sends without an offset is
taken as UTC. Arrays are tuples. Enumerations are open (see `enums`).

A field that the page calls required has the documented type, without ``None``. A server
older than the page may still leave it out, and any server may send ``null`` for it: it
then reads ``None``. A session made with ``strict=True`` raises `DecodeError` instead.

What comes in long lists prints in one line; ``attrs.asdict`` shows all of it.

A field that the page does not know is kept: `extra` returns those of any object here.

Every field has a default, so that tests can build what they need and no more::

    Deployment(id="5e29...", label="Churn", status=DeploymentStatus.ACTIVE)
"""

from datarobot_mlops_async._record import Record, extra
from datarobot_mlops_async.models.custom_models import (
    AcceptedOperation,
    CustomModel,
    CustomModelDeployment,
    CustomModelVersion,
    ExecutionEnvironment,
    ExecutionEnvironmentVersion,
)
from datarobot_mlops_async.models.deployed_models import (
    DeploymentModel,
    DeploymentModelCustomModelImage,
    DeploymentModelPackage,
    ModelPackageInitialDownload,
    ScoringCodeInitialDownload,
)
from datarobot_mlops_async.models.deployments import (
    CreatedDeployment,
    DeletedDeployment,
    Deployment,
    DeploymentCapability,
    Feature,
)
from datarobot_mlops_async.models.enums import (
    ApprovalStatus,
    BuildEnvironmentType,
    CustomModelImageType,
    DeploymentOrder,
    DeploymentStatus,
    ExecutionEnvironmentType,
    FeatureOrder,
    GpuMaker,
    HashAlgorithm,
    HealthFilter,
    HealthStatus,
    Importance,
    ModelExecutionType,
    PredictionEnvironmentPlatform,
    ResourceBundleUseCase,
    Role,
    TargetDeploymentStatus,
    TestingStatus,
    UnsupervisedType,
)
from datarobot_mlops_async.models.health import AccuracyHealth, ModelHealth, ServiceHealth
from datarobot_mlops_async.models.installation import PPSImageMetadata, ResourceBundle
from datarobot_mlops_async.models.model_history import (
    CustomModelImage,
    ModelHistory,
    ModelPackage,
    PredictionWarningBoundaries,
)
from datarobot_mlops_async.models.surroundings import (
    DefaultPredictionServer,
    DeploymentGovernance,
    DeploymentOwner,
    DeploymentOwners,
    DeploymentSettings,
    DeploymentTag,
    PredictionEnvironment,
    PredictionUsage,
)

__all__ = [
    "AcceptedOperation",
    "AccuracyHealth",
    "ApprovalStatus",
    "BuildEnvironmentType",
    "CreatedDeployment",
    "CustomModel",
    "CustomModelDeployment",
    "CustomModelImage",
    "CustomModelImageType",
    "CustomModelVersion",
    "DefaultPredictionServer",
    "DeletedDeployment",
    "Deployment",
    "DeploymentCapability",
    "DeploymentGovernance",
    "DeploymentModel",
    "DeploymentModelCustomModelImage",
    "DeploymentModelPackage",
    "DeploymentOrder",
    "DeploymentOwner",
    "DeploymentOwners",
    "DeploymentSettings",
    "DeploymentStatus",
    "DeploymentTag",
    "ExecutionEnvironment",
    "ExecutionEnvironmentType",
    "ExecutionEnvironmentVersion",
    "Feature",
    "FeatureOrder",
    "GpuMaker",
    "HashAlgorithm",
    "HealthFilter",
    "HealthStatus",
    "Importance",
    "ModelExecutionType",
    "ModelHealth",
    "ModelHistory",
    "ModelPackage",
    "ModelPackageInitialDownload",
    "PPSImageMetadata",
    "PredictionEnvironment",
    "PredictionEnvironmentPlatform",
    "PredictionUsage",
    "PredictionWarningBoundaries",
    "Record",
    "ResourceBundle",
    "ResourceBundleUseCase",
    "Role",
    "ScoringCodeInitialDownload",
    "ServiceHealth",
    "TargetDeploymentStatus",
    "TestingStatus",
    "UnsupervisedType",
    "extra",
]
