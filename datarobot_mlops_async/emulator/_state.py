"""Everything that the emulator remembers, shared by its routes and its storage."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ._fleet import Drift, Fleet
from ._http import RequestRecord, not_found
from ._image import Image, draw_image, given_image
from ._inputs import path_id
from ._objects import FileContent, Signer, StoredObject, drawn_content, given_content
from ._operations import OUTCOMES, Operations
from ._rules import FaultRegistry, parse_fault, parse_route
from ._samples import Json, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._fleet import Row
    from ._http import Request, RequestRecord
    from ._settings import Settings


class RequestLog:
    """A thread-safe list of records, oldest first, bounded by their number and by their bytes."""

    def __init__(self, limit: int, byte_limit: int) -> None:
        self._limit = limit
        self._byte_limit = byte_limit
        self._bytes = 0
        self._records: deque[RequestRecord] = deque()
        self._lock = threading.Lock()

    def append(self, record: RequestRecord) -> None:
        """Add a record; the oldest ones leave when the log is full. The newest one always stays."""
        with self._lock:
            self._records.append(record)
            self._bytes += _size(record)
            while len(self._records) > 1 and (
                len(self._records) > self._limit or self._bytes > self._byte_limit
            ):
                self._bytes -= _size(self._records.popleft())

    def snapshot(self) -> tuple[RequestRecord, ...]:
        """Return what is in the log now."""
        with self._lock:
            return tuple(self._records)

    def clear(self) -> None:
        """Forget every record."""
        with self._lock:
            self._records.clear()
            self._bytes = 0


def _size(record: RequestRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.raw_headers)
    return len(record.body) + len(record.path) + len(record.query) + headers


_IMAGE_SIZE = 64 * 2**20


class State:
    """The state of one emulator. Only the emulator's own thread changes it, except where it says so.

    Attributes:
        deleted: Deleted deployments that have not been erased, oldest first.
        built: Scoring-code builds that are done: deployment and the options they include.
        prediction_logs: The deployment that a finished log request belongs to, by log id.
        objects: What the storage holds, by path.
        image: The latest image; `None`: there is none.
        bytes_sent: Bytes of stored objects that have been sent.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.signer = Signer()
        self.api_origin = ""
        self.storage_origin = ""
        self.reset()

    def reset(self) -> None:
        """Be as new: fleet, operations, objects, faults and log are those of the settings."""
        settings = self.settings
        self.fleet = Fleet(settings.deployments, seed=settings.seed, epoch=settings.epoch)
        self.drift = Drift(self.fleet, self.delete, settings.seed)
        self.operations = Operations(self.fleet.new_id)
        self.log = RequestLog(settings.log_limit, settings.log_bytes)
        self.faults = FaultRegistry(settings.seed)
        for rule in settings.faults:
            self.faults.add(parse_fault(rule))
        self.deleted: dict[str, Json] = {}
        self.built: set[tuple[str, frozenset[str]]] = set()
        self.prediction_logs: dict[str, str] = {}
        self.objects: dict[str, StoredObject] = {}
        self.image: Image | None = None
        self.bytes_sent = 0
        if settings.image_file is not None:
            self.publish_image(given_image(Path(settings.image_file), modified=settings.epoch))
        elif settings.image_size is not None:
            self.publish_image(
                draw_image(settings.image_size, seed=settings.seed, release=0, modified=settings.epoch)
            )

    @property
    def api_root(self) -> str:
        """Path of the API below its origin, without a slash at the end."""
        return f"{self.settings.path_prefix}/api/v2"

    def deployment(self, request: Request) -> Row:
        """Return the deployment that a path names."""
        row = self.fleet.get(path_id(request, "deployment_id"))
        if row is None:
            raise not_found("Deployment")
        return row

    def begin_operation(self, seconds: float | None, outcome: str) -> str:
        """Start an operation that nothing comes of; return its path."""
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        seconds = self.settings.operation_seconds if seconds is None else seconds
        operation = self.operations.begin("Operation", seconds=seconds, outcome=outcome)
        return f"status/{operation.status_id}/"

    def settle(self) -> None:
        """Let happen whatever is due by now: ends of operations, then drift."""
        self.operations.settle()
        self.drift.settle(self.settings.drift_rate)

    def delete(self, row: Row) -> None:
        """Delete a deployment, after the lag that is set."""
        if self.settings.deletion_lag:
            self.operations.at(time.monotonic() + self.settings.deletion_lag, partial(self._remove, row))
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

    def erase(self, deployment_ids: Iterable[str]) -> None:
        """Forget deleted deployments."""
        for deployment_id in deployment_ids:
            self.deleted.pop(deployment_id, None)

    def publish_image(self, image: Image) -> None:
        """Let `image` be the latest one. Safe from any thread.

        Images published before stay in the storage, for downloads that have begun.
        """
        self.objects[image.key] = image
        self.image = image

    def replace_image(self, size: int | None, seed: int | None, *, in_place: bool) -> None:
        """Draw the next image and publish it. Safe from any thread."""
        before = self.image
        if size is None:
            size = _IMAGE_SIZE if before is None else before.content.size
        if seed is None:
            seed = (self.settings.seed if before is None else before.seed) + 1
        release = 1 if before is None else before.release + 1
        image = draw_image(size, seed=seed, release=release, modified=datetime.now(UTC))
        if in_place and before is not None:
            self.objects[before.key] = image
        self.publish_image(image)

    def apply_change(self, key: str, change: str) -> None:
        """Let the stored object `key` be another one: with its metadata (`release`) or without (`object`)."""
        stored = self.objects.get(key)
        if stored is None:
            return
        if change == "release":
            self.replace_image(None, None, in_place=True)
        else:
            content = drawn_content(stored.content.size, int(stored.content.etag[:8], 16))
            self.objects[key] = evolve(stored, content=content, modified=datetime.now(UTC))

    def add_file(self, name: str, content: bytes | Path | int, **options: Any) -> StoredObject:
        """Put a file where `GET /files/NAME` finds it. Safe from any thread."""
        match content:
            case int():
                kept = drawn_content(content, self.settings.seed)
            case bytes():
                kept = given_content(content)
            case _:
                kept = FileContent(content)
        stored = StoredObject(
            content=kept,
            filename=name.rpartition("/")[2],
            content_type="application/octet-stream",
            modified=self.settings.epoch,
            **options,
        )
        self.objects[f"/files/{name}"] = stored
        return stored

    def requests_to(self, route: str) -> tuple[RequestRecord, ...]:
        """Return the logged requests that a fault rule for `route` would match."""
        rule = parse_route(route)
        return tuple(
            record
            for record in self.log.snapshot()
            if rule.matches(
                record.method, record.path.removeprefix(self.api_root), storage=record.origin == "storage"
            )
        )
