"""The model a deployment runs, and the packages and code it can be fetched as."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import NULLABLE, REQUIRED, Record, shared
from datarobot_mlops_async.models.enums import UnsupervisedType


@frozen(kw_only=True, weakref_slot=False)
class DeploymentModelCustomModelImage(Record):
    """The custom model behind a deployment. Implements ``DeploymentModelCustomModelImageResponse``.

    Attributes:
        custom_model_id: The custom model's id.
        custom_model_name: The custom model's name.
        custom_model_version_id: The id of its version.
        custom_model_version_label: The label of its version.
        execution_environment_id: The id of the environment it runs in.
        execution_environment_name: The name of the environment it runs in.
        execution_environment_version_id: The id of that environment's version.
        execution_environment_version_label: The label of that environment's version.
    """

    custom_model_id: str = REQUIRED
    custom_model_name: str = REQUIRED
    custom_model_version_id: str = REQUIRED
    custom_model_version_label: str = REQUIRED
    execution_environment_id: str = REQUIRED
    execution_environment_name: str = REQUIRED
    execution_environment_version_id: str = REQUIRED
    execution_environment_version_label: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class DeploymentModel(Record):
    """The model a deployment runs now. Implements ``DeploymentModelResponse``.

    Attributes:
        id: The model's id.
        type: The kind of model, for example its algorithm's name.
        target_type: What it predicts, for example ``Binary`` or ``Regression``.
        target_name: The name of the predicted feature; ``None`` for a model without target.
        project_id: The project the model comes from; ``None`` for a model without project.
        project_name: That project's name.
        build_environment_type: What the model was built with: one of the `BuildEnvironmentType`
            values, though the page does not limit it to them here.
        deployed_at: When this model was put in place.
        is_deprecated: Whether the model needs a run time that is going away.
        unstructured_model_kind: Whether the model takes and gives unstructured data.
        unsupervised_mode: Whether the model's project is unsupervised.
        unsupervised_type: The kind of unsupervised project; meaningful only with
            ``unsupervised_mode``.
        custom_model_image: The custom model behind it; ``None`` for other models.
    """

    id: str = REQUIRED
    type: str = REQUIRED
    target_type: str = REQUIRED
    target_name: str | None = None
    project_id: str | None = NULLABLE
    project_name: str | None = REQUIRED
    build_environment_type: str | None = NULLABLE
    deployed_at: datetime | None = NULLABLE
    is_deprecated: bool = REQUIRED
    unstructured_model_kind: bool = REQUIRED
    unsupervised_mode: bool = REQUIRED
    unsupervised_type: UnsupervisedType | str | None = NULLABLE
    custom_model_image: DeploymentModelCustomModelImage | None = None


@frozen(kw_only=True, weakref_slot=False)
class DeploymentModelPackage(Record):
    """The registry's package of the current model. Implements ``DeploymentModelPackageResponse``.

    Attributes:
        id: The package's id.
        name: The package's name.
        registered_model_id: The registered model it is a version of.
    """

    id: str = REQUIRED
    name: str = REQUIRED
    registered_model_id: str | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class ModelPackageInitialDownload(Record):
    """When the model package was first downloaded.

    Implements ``DeploymentModelPackageInitialDownloadResponse``.

    Attributes:
        timestamp: The time of the first download.
    """

    timestamp: datetime | None = REQUIRED


@shared
@frozen(kw_only=True, weakref_slot=False)
class ScoringCodeInitialDownload(Record):
    """When the scoring code was first downloaded.

    Implements ``DeploymentScoringCodeInitialDownloadResponse``.

    Attributes:
        timestamp: The time of the first download.
    """

    timestamp: datetime | None = REQUIRED
