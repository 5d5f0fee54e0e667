"""Everything that the emulator remembers, shared by its routes and its storage."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from ._content import Content
from ._drawing import Json, timestamp
from ._drift import Drift
from ._fleet import Fleet
from ._log import RequestLog, RequestRecord
from ._objects import Image, StoredObject, draw_image
from ._operations import Operations
from ._parameters import path_id
from ._problems import not_found
from ._rules import FaultRegistry, parse_route
from ._signing import Signer

if TYPE_CHECKING:
    from starlette.requests import Request

    from ._fleet import Row
    from ._settings import Settings


class World:
    """The state of one emulator. Only the emulator's own thread changes it, except where it says so.

    Attributes:
        deleted: Deleted deployments that have not been erased, oldest first.
        built: Scoring-code builds that are done: deployment and the options they include.
        prediction_logs: The deployment that a finished log request belongs to, by log id.
        objects: What the storage holds, by path.
        image: The latest image; `None`: there is none.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fleet = Fleet(settings.deployments, seed=settings.seed, epoch=settings.epoch)
        self.drift = Drift(self.fleet, self.delete, settings.seed)
        self.operations = Operations(self.fleet.new_id)
        self.log = RequestLog(settings.log_limit)
        self.faults = FaultRegistry(settings.seed)
        self.signer = Signer()
        self.stopping = threading.Event()
        self.api_origin = ""
        self.storage_origin = ""
        self.deleted: dict[str, Json] = {}
        self.built: set[tuple[str, frozenset[str]]] = set()
        self.prediction_logs: dict[str, str] = {}
        self.objects: dict[str, StoredObject] = {}
        self.image: Image | None = None
        if settings.image_size is not None:
            self.publish_image(
                draw_image(settings.image_size, seed=settings.seed, release=0, modified=settings.epoch)
            )

    @property
    def api_root(self) -> str:
        """Path of the API below its origin, without a slash at the end."""
        return f"{self.settings.path_prefix}/api/v2"

    def deployment(self, request: Request) -> Row:
        """Return the deployment that a path names.

        Raises:
            Problem: There is none (404).
        """
        row = self.fleet.get(path_id(request, "deployment_id"))
        if row is None:
            raise not_found("Deployment")
        return row

    def settle(self) -> None:
        """Let happen whatever is due by now: ends of operations, then drift."""
        self.operations.settle()
        self.drift.settle(self.settings.drift_rate)

    def delete(self, row: Row) -> None:
        """Delete a deployment, after the lag that is set."""
        lag = self.settings.deletion_lag
        if lag:
            self.operations.after(lag, partial(self._remove, row))
        else:
            self._remove(row)

    def _remove(self, row: Row) -> None:
        if self.fleet.get(row.deployment_id) is None:
            return  # deleted twice while it lingered
        self.fleet.remove(row)
        self.deleted[row.deployment_id] = {
            "id": row.deployment_id,
            "label": row.body["label"],
            "deletedAt": timestamp(datetime.now(UTC), fraction=True),
        }

    def publish_image(self, image: Image) -> None:
        """Let `image` be the latest one. Safe from any thread.

        Images published before stay in the storage, for downloads that have begun.
        """
        self.objects[image.key] = image.stored
        self.image = image

    def replace_image(self, size: int | None, seed: int | None, *, in_place: bool) -> None:
        """Draw the next image and publish it. Safe from any thread."""
        before = self.image
        if before is None:
            before_size, before_seed, release = 64 * 2**20, self.settings.seed, 0
        else:
            content = before.stored.content
            before_size, before_seed, release = content.size, content.seed, before.release
        image = draw_image(
            before_size if size is None else size,
            seed=before_seed + 1 if seed is None else seed,
            release=release + 1,
            modified=datetime.now(UTC),
        )
        if in_place and before is not None:
            self.objects[before.key] = image.stored
        self.publish_image(image)

    def apply_change(self, key: str, change: str) -> None:
        """Let the stored object `key` be another one: with its metadata (`release`) or without (`object`)."""
        stored = self.objects.get(key)
        if stored is None:
            return
        if change == "release":
            self.replace_image(None, None, in_place=True)
        else:
            content = Content(stored.content.size, stored.content.seed + 1)
            self.objects[key] = evolve(stored, content=content, modified=datetime.now(UTC))

    def requests_to(self, route: str) -> tuple[RequestRecord, ...]:
        """Return the logged requests that a fault rule for `route` would match."""
        rule = parse_route(route)
        root = self.api_root
        return tuple(
            record
            for record in self.log.snapshot()
            if rule.matches(record.method, record.path.removeprefix(root), storage=record.origin == "storage")
        )
