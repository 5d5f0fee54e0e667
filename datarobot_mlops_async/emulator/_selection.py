"""Which deployments a list shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from ._fleet import Fleet, Row
    from ._inputs import Parameters
    from ._samples import Json

Predicate = Callable[["Row"], bool]

_HEALTHS = {
    "failing": "failing",
    "not_started": "notStarted",
    "passing": "passing",
    "unavailable": "unavailable",
    "unknown": "unknown",
    "warning": "warning",
}
_STATUSES = ("active", "archived", "errored", "inactive", "launching", "replacingModel", "stopping")
IMPORTANCES = ("CRITICAL", "HIGH", "MODERATE", "LOW")
_BUILD_ENVIRONMENTS = ("DataRobot", "Python", "R", "Java", "Julia", "Legacy", "Other")
_PLATFORMS = (
    "aws", "gcp", "azure", "onPremise", "datarobot", "datarobotServerless", "openShift", "other", "snowflake",
    "sapAiCore",
)  # fmt: skip
_EXECUTION_TYPES = ("custom_inference_model", "external", "dedicated")
_HEALTH_ORDER = ("failing", "warning", "passing", "unknown", "unavailable", "notStarted")


def select(fleet: Fleet, parameters: Parameters) -> Sequence[Row]:
    """Return the deployments that a request asks for, in its order.

    What one request has sorted and filtered is kept for the next page of the same list.
    """
    order = parameters.choice("orderBy", _ORDERS) or "-lastPredictionTimestamp"
    ordered = fleet.order(order, partial(_sorted, key=_ORDERS[order], descending=order.startswith("-")))
    predicates = dict(_predicates(parameters, fleet))
    if not predicates:
        return ordered
    chosen = tuple(predicates.values())
    return fleet.select(
        (order, *predicates), lambda: [row for row in ordered if all(is_in(row) for is_in in chosen)]
    )


def execution_type(body: Json) -> str:
    """Return how the champion model of a deployment runs."""
    if "customModelImage" in body["model"]:
        return "custom_inference_model"
    return "external" if body["model"]["type"] == "External Model" else "dedicated"


def _sorted(rows: list[Row], *, key: Callable[[Row], Any], descending: bool) -> list[Row]:
    rows.sort(key=lambda row: row.deployment_id)
    rows.sort(key=key, reverse=descending)
    return rows


def _health_key(name: str) -> Callable[[Row], Any]:
    return lambda row: _HEALTH_ORDER.index(row.body[name]["status"])


def _same(_row: Row) -> int:
    return 0  # health that the emulator does not have: every deployment stands alike


def _last_prediction(row: Row) -> float:
    return 0.0 if row.last_prediction is None else row.last_prediction.timestamp()


_KEYS: dict[str, Callable[[Row], Any]] = {
    "label": lambda row: row.body["label"].casefold(),
    "serviceHealth": _health_key("serviceHealth"),
    "modelHealth": _health_key("modelHealth"),
    "accuracyHealth": _health_key("accuracyHealth"),
    "recentPredictions": lambda row: sum(row.body["predictionUsage"]["dailyRates"]),
    "lastPredictionTimestamp": _last_prediction,
    "currentModelDeployedTimestamp": lambda row: row.body["model"]["deployedAt"],
    "createdAtTimestamp": lambda row: row.created,
    "importance": lambda row: -IMPORTANCES.index(row.body["importance"]),
    "fairnessHealth": _same,
    "customMetricsHealth": _same,
    "actualsTimelinessHealth": _same,
    "predictionsTimelinessHealth": _same,
}
_ORDERS = _KEYS | {f"-{name}": key for name, key in _KEYS.items()}


def _predicates(parameters: Parameters, fleet: Fleet) -> list[tuple[object, Predicate]]:
    """Return the filters of a request, each under a key that says what it asks for."""
    found = [
        *_health_filters(parameters),
        *_joined_filters(parameters),
        *_text_filters(parameters),
        *_usage_filters(parameters),
        *_tag_filters(parameters),
        *_people_filters(parameters, fleet.surroundings.me),
    ]
    return [((name, value), predicate) for name, value, predicate in found if value is not None]


Filter = tuple[str, object, Predicate]


def _health_filters(parameters: Parameters) -> list[Filter]:
    filters: list[Filter] = []
    for name in ("serviceHealth", "modelHealth", "accuracyHealth"):
        asked = parameters.joined(name, _HEALTHS)
        wanted = {_HEALTHS[value] for value in asked or ()}
        filters.append((name, asked, partial(_has_health, name, wanted)))
    return filters


def _has_health(name: str, wanted: set[str], row: Row) -> bool:
    return row.body[name]["status"] in wanted


def _joined_filters(parameters: Parameters) -> list[Filter]:
    read: tuple[tuple[str, tuple[str, ...] | None, Callable[[Json], Any]], ...] = (
        ("status", _STATUSES, lambda body: body["status"]),
        ("importance", IMPORTANCES, lambda body: body["importance"]),
        ("defaultPredictionServerId", None, lambda body: body["defaultPredictionServer"]["id"]),
        ("buildEnvironmentType", _BUILD_ENVIRONMENTS, lambda body: body["model"]["buildEnvironmentType"]),
        ("executionEnvironmentType", ("datarobot", "external"), _environment_type),
        ("predictionEnvironmentPlatform", _PLATFORMS, lambda body: body["predictionEnvironment"]["platform"]),
    )
    filters: list[Filter] = []
    for name, allowed, value_of in read:
        wanted = parameters.joined(name, allowed)
        filters.append((name, wanted, partial(_is_one_of, value_of, wanted or ())))
    return filters


def _is_one_of(value_of: Callable[[Json], Any], wanted: Collection[str], row: Row) -> bool:
    return value_of(row.body) in wanted


def _environment_type(body: Json) -> str:
    return "datarobot" if body["predictionEnvironment"]["platform"].startswith("datarobot") else "external"


def _text_filters(parameters: Parameters) -> list[Filter]:
    searched = parameters.text("search")
    needle = (searched or "").casefold()
    execution = parameters.choice("championModelExecutionType", _EXECUTION_TYPES)
    target = parameters.text("championModelTargetType")
    return [
        ("search", searched, lambda row: needle in _searchable(row.body)),
        ("championModelExecutionType", execution, lambda row: execution_type(row.body) == execution),
        ("championModelTargetType", target, lambda row: row.body["model"]["targetType"] == target),
    ]


def _searchable(body: Json) -> str:
    return f"{body['label']}\n{body['description'] or ''}".casefold()


def _usage_filters(parameters: Parameters) -> list[Filter]:
    start = parameters.moment("lastPredictionTimestampStart")
    end = parameters.moment("lastPredictionTimestampEnd")
    above = parameters.integer("predictionUsageDailyAvgGreaterThan")
    below = parameters.integer("predictionUsageDailyAvgLessThan")
    return [
        ("start", start, lambda row: _was_asked(row, start, None)),
        ("end", end, lambda row: _was_asked(row, None, end)),
        ("above", above, lambda row: _daily_average(row) > (above or 0)),
        ("below", below, lambda row: _daily_average(row) < (below or 0)),
    ]


def _was_asked(row: Row, start: datetime | None, end: datetime | None) -> bool:
    last = row.last_prediction
    return last is not None and (start is None or last >= start) and (end is None or last < end)


def _daily_average(row: Row) -> float:
    rates = row.body["predictionUsage"]["dailyRates"]
    return float(sum(rates)) / len(rates)


def _tag_filters(parameters: Parameters) -> list[Filter]:
    keys, values = parameters.repeated("tagKeys"), parameters.repeated("tagValues")
    return [
        ("tagKeys", keys, lambda row: any(tag["name"] in (keys or ()) for tag in row.body["tags"])),
        ("tagValues", values, lambda row: any(tag["value"] in (values or ()) for tag in row.body["tags"])),
    ]


def _people_filters(parameters: Parameters, me: Json) -> list[Filter]:
    role = parameters.choice("role", ("OWNER", "USER"))
    created_by = parameters.text("createdBy")
    # False asks for nothing: the page has no way of saying "created by somebody else".
    mine = parameters.boolean("createdByMe") or None
    return [
        ("role", role, lambda row: (me in row.body["owners"]["preview"]) == (role == "OWNER")),
        ("createdBy", created_by, lambda row: _creator(row)["id"] == created_by),
        ("createdByMe", mine, lambda row: _creator(row)["id"] == me["id"]),
    ]


def _creator(row: Row) -> Json:
    creator: Json = row.body["owners"]["preview"][0]
    return creator
