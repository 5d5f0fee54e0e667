"""Which deployments a list shows, and in which order."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from ._routing import Parameters
from ._samples import HEALTHS, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._fleet import Fleet, Row
    from ._samples import Json

IMPORTANCES: list[str] = SAMPLES["filterValues"]["importance"]
_HEALTH_ORDER: list[str] = SAMPLES["healthOrder"]


def select(fleet: Fleet, parameters: Parameters) -> Sequence[Row]:
    """Return the deployments that a request asks for, in its order, kept for the next page of the same list."""
    order = parameters.text("orderBy", allowed=_ORDERS) or "-lastPredictionTimestamp"
    ordered = fleet.order(order, _ORDERS[order])
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


def _health_key(name: str) -> Callable[[Row], Any]:
    return lambda row: _HEALTH_ORDER.index(row.body[name]["status"])


_KEYS: dict[str, Callable[[Row], Any]] = {
    "label": lambda row: row.body["label"].casefold(),
    **{name: _health_key(name) for name in HEALTHS},
    # Health that the emulator does not have: every deployment stands alike.
    **{name: lambda _row: 0 for name in SAMPLES["unknownHealths"]},
    "recentPredictions": lambda row: sum(row.body["predictionUsage"]["dailyRates"]),
    "lastPredictionTimestamp": lambda row: row.last_prediction.timestamp() if row.last_prediction else 0.0,
    "currentModelDeployedTimestamp": lambda row: row.body["model"]["deployedAt"],
    "createdAtTimestamp": lambda row: row.created,
    "importance": lambda row: -IMPORTANCES.index(row.body["importance"]),
}
_ORDERS = _KEYS | {f"-{name}": key for name, key in _KEYS.items()}


def _read_health(parameters: Parameters, name: str) -> frozenset[str] | None:
    asked = _read_joined(parameters, name)
    return asked and frozenset("notStarted" if word == "not_started" else word for word in asked)


def _read_joined(parameters: Parameters, name: str) -> frozenset[str] | None:
    return parameters.joined(name, SAMPLES["filterValues"].get(name))


def _read_choice(parameters: Parameters, name: str) -> Any:
    return parameters.text(name, allowed=SAMPLES["filterValues"][name])


def _read_mine(parameters: Parameters, name: str) -> bool | None:
    # False asks for nothing: the page has no way of saying "created by somebody else".
    return parameters.boolean(name) or None


def _is_one_of(*path: str) -> Callable[[Row, Any, Json], bool]:
    return lambda row, wanted, _me: reduce(getitem, path, row.body) in wanted


def _is_in_environment(row: Row, wanted: frozenset[str], _me: Json) -> bool:
    is_ours = row.body["predictionEnvironment"]["platform"].startswith("datarobot")
    return ("datarobot" if is_ours else "external") in wanted


def _is_executed_as(row: Row, wanted: str, _me: Json) -> bool:
    if "customModelImage" in row.body["model"]:
        return wanted == "custom_inference_model"
    return wanted == ("external" if row.body["model"]["type"] == "External Model" else "dedicated")


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


_TEXT, _INTEGER, _MOMENT, _REPEATED = (
    Parameters.text, Parameters.integer, Parameters.moment, Parameters.repeated,
)  # fmt: skip
_FILTERS: tuple[tuple[str, Callable[[Parameters, str], Any], Callable[[Row, Any, Json], bool]], ...] = (
    *((name, _read_health, _is_one_of(name, "status")) for name in HEALTHS),
    ("status", _read_joined, _is_one_of("status")),
    ("importance", _read_joined, _is_one_of("importance")),
    ("defaultPredictionServerId", _read_joined, _is_one_of("defaultPredictionServer", "id")),
    ("buildEnvironmentType", _read_joined, _is_one_of("model", "buildEnvironmentType")),
    ("executionEnvironmentType", _read_joined, _is_in_environment),
    ("predictionEnvironmentPlatform", _read_joined, _is_one_of("predictionEnvironment", "platform")),
    ("search", _TEXT, _contains),
    ("championModelExecutionType", _read_choice, _is_executed_as),
    ("championModelTargetType", _TEXT, lambda row, kind, _: row.body["model"]["targetType"] == kind),
    ("lastPredictionTimestampStart", _MOMENT,
     lambda row, start, _: row.last_prediction is not None and row.last_prediction >= start),
    ("lastPredictionTimestampEnd", _MOMENT,
     lambda row, end, _: row.last_prediction is not None and row.last_prediction < end),
    ("predictionUsageDailyAvgGreaterThan", _INTEGER, lambda row, above, _: _daily_average(row) > above),
    ("predictionUsageDailyAvgLessThan", _INTEGER, lambda row, below, _: _daily_average(row) < below),
    ("tagKeys", _REPEATED, _has_tag("name")),
    ("tagValues", _REPEATED, _has_tag("value")),
    ("role", _read_choice, _has_role),
    ("createdBy", _TEXT, lambda row, person, _: _creator(row) == person),
    ("createdByMe", _read_mine, lambda row, _, me: _creator(row) == me["id"]),
)  # fmt: skip
