"""A fleet in motion: what happens to deployments without anybody's request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ._samples import MESSAGES, seeded
from ._selection import HEALTHS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._fleet import Fleet, Row

_STATUSES = ("passing", "warning", "failing", "unknown", "unavailable")
_STATUS_WEIGHTS = (50, 20, 15, 10, 5)
_KINDS = ("health", "predictions", "status", "added", "removed")
_KIND_WEIGHTS = (50, 25, 11, 7, 7)
_FLIPPED = {"active": "inactive", "inactive": "active"}
# However long nobody has looked, no request waits for more changes than this.
_MOST_AT_ONCE = 2000


class Drift:
    """Changes a fleet by chance, drawn from a seed. What is due is done when somebody looks.

    Args:
        fleet: What changes.
        remove: Deletes a deployment.
        seed: The same seed makes the same changes to the same fleet.
    """

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
        """Make so many changes now."""
        for _ in range(count):
            self._change_once(self._drawn.choices(_KINDS, _KIND_WEIGHTS)[0])

    def _change_once(self, kind: str) -> None:
        if kind == "added" or not self._fleet:
            self._fleet.add({}, model_id=self._fleet.new_id())
            return
        row = self._fleet.at(self._drawn.randrange(len(self._fleet)))
        status = row.body["status"]
        if kind == "removed" and status in _FLIPPED:
            self._remove(row)
        elif kind == "status" and status in _FLIPPED:
            self._fleet.change(row, status=_FLIPPED[status])
        elif kind == "health" and row.last_prediction is not None:
            self._change_health(row)
        else:
            self._fleet.predict(row)

    def _change_health(self, row: Row) -> None:
        name = self._drawn.choice(HEALTHS)
        before: dict[str, Any] = row.body[name]
        status = self._drawn.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        if status == before["status"]:
            status = "failing" if status == "passing" else "passing"
        message = {"message": MESSAGES[status]} if "message" in before else {}
        self._fleet.change(row, **{name: before | {"status": status} | message})
