"""A deployment as lists and reads return it, and the small answers around it."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import REQUIRED, Record, one_line
from datarobot_mlops_async.models.deployed_models import (
    DeploymentModel,
    DeploymentModelPackage,
    ModelPackageInitialDownload,
    ScoringCodeInitialDownload,
)
from datarobot_mlops_async.models.enums import ApprovalStatus, DeploymentStatus, Importance
from datarobot_mlops_async.models.health import AccuracyHealth, ModelHealth, ServiceHealth
from datarobot_mlops_async.models.surroundings import (
    DefaultPredictionServer,
    DeploymentGovernance,
    DeploymentOwners,
    DeploymentSettings,
    DeploymentTag,
    PredictionEnvironment,
    PredictionUsage,
)


@frozen(kw_only=True, weakref_slot=False)
class Deployment(Record):
    """A model made available for predictions. Implements ``DeploymentRetrieveResponse``.

    Attributes:
        id: The deployment's id.
        label: Its name for people, at most 512 characters.
        description: What it is for.
        status: What it is doing now.
        has_error: Whether it is out of order because it did not start properly.
        importance: How much depends on it.
        created_at: When it was created.
        user_provided_id: The id it was given in a repository of deployment definitions.
        model: The model it runs now.
        model_package: The registry's package of that model.
        model_package_initial_download: When that package was first downloaded; ``None`` if never.
        scoring_code_initial_download: When its scoring code was first downloaded; ``None`` if never.
        service_health: Whether predictions are served well.
        model_health: Whether the data still looks as it did in training.
        accuracy_health: Whether predictions agree with what happened.
        prediction_usage: How much it is used.
        prediction_environment: Where the model runs.
        default_prediction_server: Where predictions are requested.
        approval_status: Whether it is approved; prediction responses carry it too.
        governance: Its approval and pending change requests.
        opened_change_requests: The ids of its open change requests.
        owners: Who owns it.
        permissions: What the token's user may do with it, for example ``CAN_VIEW``.
        settings: Which features are switched on.
        tags: The names and values attached to it.
    """

    id: str = REQUIRED
    label: str = REQUIRED
    description: str | None = REQUIRED
    status: DeploymentStatus | str = REQUIRED
    has_error: bool | None = None
    importance: Importance | str | None = None
    created_at: datetime = REQUIRED
    user_provided_id: str | None = None
    model: DeploymentModel = REQUIRED
    model_package: DeploymentModelPackage | None = None
    model_package_initial_download: ModelPackageInitialDownload | None = None
    scoring_code_initial_download: ScoringCodeInitialDownload | None = None
    service_health: ServiceHealth = REQUIRED
    model_health: ModelHealth = REQUIRED
    accuracy_health: AccuracyHealth = REQUIRED
    prediction_usage: PredictionUsage = REQUIRED
    prediction_environment: PredictionEnvironment | None = None
    default_prediction_server: DefaultPredictionServer = REQUIRED
    approval_status: ApprovalStatus | str | None = None
    governance: DeploymentGovernance | None = None
    opened_change_requests: tuple[str, ...] | None = None
    owners: DeploymentOwners | None = None
    permissions: tuple[str, ...] = REQUIRED
    settings: DeploymentSettings = REQUIRED
    tags: tuple[DeploymentTag, ...] = REQUIRED

    def __repr__(self) -> str:
        return one_line(self, self.label, self.id, self.status)


@frozen(kw_only=True, weakref_slot=False)
class CreatedDeployment(Record):
    """The answer to a request to create a deployment. Implements ``DeploymentCreateResponse``.

    Attributes:
        id: The new deployment's id.
    """

    id: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class DeletedDeployment(Record):
    """A deployment that was deleted and not yet erased. Implements ``DeletedDeploymentResponse``.

    Attributes:
        id: The deployment's id.
        label: Its name for people.
        deleted_at: When it was deleted.
    """

    id: str = REQUIRED
    label: str = REQUIRED
    deleted_at: datetime = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class DeploymentCapability(Record):
    """Something a deployment can or cannot do. Implements ``DeploymentCapability``.

    Attributes:
        name: The capability's name.
        supported: Whether the deployment has it.
        messages: Why it has it or not.
    """

    name: str = REQUIRED
    supported: bool = REQUIRED
    messages: tuple[str, ...] = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class Feature(Record):
    """A feature of the data a deployment predicts from. Implements ``Feature``.

    Attributes:
        name: The feature's name.
        feature_type: What its values are, for example ``Numeric``.
        importance: How strongly it is related to the target, whatever the model.
        date_format: How its dates were read; ``None`` for a feature without dates.
        known_in_advance: Whether a time series model knows it ahead of time; ``False`` in others.
    """

    name: str = REQUIRED
    feature_type: str | None = REQUIRED
    importance: float | None = REQUIRED
    date_format: str | None = REQUIRED
    known_in_advance: bool = REQUIRED
