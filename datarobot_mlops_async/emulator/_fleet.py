"""The deployments: drawn when they are first looked at, kept as JSON bytes, sorted and filtered as lists ask for."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field, frozen

from ._http import encode
from ._routing import Parameters
from ._samples import HEALTHS, SAMPLES, Json, draw_deployment, draw_surroundings, object_id, seeded, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TEN_DAYS = 10 * 86_400
_THREE_YEARS = 3 * 365 * 86_400
_SELECTIONS_KEPT = 64
_CHANGES_KEPT = 10_000
_NEVER_SORTED_BY = {"status", "hasError", "description"}
IMPORTANCES: list[str] = SAMPLES["filterValues"]["importance"]
_HEALTH_ORDER: list[str] = SAMPLES["healthOrder"]
# A fleet is drawn in one thread while requests change it in another.
_CHANGING = threading.RLock()


@frozen(kw_only=True)
class FleetChange:
    """Something that happened to a deployment, by a request or by drift.

    Attributes:
        kind: What happened.
        deployment_id: To which deployment.
        before: What changed, as it was, by its JSON name; all of a removed deployment.
        after: What changed, as it is now; all of an added deployment.
        at: When, on the clock of `time.monotonic()`, in seconds.
    """

    kind: Literal["added", "changed", "removed"]
    deployment_id: str
    before: Json = field(factory=dict, repr=False)
    after: Json = field(factory=dict, repr=False)
    at: float = field(factory=time.monotonic, repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """The JSON names of what changed, sorted."""
        return tuple(sorted(self.before.keys() | self.after.keys()))


@define(eq=False)
class Row:
    """One deployment: its sort keys, and its body once somebody has asked for it."""

    deployment_id: str
    created: datetime
    last_prediction: datetime | None
    _draw: Callable[[Row], Json]
    _body: Json | None = None
    _encoded: bytes | None = None

    @property
    def body(self) -> Json:
        """The deployment as the API answers it. Change it through `change` only."""
        if self._body is None:
            with _CHANGING:
                self._body = self._body or self._draw(self)
        return self._body

    def encode(self) -> bytes:
        encoded = self._encoded
        if encoded is None:
            with _CHANGING:
                encoded = self._encoded = encode(self.body)
        return encoded

    def change(self, **fields: Any) -> None:
        with _CHANGING:
            self.body.update(fields)
            self._encoded = None


class Fleet:
    """Every deployment that has not been deleted."""

    def __init__(self, count: int, *, seed: int, epoch: datetime) -> None:
        self.surroundings = draw_surroundings(seed, epoch)
        self.me = self.surroundings["people"][0]
        self.changes: deque[FleetChange] = deque(maxlen=_CHANGES_KEPT)
        self._seed = seed
        self._epoch = epoch
        self._drawn = seeded(f"fleet {seed}")
        self._orders: dict[str, Sequence[Row]] = {}
        self._selections: dict[object, Sequence[Row]] = {}
        rows = map(self._draw_row, range(count))
        self._rows = {row.deployment_id: row for row in rows}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def get(self, deployment_id: str) -> Row | None:
        return self._rows.get(deployment_id)

    def draw_everything(self) -> None:
        """Draw and encode every deployment. Safe from any thread."""
        for row in tuple(self._rows.values()):
            row.encode()

    def new_id(self) -> str:
        """Draw an id for something that comes to be now."""
        return object_id(self._drawn, datetime.now(UTC))

    def add(self, fields: Json, *, model_id: str) -> Row:
        """Add a deployment of a DataRobot model, created now by the user; what `fields` leaves out is drawn."""
        seed = self._drawn.getrandbits(64)
        mine = {"owners": {"count": 1, "preview": [self.me]}}

        def draw(row: Row) -> Json:
            drawn = draw_deployment(seed, self.surroundings, self._epoch, row)
            model = {name: value for name, value in drawn["model"].items() if name != "customModelImage"}
            return drawn | mine | fields | {"model": model | {"id": model_id}}

        row = Row(self.new_id(), datetime.now(UTC), None, draw)
        self._rows[row.deployment_id] = row
        self._record("added", row, after=dict(row.body))
        return row

    def remove(self, row: Row) -> None:
        del self._rows[row.deployment_id]
        self._record("removed", row, before=row.body)

    def change(self, row: Row, **fields: Any) -> None:
        """Set fields of one deployment, by their JSON names."""
        before = {name: row.body.get(name) for name, value in fields.items() if row.body.get(name) != value}
        row.change(**fields)
        if before and row.deployment_id in self._rows:
            self._record("changed", row, before=before, after={name: fields[name] for name in before})

    def predict(self, deployment_id: str) -> None:
        """Let a prediction request arrive: the deployment moves to the front of the default order."""
        row = self._rows[deployment_id]
        row.last_prediction = datetime.now(UTC)
        *before, today = row.body["predictionUsage"]["dailyRates"]
        last = timestamp(row.last_prediction, offset=True)
        self.change(row, predictionUsage={"dailyRates": [*before, today + 1], "lastTimestamp": last})

    def order(self, name: str, key: Callable[[Row], Any]) -> Sequence[Row]:
        """Return every row in an order, descending where its name says so, kept until it can have changed."""
        if name not in self._orders:
            rows = sorted(self, key=lambda row: row.deployment_id)
            self._orders[name] = sorted(rows, key=key, reverse=name.startswith("-"))
        return self._orders[name]

    def select(self, key: object, choose: Callable[[], list[Row]]) -> Sequence[Row]:
        """Return what `choose` returns, computed once for this `key` until the fleet changes."""
        if key not in self._selections:
            if len(self._selections) >= _SELECTIONS_KEPT:
                self._selections.clear()
            self._selections[key] = choose()
        return self._selections[key]

    def _record(self, kind: Literal["added", "changed", "removed"], row: Row, **bodies: Any) -> None:
        change = FleetChange(kind=kind, deployment_id=row.deployment_id, **bodies)
        self.changes.append(change)
        self._selections.clear()
        if kind != "changed" or not _NEVER_SORTED_BY.issuperset(change.fields):
            self._orders.clear()

    def _draw_row(self, index: int) -> Row:
        drawn, epoch = self._drawn, self._epoch
        created = epoch - timedelta(seconds=3600 + drawn.random() * _THREE_YEARS)
        last = None
        if drawn.random() < 0.93:
            age = min(drawn.expovariate(1 / _TEN_DAYS), (epoch - created).total_seconds())
            last = epoch - timedelta(seconds=int(age))
        draw = partial(draw_deployment, (self._seed << 32) + index, self.surroundings, epoch)
        return Row(object_id(drawn, created), created, last, draw)


def select(fleet: Fleet, parameters: Parameters) -> Sequence[Row]:
    """Return the deployments that a request asks for, in its order, kept for the next page of the same list."""
    order = parameters.text("orderBy", allowed=_ORDERS) or "-lastPredictionTimestamp"
    ordered = fleet.order(order, _ORDERS[order])
    sent = [each for each in _FILTERS if each[0] in parameters.fields]
    asked = [(name, read(parameters, name), is_in) for name, read, is_in in sent]
    chosen = [(name, value, is_in) for name, value, is_in in asked if value is not None]
    if not chosen:
        return ordered
    return fleet.select(
        (order, *((name, value) for name, value, _ in chosen)),
        lambda: [row for row in ordered if all(is_in(row, value, fleet.me) for _, value, is_in in chosen)],
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


_FILTERS: tuple[tuple[str, Callable[[Parameters, str], Any], Callable[[Row, Any, Json], bool]], ...] = (
    *((name, _read_health, _is_one_of(name, "status")) for name in HEALTHS),
    ("status", _read_joined, _is_one_of("status")),
    ("importance", _read_joined, _is_one_of("importance")),
    ("defaultPredictionServerId", _read_joined, _is_one_of("defaultPredictionServer", "id")),
    ("buildEnvironmentType", _read_joined, _is_one_of("model", "buildEnvironmentType")),
    ("executionEnvironmentType", _read_joined, _is_in_environment),
    ("predictionEnvironmentPlatform", _read_joined, _is_one_of("predictionEnvironment", "platform")),
    ("search", Parameters.text, _contains),
    ("championModelExecutionType", _read_choice, _is_executed_as),
    ("championModelTargetType", Parameters.text, lambda row, kind, _: row.body["model"]["targetType"] == kind),
    ("lastPredictionTimestampStart", Parameters.moment,
     lambda row, start, _: row.last_prediction is not None and row.last_prediction >= start),
    ("lastPredictionTimestampEnd", Parameters.moment,
     lambda row, end, _: row.last_prediction is not None and row.last_prediction < end),
    ("predictionUsageDailyAvgGreaterThan", Parameters.integer, lambda row, above, _: _daily_average(row) > above),
    ("predictionUsageDailyAvgLessThan", Parameters.integer, lambda row, below, _: _daily_average(row) < below),
    ("tagKeys", Parameters.repeated, _has_tag("name")),
    ("tagValues", Parameters.repeated, _has_tag("value")),
    ("role", _read_choice, _has_role),
    ("createdBy", Parameters.text, lambda row, person, _: _creator(row) == person),
    ("createdByMe", _read_mine, lambda row, _, me: _creator(row) == me["id"]),
)  # fmt: skip
