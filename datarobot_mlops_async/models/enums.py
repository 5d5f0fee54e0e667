"""The page's enumerations. All are open: a value a newer server adds stays the plain string it is.

A member equals, hashes and prints as its string, so ``status == "active"`` and
``status == DeploymentStatus.ACTIVE`` are the same question.
"""

from enum import StrEnum


class DeploymentStatus(StrEnum):
    """What a deployment is doing now."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    ERRORED = "errored"
    INACTIVE = "inactive"
    LAUNCHING = "launching"
    REPLACING_MODEL = "replacingModel"
    STOPPING = "stopping"


class TargetDeploymentStatus(StrEnum):
    """A status that a deployment can be asked to take."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class HealthStatus(StrEnum):
    """A health as responses spell it. Queries spell one value differently: see `HealthFilter`."""

    FAILING = "failing"
    NOT_STARTED = "notStarted"
    PASSING = "passing"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    WARNING = "warning"


class HealthFilter(StrEnum):
    """A health as list filters spell it. Responses spell one value differently: see `HealthStatus`."""

    FAILING = "failing"
    NOT_STARTED = "not_started"
    PASSING = "passing"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    WARNING = "warning"


class Importance(StrEnum):
    """How much depends on a deployment, most first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MODERATE = "MODERATE"
    LOW = "LOW"


class ApprovalStatus(StrEnum):
    """Whether a deployment has passed its organization's approval."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"


class Role(StrEnum):
    """A user's role on a deployment."""

    OWNER = "OWNER"
    USER = "USER"


class BuildEnvironmentType(StrEnum):
    """What a model was built with."""

    DATAROBOT = "DataRobot"
    PYTHON = "Python"
    R = "R"
    JAVA = "Java"
    JULIA = "Julia"
    LEGACY = "Legacy"
    OTHER = "Other"


class ExecutionEnvironmentType(StrEnum):
    """Whether predictions are made inside DataRobot or elsewhere."""

    DATAROBOT = "datarobot"
    EXTERNAL = "external"


class PredictionEnvironmentPlatform(StrEnum):
    """Where a prediction environment runs."""

    AWS = "aws"
    GCP = "gcp"
    AZURE = "azure"
    ON_PREMISE = "onPremise"
    DATAROBOT = "datarobot"
    DATAROBOT_SERVERLESS = "datarobotServerless"
    OPEN_SHIFT = "openShift"
    OTHER = "other"
    SNOWFLAKE = "snowflake"
    SAP_AI_CORE = "sapAiCore"


class ModelExecutionType(StrEnum):
    """How a champion model is executed."""

    CUSTOM_INFERENCE_MODEL = "custom_inference_model"
    EXTERNAL = "external"
    DEDICATED = "dedicated"


class UnsupervisedType(StrEnum):
    """The kind of an unsupervised project."""

    ANOMALY = "anomaly"
    CLUSTERING = "clustering"


class CustomModelImageType(StrEnum):
    """What a custom model deployment was made from."""

    CUSTOM_MODEL_IMAGE = "customModelImage"
    CUSTOM_MODEL_VERSION = "customModelVersion"


class TestingStatus(StrEnum):
    """How the latest test of a custom model image went."""

    # Without this, pytest takes the imported class for a class of tests.
    __test__ = False

    NOT_TESTED = "not_tested"
    QUEUED = "queued"
    FAILED = "failed"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"
    IN_PROGRESS = "in_progress"
    ABORTED = "aborted"
    WARNING = "warning"
    SKIPPED = "skipped"


class GpuMaker(StrEnum):
    """Who makes a resource bundle's GPUs."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"


class ResourceBundleUseCase(StrEnum):
    """What a resource bundle can be used for."""

    CUSTOM_APPLICATION = "customApplication"
    CUSTOM_JOB = "customJob"
    CUSTOM_MODEL = "customModel"
    SAP_AI_CORE = "sapAICore"


class HashAlgorithm(StrEnum):
    """How an image's digest is computed."""

    SHA256 = "SHA256"


class DeploymentOrder(StrEnum):
    """How a list of deployments is sorted; ascending unless the name says descending.

    The server's own default, the last prediction's time, changes while predictions arrive;
    the time of creation does not.
    """

    LABEL = "label"
    LABEL_DESCENDING = "-label"
    SERVICE_HEALTH = "serviceHealth"
    SERVICE_HEALTH_DESCENDING = "-serviceHealth"
    MODEL_HEALTH = "modelHealth"
    MODEL_HEALTH_DESCENDING = "-modelHealth"
    ACCURACY_HEALTH = "accuracyHealth"
    ACCURACY_HEALTH_DESCENDING = "-accuracyHealth"
    RECENT_PREDICTIONS = "recentPredictions"
    RECENT_PREDICTIONS_DESCENDING = "-recentPredictions"
    LAST_PREDICTION_TIMESTAMP = "lastPredictionTimestamp"
    LAST_PREDICTION_TIMESTAMP_DESCENDING = "-lastPredictionTimestamp"
    CURRENT_MODEL_DEPLOYED_TIMESTAMP = "currentModelDeployedTimestamp"
    CURRENT_MODEL_DEPLOYED_TIMESTAMP_DESCENDING = "-currentModelDeployedTimestamp"
    CREATED_AT_TIMESTAMP = "createdAtTimestamp"
    CREATED_AT_TIMESTAMP_DESCENDING = "-createdAtTimestamp"
    IMPORTANCE = "importance"
    IMPORTANCE_DESCENDING = "-importance"
    FAIRNESS_HEALTH = "fairnessHealth"
    FAIRNESS_HEALTH_DESCENDING = "-fairnessHealth"
    CUSTOM_METRICS_HEALTH = "customMetricsHealth"
    CUSTOM_METRICS_HEALTH_DESCENDING = "-customMetricsHealth"
    ACTUALS_TIMELINESS_HEALTH = "actualsTimelinessHealth"
    ACTUALS_TIMELINESS_HEALTH_DESCENDING = "-actualsTimelinessHealth"
    PREDICTIONS_TIMELINESS_HEALTH = "predictionsTimelinessHealth"
    PREDICTIONS_TIMELINESS_HEALTH_DESCENDING = "-predictionsTimelinessHealth"


class FeatureOrder(StrEnum):
    """How a deployment's features are sorted; ascending unless the name says descending."""

    NAME = "name"
    NAME_DESCENDING = "-name"
    IMPORTANCE = "importance"
    IMPORTANCE_DESCENDING = "-importance"
