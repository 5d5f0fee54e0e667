"""The models that have been a deployment's champion."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import REQUIRED, Record


@frozen(kw_only=True, weakref_slot=False)
class CustomModelImage(Record):
    """The custom model behind a champion. Implements ``CustomModelImage``.

    Attributes:
        custom_model_id: The custom model's id.
        custom_model_name: The custom model's name.
        custom_model_version_id: The id of its version.
        custom_model_version_label: The label of its version.
        execution_environment_id: The id of the environment it ran in.
        execution_environment_name: The name of the environment it ran in.
        execution_environment_version_id: The id of that environment's version.
        execution_environment_version_label: The label of that environment's version.
    """

    custom_model_id: str | None = REQUIRED
    custom_model_name: str | None = REQUIRED
    custom_model_version_id: str | None = REQUIRED
    custom_model_version_label: str | None = REQUIRED
    execution_environment_id: str | None = REQUIRED
    execution_environment_name: str | None = REQUIRED
    execution_environment_version_id: str | None = REQUIRED
    execution_environment_version_label: str | None = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class ModelPackage(Record):
    """The registry's package of a champion. Implements ``ModelPackageObject``.

    Attributes:
        id: The package's id.
        name: The package's name.
        model_id: The packaged model's id.
        project_id: The id of the project the model comes from.
        registered_model_id: The registered model it is a version of.
        prediction_threshold: From which value on a binary prediction counts as positive.
    """

    id: str | None = REQUIRED
    name: str | None = REQUIRED
    model_id: str = REQUIRED
    project_id: str | None = None
    registered_model_id: str | None = REQUIRED
    prediction_threshold: float | None = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class PredictionWarningBoundaries(Record):
    """Outside which values a prediction is an outlier. Implements ``ModelPackagePredictionThresholdWarning``.

    Attributes:
        lower: The lower boundary.
        upper: The upper boundary.
    """

    lower: float = REQUIRED
    upper: float = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class ModelHistory(Record):
    """One champion's time in a deployment. Implements ``ModelHistoryResponse``.

    Attributes:
        model_package: The champion's package.
        custom_model_image: The custom model behind it; ``None`` for other models.
        start_date: When it became the champion.
        end_date: When another model took its place; ``None`` while it is the champion.
        replacement_reason: Why it was replaced.
        forecast_start_date: The earliest forecast date it predicted, where predictions are
            made by forecast date.
        forecast_end_date: The latest forecast date it predicted, where predictions are made by
            forecast date.
        prediction_warning_boundaries: Outside which values its predictions are outliers.
    """

    model_package: ModelPackage = REQUIRED
    custom_model_image: CustomModelImage | None = None
    start_date: datetime = REQUIRED
    end_date: datetime | None = REQUIRED
    replacement_reason: str | None = REQUIRED
    forecast_start_date: datetime | None = REQUIRED
    forecast_end_date: datetime | None = REQUIRED
    prediction_warning_boundaries: PredictionWarningBoundaries | None = None
