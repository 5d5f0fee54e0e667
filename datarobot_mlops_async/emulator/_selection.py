"""Which deployments a list shows, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._fleet import Fleet, Row
    from ._parameters import Parameters


def select(fleet: Fleet, parameters: Parameters) -> Sequence[Row]:
    """Return the deployments that a request asks for, in its order."""
    return fleet.select((), _by_last_prediction)


def _by_last_prediction(rows: list[Row]) -> list[Row]:
    rows.sort(key=lambda row: (row.last_prediction is None, _descending(row)))
    return rows


def _descending(row: Row) -> tuple[float, str]:
    last = 0.0 if row.last_prediction is None else -row.last_prediction.timestamp()
    return last, row.deployment_id
