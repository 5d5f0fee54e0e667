"""How well a deployment does: its service, its model and its accuracy."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import REQUIRED, Record, shared
from datarobot_mlops_async.models.enums import HealthStatus


@shared
@frozen(kw_only=True, weakref_slot=False)
class ServiceHealth(Record):
    """Whether predictions are served well. Implements ``DeploymentServiceHealthResponse``.

    Attributes:
        status: The health itself.
        start_date: Start of the period it was judged over.
        end_date: End of that period.
    """

    status: HealthStatus | str = REQUIRED
    start_date: datetime | None = REQUIRED
    end_date: datetime | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class ModelHealth(Record):
    """Whether the data still looks as it did in training. Implements ``DeploymentModelHealthResponse``.

    Attributes:
        status: The health itself.
        message: More about the status.
        start_date: Start of the period it was judged over.
        end_date: End of that period.
    """

    status: HealthStatus | str = REQUIRED
    message: str = REQUIRED
    start_date: datetime | None = REQUIRED
    end_date: datetime | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class AccuracyHealth(Record):
    """Whether predictions agree with what happened. Implements ``DeploymentAccuracyHealthResponse``.

    Attributes:
        status: The health itself.
        message: More about the status.
        start_date: Start of the period it was judged over.
        end_date: End of that period.
    """

    status: HealthStatus | str = REQUIRED
    message: str = REQUIRED
    start_date: datetime | None = REQUIRED
    end_date: datetime | None = REQUIRED
