"""What surrounds a deployment: servers, environments, owners, approval, usage, settings, tags."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import NULLABLE, REQUIRED, Record, shared
from datarobot_mlops_async.models.enums import ApprovalStatus, PredictionEnvironmentPlatform


@shared
@frozen(kw_only=True, weakref_slot=False)
class DefaultPredictionServer(Record):
    """Where predictions are requested. Implements ``DeploymentDefaultPredictionServerResponse``.

    Attributes:
        id: The prediction server's id.
        url: The prediction server's URL.
        datarobot_key: The value of the ``datarobot-key`` header that requests to it carry.
    """

    id: str | None = REQUIRED
    url: str = REQUIRED
    datarobot_key: str = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class PredictionEnvironment(Record):
    """Where the model runs. Implements ``DeploymentPredictionEnvironmentResponse``.

    Attributes:
        id: The environment's id.
        name: The environment's name.
        platform: What it runs on.
        plugin: The name of its management agent's plugin.
        is_managed_by_management_agent: Whether a management agent looks after it.
        supported_model_formats: The model formats it can run.
    """

    id: str | None = REQUIRED
    name: str = REQUIRED
    platform: PredictionEnvironmentPlatform | str = REQUIRED
    plugin: str | None = NULLABLE
    is_managed_by_management_agent: bool = REQUIRED
    supported_model_formats: tuple[str, ...] | None = None


@shared
@frozen(kw_only=True, weakref_slot=False)
class DeploymentGovernance(Record):
    """A deployment's approval. Implements ``DeploymentGovernanceResponse``.

    Attributes:
        approval_status: Whether the deployment is approved; prediction responses carry it too.
        has_opened_change_requests: Whether change requests are still pending.
    """

    approval_status: ApprovalStatus | str = REQUIRED
    has_opened_change_requests: bool = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class DeploymentOwner(Record):
    """One owner of a deployment. Implements ``DeploymentOwnerResponse``.

    Attributes:
        id: The user's id.
        email: The user's e-mail address.
        first_name: The user's first name.
        last_name: The user's last name.
    """

    id: str = REQUIRED
    email: str | None = REQUIRED
    first_name: str | None = REQUIRED
    last_name: str | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class DeploymentOwners(Record):
    """A deployment's owners. Implements ``DeploymentOwnersResponse``.

    Attributes:
        count: How many owners there are in all.
        preview: Some of them.
    """

    count: int = REQUIRED
    preview: tuple[DeploymentOwner, ...] = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class PredictionUsage(Record):
    """How much a deployment is used. Implements ``DeploymentPredictionUsageResponse``.

    Attributes:
        daily_rates: Predictions a day over the last seven days. Documented as integers; servers
            send averages with fractions too.
        last_timestamp: The time of the last prediction request; ``None`` before the first.
    """

    daily_rates: tuple[int | float, ...] = REQUIRED
    last_timestamp: datetime | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class DeploymentSettings(Record):
    """Which features are switched on. Implements ``DeploymentSettingsInfo``.

    Attributes:
        batch_monitoring_enabled: Whether monitoring by batch is on.
        humble_ai_enabled: Whether humility rules are on.
        prediction_intervals_enabled: Whether predictions come with intervals.
        prediction_warning_enabled: Whether predictions outside the boundaries raise warnings.
    """

    batch_monitoring_enabled: bool | None = None
    humble_ai_enabled: bool | None = None
    prediction_intervals_enabled: bool | None = None
    prediction_warning_enabled: bool | None = None


@frozen(kw_only=True, weakref_slot=False)
class DeploymentTag(Record):
    """A name and value attached to a deployment. Implements ``DeploymentTagRetrieveResponse``.

    Attributes:
        id: The tag's id.
        name: The tag's name.
        value: The tag's value.
    """

    id: str = REQUIRED
    name: str = REQUIRED
    value: str = REQUIRED
