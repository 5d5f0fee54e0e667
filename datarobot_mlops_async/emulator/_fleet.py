"""The deployments: drawn when they are first looked at, kept as JSON bytes, sorted and filtered once."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field, frozen

from ._http import encode
from ._samples import (
    HEALTHS,
    MESSAGES,
    Json,
    draw_deployment,
    draw_surroundings,
    object_id,
    seeded,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_TEN_DAYS = 10 * 86_400
_THREE_YEARS = 3 * 365 * 86_400
_SELECTIONS_KEPT = 64
_CHANGES_KEPT = 10_000
_NEVER_SORTED_BY = {"status", "hasError", "description"}
_STATUSES = ("passing", "warning", "failing", "unknown", "unavailable")
_STATUS_WEIGHTS = (50, 20, 15, 10, 5)
_KINDS = ("health", "predictions", "status", "added", "removed")
_KIND_WEIGHTS = (50, 25, 11, 7, 7)
_FLIPPED = {"active": "inactive", "inactive": "active"}
# However long nobody has looked, no request waits for more changes than this.
_MOST_AT_ONCE = 2000
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


class Drift:
    """Changes a fleet by chance, drawn from a seed. What is due is done when somebody looks."""

    def __init__(self, fleet: Fleet, remove: Callable[[Row], None], seed: int) -> None:
        self._fleet = fleet
        self._remove = remove
        self._drawn = seeded(f"drift {seed}")
        self._due = 0.0
        self._seen = time.monotonic()

    def settle(self, rate: float) -> None:
        """Make the changes that are due by now, at `rate` changes a second."""
        now = time.monotonic()
        self._due = min(self._due + (now - self._seen) * rate, _MOST_AT_ONCE) if rate else 0.0
        self._seen = now
        self.change(int(self._due))
        self._due -= int(self._due)

    def change(self, count: int) -> None:
        for _ in range(count):
            self._change_once(self._drawn.choices(_KINDS, _KIND_WEIGHTS)[0])

    def _change_once(self, kind: str) -> None:
        if kind == "added" or not self._fleet:
            self._fleet.add({}, model_id=self._fleet.new_id())
            return
        index = self._drawn.randrange(len(self._fleet))
        row = next(itertools.islice(self._fleet, index, None))
        status = row.body["status"]
        if kind == "removed" and status in _FLIPPED:
            self._remove(row)
        elif kind == "status" and status in _FLIPPED:
            self._fleet.change(row, status=_FLIPPED[status])
        elif kind == "health" and row.last_prediction is not None:
            self._change_health(row)
        else:
            self._fleet.predict(row.deployment_id)

    def _change_health(self, row: Row) -> None:
        name = self._drawn.choice(HEALTHS)
        before: dict[str, Any] = row.body[name]
        status = self._drawn.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        if status == before["status"]:
            status = "failing" if status == "passing" else "passing"
        message = {"message": MESSAGES[status]} if "message" in before else {}
        self._fleet.change(row, **{name: before | {"status": status} | message})
