"""Deployments: those there are, what happens to them, and new ones."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from datarobot_mlops_async.models import (
    CreatedDeployment,
    Deployment,
    DeploymentOrder,
    Feature,
    FeatureOrder,
    ModelHistory,
    TargetDeploymentStatus,
)
from datarobot_mlops_async.resources._arguments import (
    DEPLOYMENT_FILTERS,
    FEATURE_FILTERS,
    choice,
    flag,
    fraction,
    given,
    text,
)
from datarobot_mlops_async.resources._base import deployment_at
from datarobot_mlops_async.resources._changes import Watch
from datarobot_mlops_async.resources._one_deployment import ATTRIBUTES, OneDeployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from datarobot_mlops_async.errors import MLOpsError
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.pagination import Paginator
    from datarobot_mlops_async.resources._arguments import (
        BuildEnvironmentTypeWord,
        Check,
        DeploymentOrderWord,
        DeploymentStatusWord,
        ExecutionEnvironmentTypeWord,
        FeatureOrderWord,
        HealthFilterWord,
        ImportanceWord,
        ModelExecutionTypeWord,
        OneOrMore,
        PredictionEnvironmentPlatformWord,
        RoleWord,
        TargetDeploymentStatusWord,
    )

_CREATION: Final[Mapping[str, Check]] = {
    "model_id": text,
    **ATTRIBUTES,
    "default_prediction_server_id": text,
    "grant_initial_deployment_roles_from_project": flag,
    "prediction_threshold": fraction,
    "status": partial(choice, enum=TargetDeploymentStatus),
}


class Deployments(OneDeployment):
    """``session.deployments``: routes under ``/deployments/``.

    ::

        async for deployment in session.deployments.list(status="active", service_health=["failing", "warning"]):
            print(deployment.label, deployment.model.type)
        deployment = await session.deployments.get(deployment_id)
        await session.deployments.update(deployment_id, importance="HIGH")
        deployment = await (await session.deployments.begin_deactivate(deployment_id))

    Every method that takes a ``deployment_id`` raises ``ValueError`` for one that cannot be an id,
    `NotFoundError` for one that does not exist or is not visible, and what every request can raise
    (see `errors`).
    """

    def list(
        self,
        *,
        order_by: DeploymentOrderWord | None = DeploymentOrder.CREATED_AT_TIMESTAMP,
        search: str | None = None,
        service_health: OneOrMore[HealthFilterWord] | None = None,
        model_health: OneOrMore[HealthFilterWord] | None = None,
        accuracy_health: OneOrMore[HealthFilterWord] | None = None,
        role: RoleWord | None = None,
        status: OneOrMore[DeploymentStatusWord] | None = None,
        importance: OneOrMore[ImportanceWord] | None = None,
        last_prediction_timestamp_start: datetime | None = None,
        last_prediction_timestamp_end: datetime | None = None,
        prediction_usage_daily_avg_greater_than: int | None = None,
        prediction_usage_daily_avg_less_than: int | None = None,
        default_prediction_server_id: OneOrMore[str] | None = None,
        build_environment_type: OneOrMore[BuildEnvironmentTypeWord] | None = None,
        execution_environment_type: OneOrMore[ExecutionEnvironmentTypeWord] | None = None,
        prediction_environment_platform: OneOrMore[PredictionEnvironmentPlatformWord] | None = None,
        created_by_me: bool | None = None,
        created_by: str | None = None,
        champion_model_execution_type: ModelExecutionTypeWord | None = None,
        champion_model_target_type: str | None = None,
        tag_keys: OneOrMore[str] | None = None,
        tag_values: OneOrMore[str] | None = None,
        page_size: int = 100,
        limit: int | None = None,
    ) -> Paginator[Deployment]:
        """List the deployments that the token's user can see.

        Filters narrow the list together; several values of one filter widen it. Enum filters take members
        or their strings. Implements ``GET /deployments/``.

        Args:
            order_by: Order; a leading ``-`` turns it round. Creation time by default, oldest first, because the
                server's own order (last prediction, newest first: pass ``None``) changes while it is read
                and makes a list skip and repeat rows.
            search: Text in label or description, in any case.
            service_health: `HealthFilter` values.
            model_health: `HealthFilter` values.
            accuracy_health: `HealthFilter` values.
            role: Only those in which the user has this role.
            status: `DeploymentStatus` values.
            importance: `Importance` values.
            last_prediction_timestamp_start: Last prediction at or after this moment (with a time zone).
            last_prediction_timestamp_end: Last prediction before this moment (with a time zone). Those never
                predicted with are left out: their ``prediction_usage.last_timestamp`` is ``None``. To get them too,
                look at that field in a list without this filter (see the example below).
            prediction_usage_daily_avg_greater_than: More predictions a day than this over the past week.
            prediction_usage_daily_avg_less_than: Fewer predictions a day than this over the past week.
            default_prediction_server_id: Ids of prediction servers.
            build_environment_type: `BuildEnvironmentType` values of the current model.
            execution_environment_type: `ExecutionEnvironmentType` values.
            prediction_environment_platform: `PredictionEnvironmentPlatform` values.
            created_by_me: Only the user's own, or only those of others.
            created_by: Id of the user who created them.
            champion_model_execution_type: How the champion model is executed.
            champion_model_target_type: The champion model's target type, for example ``Binary``.
            tag_keys: With a tag of any of these names.
            tag_values: With a tag of any of these values.
            page_size: Rows a request, 1 to 100.
            limit: The most rows wanted; ``None`` for all.

        Raises:
            ValueError: An argument is out of the API's bounds. Nothing was sent.

        Without a prediction for thirty days, or ever::

            month_ago = datetime.now(UTC) - timedelta(days=30)
            async for deployment in session.deployments.list(status="active"):
                last = deployment.prediction_usage.last_timestamp
                if last is None or last < month_ago:
                    print(deployment.label, last)
        """
        return self._paginator(Deployment, "deployments/", locals(), DEPLOYMENT_FILTERS)

    def watch(
        self,
        *,
        interval: float = 60,
        fields: Iterable[str] | None = None,
        state: str | None = None,
        on_outage: Callable[[MLOpsError], object] | None = None,
        **filters: Any,
    ) -> Watch:
        """Watch what happens to deployments: ``async for change in session.deployments.watch(): ...``

        The first reading is the snapshot that changes are told from: it tells none. Each further one costs one
        listing, and one request for each deployment that is missing from it. Outages are survived: the log says how
        old is what was seen last, further attempts come at growing intervals (up to 5 minutes, or
        ``interval``), and then all that has changed meanwhile is told. A deadline around ``anext`` loses
        nothing, but has to leave time for a reading.

        Args:
            interval: Seconds from the start of one reading to that of the next, where the reader asks for changes.
            fields: The attributes of `Deployment` to compare, all by default. What is not compared is as it was
                when the deployment was last told of.
            state: A saved `Watch.state` of the same list, to go on from.
            on_outage: Called with the error of each reading that failed and will be tried again; `Watch.stale_for`
                tells for how long nothing was seen.
            filters: As for `list`. A deployment that begins to match is added, one that no longer does removed.

        Raises:
            ValueError: An argument is out of bounds, or ``state`` is that of another list.
        """
        paginator = self.list(**filters)
        narrowing = filters.keys() - {"order_by", "page_size"}
        return Watch(
            paginator,
            self.get,
            source=self._api.url_of(paginator.path),
            filtered=any(filters[name] is not None for name in narrowing),
            interval=interval,
            fields=fields,
            state=state,
            on_outage=on_outage,
        )

    async def begin_create_from_learning_model(
        self,
        model_id: str,
        label: str,
        *,
        description: str | None = None,
        default_prediction_server_id: str | None = None,
        grant_initial_deployment_roles_from_project: bool | None = None,
        importance: ImportanceWord | None = None,
        prediction_threshold: float | None = None,
        status: TargetDeploymentStatusWord | None = None,
    ) -> Operation[Deployment]:
        """Deploy a model. Implements ``POST /deployments/fromLearningModel/``.

        Never sent twice: if its answer is lost, list the deployments before trying again. What is ``None``
        is not sent, but for ``description``, which the API requires and takes null for.

        Args:
            model_id: The model.
            label: At most 512 characters.
            description: At most 10,000 characters.
            default_prediction_server_id: Required on DataRobot's cloud, forbidden elsewhere.
            grant_initial_deployment_roles_from_project: Give the project's users their roles on the deployment;
                the server's default is yes.
            importance: An `Importance`; the server's default is ``LOW``.
            prediction_threshold: From 0 to 1, for binary classification; the model's own by default.
            status: ``active`` or ``inactive`` once it is created.

        Returns:
            An operation whose result is the new deployment. Creation can take more than ten minutes.

        Raises:
            ConflictError: The organisation has as many deployments as it may.
            ValueError: An argument is out of the API's bounds. Nothing was sent.
        """
        body = {"description": None, **given(locals(), _CREATION)}
        route = "deployments/fromLearningModel/"
        response = await self._api.send("POST", route, json=body)
        created = self._api.decoder.decode(
            response.content or b"{}", CreatedDeployment, operation=f"POST /{route}"
        )

        async def read(resource: str | None) -> Deployment:
            return await self.get(created.id) if created.id else await deployment_at(self._api, resource)

        return self._operation(response, read)

    def features(
        self,
        deployment_id: str,
        *,
        include_non_prediction_features: bool | None = None,
        for_segmented_analysis: bool | None = None,
        search: str | None = None,
        order_by: FeatureOrderWord | None = FeatureOrder.NAME,
        page_size: int = 100,
        limit: int | None = None,
    ) -> Paginator[Feature]:
        """List a deployment's features. Implements ``GET /deployments/{deploymentId}/features/``.

        Args:
            deployment_id: The deployment.
            include_non_prediction_features: All raw features of the data set, and not only those that
                predictions need.
            for_segmented_analysis: Only those that segmented analysis can use.
            search: Text in the name, in any case.
            order_by: Order; by name by default, ``None`` for the server's own.
            page_size: Rows a request, 1 to 100.
            limit: The most rows wanted; ``None`` for all.
        """
        route = "deployments/{deployment_id}/features/"
        return self._paginator(Feature, route, locals(), FEATURE_FILTERS, key=attrgetter("name"))

    def model_history(
        self, deployment_id: str, *, page_size: int = 100, limit: int | None = None
    ) -> Paginator[ModelHistory]:
        """List a deployment's champion models, in the server's order.

        Entries have no id, so none is dropped as seen. Implements
        ``GET /deployments/{deploymentId}/modelHistory/``.

        Args:
            deployment_id: The deployment.
            page_size: Rows a request, 1 to 100.
            limit: The most rows wanted; ``None`` for all.
        """
        return self._paginator(ModelHistory, "deployments/{deployment_id}/modelHistory/", locals(), key=None)
