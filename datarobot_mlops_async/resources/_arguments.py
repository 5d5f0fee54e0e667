"""What callers pass: the words that parameters take, as types, and all of it checked and written as the page wants it.

A word is a member of its enumeration, one of its strings, or a `RawValue` for a server that knows more: a wrong one
is caught while it is typed.

Each check raises ``TypeError`` for a value of another type and ``ValueError`` for one out of the page's bounds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from datarobot_mlops_async._api import query_pairs
from datarobot_mlops_async._decoding import json_name
from datarobot_mlops_async.models import enums

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E", bound=Enum)
T = TypeVar("T")
Check: TypeAlias = "Callable[[str, Any], Any]"


class RawValue(str):
    """A value for a newer server that this library does not know: ``status=[RawValue("hibernating")]``."""

    __slots__ = ()


OneOrMore: TypeAlias = T | Iterable[T]
DeploymentStatusWord = (
    enums.DeploymentStatus
    | RawValue
    | Literal["active", "archived", "errored", "inactive", "launching", "replacingModel", "stopping"]
)
TargetDeploymentStatusWord = enums.TargetDeploymentStatus | RawValue | Literal["active", "inactive"]
HealthFilterWord = (
    enums.HealthFilter
    | RawValue
    | Literal["failing", "not_started", "passing", "unavailable", "unknown", "warning"]
)
ImportanceWord = enums.Importance | RawValue | Literal["CRITICAL", "HIGH", "MODERATE", "LOW"]
RoleWord = enums.Role | RawValue | Literal["OWNER", "USER"]
BuildEnvironmentTypeWord = (
    enums.BuildEnvironmentType
    | RawValue
    | Literal["DataRobot", "Python", "R", "Java", "Julia", "Legacy", "Other"]
)
ExecutionEnvironmentTypeWord = enums.ExecutionEnvironmentType | RawValue | Literal["datarobot", "external"]
PredictionEnvironmentPlatformWord = (
    enums.PredictionEnvironmentPlatform
    | RawValue
    | Literal[
        "aws",
        "gcp",
        "azure",
        "onPremise",
        "datarobot",
        "datarobotServerless",
        "openShift",
        "other",
        "snowflake",
        "sapAiCore",
    ]
)
ModelExecutionTypeWord = (
    enums.ModelExecutionType | RawValue | Literal["custom_inference_model", "external", "dedicated"]
)
ResourceBundleUseCaseWord = (
    enums.ResourceBundleUseCase
    | RawValue
    | Literal["customApplication", "customJob", "customModel", "sapAICore"]
)
DeploymentOrderWord = (
    enums.DeploymentOrder
    | RawValue
    | Literal[
        "label",
        "-label",
        "serviceHealth",
        "-serviceHealth",
        "modelHealth",
        "-modelHealth",
        "accuracyHealth",
        "-accuracyHealth",
        "recentPredictions",
        "-recentPredictions",
        "lastPredictionTimestamp",
        "-lastPredictionTimestamp",
        "currentModelDeployedTimestamp",
        "-currentModelDeployedTimestamp",
        "createdAtTimestamp",
        "-createdAtTimestamp",
        "importance",
        "-importance",
        "fairnessHealth",
        "-fairnessHealth",
        "customMetricsHealth",
        "-customMetricsHealth",
        "actualsTimelinessHealth",
        "-actualsTimelinessHealth",
        "predictionsTimelinessHealth",
        "-predictionsTimelinessHealth",
    ]
)
FeatureOrderWord = enums.FeatureOrder | RawValue | Literal["name", "-name", "importance", "-importance"]


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final[Literal[Unset.UNSET]] = Unset.UNSET
"""Not passed, and so not sent; ``None`` is sent as null."""


def checked(arguments: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return a method's arguments by the page's names, each checked and written as its parameter wants it.

    Args:
        arguments: Values by the parameters' names, which are the page's in snake_case. ``None`` stays, what is
            `UNSET` is left out, and so is what has no check.
        checks: Functions of a name and a value, by name, in the order in which they go out.
    """
    return {
        json_name(name): None if arguments[name] is None else check(name, arguments[name])
        for name, check in checks.items()
        if arguments[name] is not UNSET
    }


def given(arguments: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return a method's arguments as `checked` does, without those that are ``None``."""
    return {name: value for name, value in checked(arguments, checks).items() if value is not None}


def query_from(arguments: Mapping[str, Any], checks: Mapping[str, Check]) -> tuple[tuple[str, str], ...]:
    """Return the query of a method's arguments; see `checked`. ``None`` is left out, a list repeats its name."""
    return query_pairs(checked(arguments, checks))


def choice(name: str, value: str, enum: type[E]) -> str:
    """Return an enum parameter's text: one that the API page knows, or a `RawValue`."""
    if isinstance(value, RawValue):
        return value
    known = [str(member.value) for member in enum]
    text = value.value if isinstance(value, Enum) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a {enum.__name__} or a string, not {type(value).__name__}")
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, n=3, cutoff=0.5) or known
    error = ValueError(
        f"{name}: {text!r} is not one of the {enum.__name__} values; did you mean {', '.join(map(repr, near))}?"
    )
    # A note: it is for whoever reads a traceback, and no part of the message that a front end shows.
    error.add_note("for a newer server pass RawValue(...)")
    raise error


def choices(name: str, values: str | Iterable[str], enum: type[E]) -> str:
    """Return an enum list's text: one value, joined by commas."""
    return joined(name, repeated_choices(name, values, enum))


def repeated_choices(name: str, values: str | Iterable[str], enum: type[E]) -> list[str]:
    """Return an enum list's texts: the parameter's name is repeated for each."""
    return texts(name, [choice(name, each, enum) for each in _several(name, values)])


def joined(name: str, values: str | Iterable[str]) -> str:
    """Return a list of strings as one value, joined by commas; none may hold a comma, which would make it two."""
    several = texts(name, values)
    for each in several:
        if "," in each:
            raise ValueError(f"{name}: {each!r} holds a comma, and the API joins these values by commas")
    return ",".join(several)


def texts(name: str, values: str | Iterable[str]) -> list[str]:
    """Return strings as a list; a single string is a list of one.

    There must be some, and none may be empty: the server would read that as no filter at all.
    """
    several = _several(name, values)
    for each in several:
        if not isinstance(each, str):
            raise TypeError(f"{name} must hold strings, not {type(each).__name__}")
        if not each:
            raise ValueError(f"{name} must not hold an empty string")
    if not several:
        raise ValueError(f"{name} must not be empty: leave it out instead")
    return several


def flag(name: str, value: bool) -> bool:
    """Return a boolean; nothing else is taken for one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def moment(name: str, value: datetime) -> str:
    """Return a point in time in ISO 8601; without a time zone nobody can know which moment it means."""
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{name}: {value} has no time zone; write datetime(..., tzinfo=timezone.utc)")
    return value.isoformat()


def whole(name: str, value: int, *, lowest: int = 0, highest: int | None = None) -> int:
    """Return a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < lowest or (highest is not None and value > highest):
        bounds = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise ValueError(f"{name} must be {bounds}, not {value}")
    return value


def fraction(name: str, value: float) -> float:
    """Return a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    # Not "value < 0 or value > 1": that lets NaN through.
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, not {value}")
    return value


def text(name: str, value: str, *, longest: int | None = None) -> str:
    """Return a string, which the page may bound in length."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if longest is not None and len(value) > longest:
        raise ValueError(f"{name} must have at most {longest} characters, not {len(value)}: {value[:40]!r}…")
    return value


def _several(name: str, values: str | Iterable[str]) -> list[str]:
    if isinstance(values, str):
        return [values]
    if not isinstance(values, Iterable) or isinstance(values, (bytes, dict)):
        raise TypeError(f"{name} must be a string or several strings, not {type(values).__name__}")
    return list(values)


# How each filter is checked and written.
DEPLOYMENT_FILTERS: Final[Mapping[str, Check]] = {
    "order_by": partial(choice, enum=enums.DeploymentOrder),
    "search": text,
    "service_health": partial(choices, enum=enums.HealthFilter),
    "model_health": partial(choices, enum=enums.HealthFilter),
    "accuracy_health": partial(choices, enum=enums.HealthFilter),
    "role": partial(choice, enum=enums.Role),
    "status": partial(choices, enum=enums.DeploymentStatus),
    "importance": partial(choices, enum=enums.Importance),
    "last_prediction_timestamp_start": moment,
    "last_prediction_timestamp_end": moment,
    "prediction_usage_daily_avg_greater_than": whole,
    "prediction_usage_daily_avg_less_than": whole,
    "default_prediction_server_id": joined,
    "build_environment_type": partial(choices, enum=enums.BuildEnvironmentType),
    "execution_environment_type": partial(choices, enum=enums.ExecutionEnvironmentType),
    "prediction_environment_platform": partial(choices, enum=enums.PredictionEnvironmentPlatform),
    "created_by_me": flag,
    "created_by": text,
    "champion_model_execution_type": partial(choice, enum=enums.ModelExecutionType),
    "champion_model_target_type": text,
    "tag_keys": texts,
    "tag_values": texts,
}
FEATURE_FILTERS: Final[Mapping[str, Check]] = {
    "include_non_prediction_features": flag,
    "for_segmented_analysis": flag,
    "search": text,
    "order_by": partial(choice, enum=enums.FeatureOrder),
}
