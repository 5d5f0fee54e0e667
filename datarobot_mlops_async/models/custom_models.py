"""Deployments of custom models, and the models, versions and environments they are made of."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import REQUIRED, Record, one_line
from datarobot_mlops_async.models.enums import CustomModelImageType, DeploymentStatus, TestingStatus


@frozen(kw_only=True, weakref_slot=False)
class CustomModel(Record):
    """A custom model in short. Implements ``CustomModelShortResponse``.

    Attributes:
        id: The custom model's id.
        name: Its name for people.
    """

    id: str = REQUIRED
    name: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class CustomModelVersion(Record):
    """A custom model's version in short. Implements ``CustomModelVersionShortResponse``.

    Attributes:
        id: The version's id.
        label: Its name for people.
    """

    id: str = REQUIRED
    label: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class ExecutionEnvironment(Record):
    """What a custom model runs in. Implements ``ExecutionEnvironmentShortResponse``.

    Attributes:
        id: The environment's id.
        name: Its name for people.
    """

    id: str = REQUIRED
    name: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class ExecutionEnvironmentVersion(Record):
    """A version of what a custom model runs in. Implements ``ExecutionEnvironmentVersionShortResponse``.

    Attributes:
        id: The version's id.
        label: Its name for people.
    """

    id: str = REQUIRED
    label: str = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class CustomModelDeployment(Record):
    """A deployed custom model. Implements ``CustomModelDeploymentResponse``.

    Attributes:
        id: The deployment's id.
        label: Its name for people.
        status: What the deployment is doing now.
        testing_status: How the latest test of the deployed image went.
        image_type: What the deployment was made from; custom model versions have dependency
            management, images do not.
        custom_model_image_id: The id of the deployed image.
        custom_model: The custom model.
        custom_model_version: Its version.
        execution_environment: What it runs in.
        execution_environment_version: The version of what it runs in.
        deployed: When the deployment was created. The page promises ISO 8601 and yet types it
            as any string: one that is no timestamp stays the string it is.
        deployed_by: The name of the user who deployed it.
    """

    id: str = REQUIRED
    label: str = REQUIRED
    status: DeploymentStatus | str = REQUIRED
    testing_status: TestingStatus | str = REQUIRED
    image_type: CustomModelImageType | str | None = None
    custom_model_image_id: str = REQUIRED
    custom_model: CustomModel = REQUIRED
    custom_model_version: CustomModelVersion = REQUIRED
    execution_environment: ExecutionEnvironment = REQUIRED
    execution_environment_version: ExecutionEnvironmentVersion = REQUIRED
    deployed: datetime | str = REQUIRED
    deployed_by: str = REQUIRED

    def __repr__(self) -> str:
        return one_line(self, self.label, self.id, self.status)


@frozen(kw_only=True, weakref_slot=False)
class AcceptedOperation(Record):
    """The answer to a request for logs. Implements ``CustomModelAsyncOperationResponse``.

    Attributes:
        status_id: The id under which the operation's status can be polled.
    """

    status_id: str = REQUIRED
