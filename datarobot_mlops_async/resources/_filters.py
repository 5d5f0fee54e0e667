"""The filters of the list of deployments: how each is checked and written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from datarobot_mlops_async.models import (
    BuildEnvironmentType,
    DeploymentOrder,
    DeploymentStatus,
    ExecutionEnvironmentType,
    HealthFilter,
    Importance,
    ModelExecutionType,
    PredictionEnvironmentPlatform,
    Role,
)
from datarobot_mlops_async.resources._arguments import (
    choice,
    choices,
    flag,
    joined,
    moment,
    query_of,
    text,
    texts,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from datarobot_mlops_async._api import Query

_WRITERS: Final[Mapping[str, Callable[[str, Any], str | Iterable[str] | None]]] = {
    "order_by": partial(choice, enum=DeploymentOrder),
    "search": text,
    "service_health": partial(choices, enum=HealthFilter),
    "model_health": partial(choices, enum=HealthFilter),
    "accuracy_health": partial(choices, enum=HealthFilter),
    "role": partial(choice, enum=Role),
    "status": partial(choices, enum=DeploymentStatus),
    "importance": partial(choices, enum=Importance),
    "last_prediction_timestamp_start": moment,
    "last_prediction_timestamp_end": moment,
    "prediction_usage_daily_avg_greater_than": whole,
    "prediction_usage_daily_avg_less_than": whole,
    "default_prediction_server_id": joined,
    "build_environment_type": partial(choices, enum=BuildEnvironmentType),
    "execution_environment_type": partial(choices, enum=ExecutionEnvironmentType),
    "prediction_environment_platform": partial(choices, enum=PredictionEnvironmentPlatform),
    "created_by_me": flag,
    "created_by": text,
    "champion_model_execution_type": partial(choice, enum=ModelExecutionType),
    "champion_model_target_type": text,
    "tag_keys": texts,
    "tag_values": texts,
}


def query_of_filters(arguments: Mapping[str, Any]) -> Query:
    """Return the query of a list's arguments, by their names in Python; ``None`` filters nothing.

    Raises:
        ValueError: A value is out of the API's bounds.
        TypeError: A value is of another type.
    """
    return query_of(
        **{
            _page_name(name): None if arguments[name] is None else write(name, arguments[name])
            for name, write in _WRITERS.items()
        }
    )


def _page_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
