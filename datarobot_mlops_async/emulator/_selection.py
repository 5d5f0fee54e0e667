"""Which deployments a list shows, and in which order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ._inputs import Parameters
from ._samples import HEALTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._fleet import Fleet, Row
    from ._samples import Json

IMPORTANCES = ("CRITICAL", "HIGH", "MODERATE", "LOW")
_UNKNOWN_HEALTHS = (
    "fairnessHealth",
    "customMetricsHealth",
    "actualsTimelinessHealth",
    "predictionsTimelinessHealth",
)
_HEALTH_ORDER = ("failing", "warning", "passing", "unknown", "unavailable", "notStarted")
_HEALTH_WORDS = (*_HEALTH_ORDER[:-1], "not_started")
_STATUSES = ("active", "archived", "errored", "inactive", "launching", "replacingModel", "stopping")
_BUILD_ENVIRONMENTS = ("DataRobot", "Python", "R", "Java", "Julia", "Legacy", "Other")
_PLATFORMS = (
    "aws", "gcp", "azure", "onPremise", "datarobot", "datarobotServerless", "openShift", "other", "snowflake",
    "sapAiCore",
)  # fmt: skip
_EXECUTION_TYPES = ("custom_inference_model", "external", "dedicated")


def select(fleet: Fleet, parameters: Parameters) -> Sequence[Row]:
    """Return the deployments that a request asks for, in its order, kept for the next page of the same list."""
    order = parameters.text("orderBy", allowed=_ORDERS) or "-lastPredictionTimestamp"
    ordered = fleet.order(order, partial(_sorted, key=_ORDERS[order], descending=order.startswith("-")))
    sent = [each for each in _FILTERS if each[0] in parameters.fields]
    asked = [(name, read(parameters, name), is_in) for name, read, is_in in sent]
    chosen = [(name, value, is_in) for name, value, is_in in asked if value is not None]
    if not chosen:
        return ordered
    me = fleet.me
    return fleet.select(
        (order, *((name, value) for name, value, _ in chosen)),
        lambda: [row for row in ordered if all(is_in(row, value, me) for _, value, is_in in chosen)],
    )


def _sorted(rows: list[Row], *, key: Callable[[Row], Any], descending: bool) -> list[Row]:
    rows.sort(key=lambda row: row.deployment_id)
    rows.sort(key=key, reverse=descending)
    return rows


def _health_key(name: str) -> Callable[[Row], Any]:
    return lambda row: _HEALTH_ORDER.index(row.body[name]["status"])


_KEYS: dict[str, Callable[[Row], Any]] = {
    "label": lambda row: row.body["label"].casefold(),
    **{name: _health_key(name) for name in HEALTHS},
    # Health that the emulator does not have: every deployment stands alike.
    **{name: lambda _row: 0 for name in _UNKNOWN_HEALTHS},
    "recentPredictions": lambda row: sum(row.body["predictionUsage"]["dailyRates"]),
    "lastPredictionTimestamp": lambda row: row.last_prediction.timestamp() if row.last_prediction else 0.0,
    "currentModelDeployedTimestamp": lambda row: row.body["model"]["deployedAt"],
    "createdAtTimestamp": lambda row: row.created,
    "importance": lambda row: -IMPORTANCES.index(row.body["importance"]),
}
_ORDERS = _KEYS | {f"-{name}": key for name, key in _KEYS.items()}


def _read_health(parameters: Parameters, name: str) -> frozenset[str] | None:
    asked = parameters.joined(name, _HEALTH_WORDS)
    return asked and frozenset("notStarted" if word == "not_started" else word for word in asked)


def _joined(*allowed: str) -> Callable[[Parameters, str], Any]:
    return lambda parameters, name: parameters.joined(name, allowed or None)


def _choice(*allowed: str) -> Callable[[Parameters, str], Any]:
    return lambda parameters, name: parameters.text(name, allowed=allowed)


def _is_one_of(value_of: Callable[[Json], Any]) -> Callable[[Row, Any, Json], bool]:
    return lambda row, wanted, _me: value_of(row.body) in wanted


def _has_health(name: str) -> Callable[[Row, Any, Json], bool]:
    return _is_one_of(lambda body: body[name]["status"])


def _environment_type(body: Json) -> str:
    return "datarobot" if body["predictionEnvironment"]["platform"].startswith("datarobot") else "external"


def _execution_type(body: Json) -> str:
    if "customModelImage" in body["model"]:
        return "custom_inference_model"
    return "external" if body["model"]["type"] == "External Model" else "dedicated"


def _contains(row: Row, needle: str, _me: Json) -> bool:
    return needle.casefold() in f"{row.body['label']}\n{row.body['description'] or ''}".casefold()


def _daily_average(row: Row) -> float:
    rates = row.body["predictionUsage"]["dailyRates"]
    return float(sum(rates)) / len(rates)


def _has_tag(key: str) -> Callable[[Row, Any, Json], bool]:
    return lambda row, wanted, _me: any(tag[key] in wanted for tag in row.body["tags"])


def _has_role(row: Row, role: str, me: Json) -> bool:
    return (me in row.body["owners"]["preview"]) == (role == "OWNER")


def _creator(row: Row) -> Any:
    return row.body["owners"]["preview"][0]["id"]


def _mine(parameters: Parameters, name: str) -> bool | None:
    # False asks for nothing: the page has no way of saying "created by somebody else".
    return parameters.boolean(name) or None


_TEXT, _INTEGER, _MOMENT, _REPEATED = (
    Parameters.text, Parameters.integer, Parameters.moment, Parameters.repeated,
)  # fmt: skip
_FILTERS: tuple[tuple[str, Callable[[Parameters, str], Any], Callable[[Row, Any, Json], bool]], ...] = (
    *((name, _read_health, _has_health(name)) for name in HEALTHS),
    ("status", _joined(*_STATUSES), _is_one_of(lambda body: body["status"])),
    ("importance", _joined(*IMPORTANCES), _is_one_of(lambda body: body["importance"])),
    ("defaultPredictionServerId", _joined(), _is_one_of(lambda body: body["defaultPredictionServer"]["id"])),
    ("buildEnvironmentType", _joined(*_BUILD_ENVIRONMENTS),
     _is_one_of(lambda body: body["model"]["buildEnvironmentType"])),
    ("executionEnvironmentType", _joined("datarobot", "external"), _is_one_of(_environment_type)),
    ("predictionEnvironmentPlatform", _joined(*_PLATFORMS),
     _is_one_of(lambda body: body["predictionEnvironment"]["platform"])),
    ("search", _TEXT, _contains),
    ("championModelExecutionType", _choice(*_EXECUTION_TYPES), lambda row, kind, _: _execution_type(row.body) == kind),
    ("championModelTargetType", _TEXT, lambda row, kind, _: row.body["model"]["targetType"] == kind),
    ("lastPredictionTimestampStart", _MOMENT,
     lambda row, start, _: row.last_prediction is not None and row.last_prediction >= start),
    ("lastPredictionTimestampEnd", _MOMENT,
     lambda row, end, _: row.last_prediction is not None and row.last_prediction < end),
    ("predictionUsageDailyAvgGreaterThan", _INTEGER, lambda row, above, _: _daily_average(row) > above),
    ("predictionUsageDailyAvgLessThan", _INTEGER, lambda row, below, _: _daily_average(row) < below),
    ("tagKeys", _REPEATED, _has_tag("name")),
    ("tagValues", _REPEATED, _has_tag("value")),
    ("role", _choice("OWNER", "USER"), _has_role),
    ("createdBy", _TEXT, lambda row, person, _: _creator(row) == person),
    ("createdByMe", _mine, lambda row, _, me: _creator(row) == me["id"]),
)  # fmt: skip
