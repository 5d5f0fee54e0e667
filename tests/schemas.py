"""Which class implements which schema of ``contract.json``, the API page as data."""

from __future__ import annotations

import json
from pathlib import Path

from datarobot_mlops_async import models
from datarobot_mlops_async.models import enums

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
SCHEMAS = CONTRACT["schemas"]

RESPONSES = {
    "CustomModelAsyncOperationResponse": models.AcceptedOperation,
    "CustomModelDeploymentResponse": models.CustomModelDeployment,
    "CustomModelImage": models.CustomModelImage,
    "CustomModelShortResponse": models.CustomModel,
    "CustomModelVersionShortResponse": models.CustomModelVersion,
    "DeletedDeploymentResponse": models.DeletedDeployment,
    "DeploymentAccuracyHealthResponse": models.AccuracyHealth,
    "DeploymentCapability": models.DeploymentCapability,
    "DeploymentCreateResponse": models.CreatedDeployment,
    "DeploymentDefaultPredictionServerResponse": models.DefaultPredictionServer,
    "DeploymentGovernanceResponse": models.DeploymentGovernance,
    "DeploymentModelCustomModelImageResponse": models.DeploymentModelCustomModelImage,
    "DeploymentModelHealthResponse": models.ModelHealth,
    "DeploymentModelPackageInitialDownloadResponse": models.ModelPackageInitialDownload,
    "DeploymentModelPackageResponse": models.DeploymentModelPackage,
    "DeploymentModelResponse": models.DeploymentModel,
    "DeploymentOwnerResponse": models.DeploymentOwner,
    "DeploymentOwnersResponse": models.DeploymentOwners,
    "DeploymentPredictionEnvironmentResponse": models.PredictionEnvironment,
    "DeploymentPredictionUsageResponse": models.PredictionUsage,
    "DeploymentRetrieveResponse": models.Deployment,
    "DeploymentScoringCodeInitialDownloadResponse": models.ScoringCodeInitialDownload,
    "DeploymentServiceHealthResponse": models.ServiceHealth,
    "DeploymentSettingsInfo": models.DeploymentSettings,
    "DeploymentTagRetrieveResponse": models.DeploymentTag,
    "ExecutionEnvironmentShortResponse": models.ExecutionEnvironment,
    "ExecutionEnvironmentVersionShortResponse": models.ExecutionEnvironmentVersion,
    "Feature": models.Feature,
    "ModelHistoryResponse": models.ModelHistory,
    "ModelPackageObject": models.ModelPackage,
    "ModelPackagePredictionThresholdWarning": models.PredictionWarningBoundaries,
    "PPSImageMetadataResponse": models.PPSImageMetadata,
    "ResourceRequestBundleResponse": models.ResourceBundle,
}

# Lists are decoded page by page; the value is the class of their items.
LISTS = {
    "CustomModelDeploymentListResponse": models.CustomModelDeployment,
    "DeletedDeploymentListResponse": models.DeletedDeployment,
    "DeploymentCapabilitiesRetrieveResponse": models.DeploymentCapability,
    "DeploymentListResponse": models.Deployment,
    "FeatureListResponse": models.Feature,
    "ModelHistoryListResponse": models.ModelHistory,
    "ResourceRequestBundleListResponse": models.ResourceBundle,
}

# Bodies that are sent and never decoded: methods of the resources take their properties as arguments.
REQUESTS = {
    "DeploymentCreateFromLearningModel",
    "DeploymentPermanentDelete",
    "DeploymentStatusUpdate",
    "DeploymentUpdate",
    "DeploymentsScoringCodeBuildPayload",
    "ScheduledReportOnDemmand",
}

# Documented as integers; servers send fractions.
FRACTIONAL = {
    ("DeploymentPredictionUsageResponse", "dailyRates"),
    ("ResourceRequestBundleResponse", "cpuCount"),
    ("ResourceRequestBundleResponse", "gpuCount"),
}

# A timestamp by its description and any string by its type.
TIMESTAMP_IN_WORDS = {("CustomModelDeploymentResponse", "deployed")}

# Words with only one value are no choice and need no enumeration.
CONSTANTS = {("DeploymentPermanentDelete", "action")}

SCHEMA_ENUMS = {
    ("CustomModelDeploymentResponse", "imageType"): enums.CustomModelImageType,
    ("CustomModelDeploymentResponse", "status"): enums.DeploymentStatus,
    ("CustomModelDeploymentResponse", "testingStatus"): enums.TestingStatus,
    ("DeploymentAccuracyHealthResponse", "status"): enums.HealthStatus,
    ("DeploymentCreateFromLearningModel", "importance"): enums.Importance,
    ("DeploymentCreateFromLearningModel", "status"): enums.TargetDeploymentStatus,
    ("DeploymentGovernanceResponse", "approvalStatus"): enums.ApprovalStatus,
    ("DeploymentModelHealthResponse", "status"): enums.HealthStatus,
    ("DeploymentModelResponse", "unsupervisedType"): enums.UnsupervisedType,
    ("DeploymentPredictionEnvironmentResponse", "platform"): enums.PredictionEnvironmentPlatform,
    ("DeploymentRetrieveResponse", "approvalStatus"): enums.ApprovalStatus,
    ("DeploymentRetrieveResponse", "importance"): enums.Importance,
    ("DeploymentRetrieveResponse", "status"): enums.DeploymentStatus,
    ("DeploymentServiceHealthResponse", "status"): enums.HealthStatus,
    ("DeploymentStatusUpdate", "status"): enums.TargetDeploymentStatus,
    ("DeploymentUpdate", "importance"): enums.Importance,
    ("PPSImageMetadataResponse", "hashAlgorithm"): enums.HashAlgorithm,
    ("ResourceRequestBundleResponse", "gpuMaker"): enums.GpuMaker,
}

PARAMETER_ENUMS = {
    ("/api/v2/deployments/", "accuracyHealth"): enums.HealthFilter,
    ("/api/v2/deployments/", "buildEnvironmentType"): enums.BuildEnvironmentType,
    ("/api/v2/deployments/", "championModelExecutionType"): enums.ModelExecutionType,
    ("/api/v2/deployments/", "executionEnvironmentType"): enums.ExecutionEnvironmentType,
    ("/api/v2/deployments/", "importance"): enums.Importance,
    ("/api/v2/deployments/", "modelHealth"): enums.HealthFilter,
    ("/api/v2/deployments/", "orderBy"): enums.DeploymentOrder,
    ("/api/v2/deployments/", "predictionEnvironmentPlatform"): enums.PredictionEnvironmentPlatform,
    ("/api/v2/deployments/", "role"): enums.Role,
    ("/api/v2/deployments/", "serviceHealth"): enums.HealthFilter,
    ("/api/v2/deployments/", "status"): enums.DeploymentStatus,
    ("/api/v2/deployments/{deploymentId}/features/", "orderBy"): enums.FeatureOrder,
    ("/api/v2/mlops/compute/bundles/", "useCases"): enums.ResourceBundleUseCase,
}

# How the page spells a boolean in a query; in Python it is one.
BOOLEAN_WORDS = ["false", "False", "true", "True"]
