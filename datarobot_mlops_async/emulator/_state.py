"""Everything that the emulator remembers, shared by its routes and its storage."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from ._faults import NO_FAULT, parse_fault, parse_route
from ._fleet import Fleet
from ._objects import FileContent, Signer, StoredObject, drawn_content, given_content
from ._samples import HEALTHS, MESSAGES, GivenArchive, Image, Json, draw_image, seeded, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._emulator import Emulator
    from ._faults import Fault
    from ._fleet import Row
    from ._http import Request, RequestRecord

OUTCOMES = ("COMPLETED", "ERROR", "ABORTED", "EXPIRED")
# The part of an operation's life in which it waits to be taken up.
_QUEUED_SHARE = 0.2
_IMAGE_SIZE = 64 * 2**20
_STATUSES = ("passing", "warning", "failing", "unknown", "unavailable")
_STATUS_WEIGHTS = (50, 20, 15, 10, 5)
_KINDS = ("health", "predictions", "status", "added", "removed")
_KIND_WEIGHTS = (50, 25, 11, 7, 7)
_FLIPPED = {"active": "inactive", "inactive": "active"}
# However long nobody has looked, no request waits for more changes than this.
_MOST_AT_ONCE = 2000


@define(eq=False)
class RequestLog:
    """A thread-safe list of records, oldest first, bounded by their number and by their bytes."""

    _limit: int
    _byte_limit: int
    _bytes: int = 0
    _records: deque[RequestRecord] = field(factory=deque)
    _lock: threading.Lock = field(factory=threading.Lock)

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
        with self._lock:
            return tuple(self._records)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
            self._bytes = 0


def _size(record: RequestRecord) -> int:
    headers = sum(len(name) + len(value) for name, value in record.raw_headers)
    return len(record.body) + len(record.path) + len(record.query) + headers


@frozen(kw_only=True, eq=False)
class Operation:
    """One entry of `status/`. Its life is computed from the clock, so that ten thousand cost no timer.

    Attributes:
        resource: Path of the finished resource below the endpoint; `None`: it ends without one.
        outcome: The status it will end with.
    """

    status_id: str
    kind: str
    seconds: float
    resource: str | None = None
    outcome: str = "COMPLETED"
    created: datetime = field(factory=partial(datetime.now, UTC))
    started: float = field(factory=time.monotonic)

    def describe(self) -> dict[str, object]:
        """Return the body that `status/{statusId}/` answers now."""
        age = time.monotonic() - self.started
        running = "INITIALIZED" if age < self.seconds * _QUEUED_SHARE else "RUNNING"
        status = self.outcome if age >= self.seconds else running
        failed = status in OUTCOMES[1:]
        return {
            "statusId": self.status_id,
            "status": status,
            "message": f"{self.kind} did not complete." if failed else "",
            "code": 1 if failed else 0,
            "description": self.kind,
            "statusType": self.kind.replace(" ", ""),
            "created": timestamp(self.created, fraction=True),
        }


@define(eq=False)
class _Entry:
    fault: Fault
    matched: int = 0
    fired: int = 0


class FaultRegistry:
    """The rules in force, in the order in which they were made. Safe from any thread."""

    def __init__(self, seed: int) -> None:
        self._drawn = seeded(f"faults {seed}")
        self._entries: list[_Entry] = []
        self._lock = threading.RLock()  # a rule's condition may ask about other rules

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def counts(self) -> list[tuple[Fault, int]]:
        with self._lock:
            return [(entry.fault, entry.fired) for entry in self._entries]

    def draw(self, request: Request, path: str) -> Fault:
        """Return the rule that decides about a request that has just arrived."""
        with self._lock:
            for entry in tuple(self._entries):
                when = entry.fault.when
                if (
                    entry.fault.matches(request, path)
                    and (when is None or when(request))
                    and self._fires(entry)
                ):
                    return entry.fault
        return NO_FAULT

    def _fires(self, entry: _Entry) -> bool:
        fault = entry.fault
        entry.matched += 1
        if entry.matched <= fault.after or (fault.times is not None and entry.fired >= fault.times):
            return False
        if fault.probability < 1.0 and self._drawn.random() >= fault.probability:
            return False
        entry.fired += 1
        return True


class State:
    """The state of one emulator. Only the emulator's own thread changes it, except where it says so.

    Attributes:
        operations: Every operation ever started, by id, oldest first.
        deleted: Deleted deployments that have not been erased, oldest first.
        built: Scoring-code builds that are done: deployment and the options they include.
        prediction_logs: The deployment that a finished log request belongs to, by log id.
        objects: What the storage holds, by path.
        image: The latest image; `None`: there is none.
        bytes_sent: Bytes of stored objects that have been sent.
    """

    def __init__(self, settings: Emulator) -> None:
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
        self._drawn = seeded(f"drift {settings.seed}")
        self._drift_due = 0.0
        self._settled = time.monotonic()
        self.operations: dict[str, Operation] = {}
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._counter = itertools.count()
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
            content = GivenArchive(Path(settings.image_file))
            self._publish(Image(content=content, filename=content.path.name, modified=settings.epoch))
        elif settings.image_size is not None:
            self._publish(draw_image(settings.image_size, settings.seed, 0, settings.epoch))

    @property
    def api_root(self) -> str:
        """Path of the API below its origin, without a slash at the end."""
        return f"{self.settings.path_prefix}/api/v2"

    def begin(self, kind: str, *, effect: Callable[[], object] | None = None, **more: Any) -> Operation:
        operation = Operation(status_id=self.fleet.new_id(), kind=kind, **more)
        self.operations[operation.status_id] = operation
        if effect is not None:
            self._at(operation.started + operation.seconds, effect)
        return operation

    def begin_operation(self, seconds: float | None, outcome: str) -> str:
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, got {outcome!r}")
        seconds = self.settings.operation_seconds if seconds is None else seconds
        operation = self.begin("Operation", seconds=seconds, outcome=outcome)
        return f"status/{operation.status_id}/"

    def _at(self, moment: float, effect: Callable[[], object]) -> None:
        """Let something happen at a time of `time.monotonic()`; at the same time, what was said first."""
        heapq.heappush(self._due, (moment, next(self._counter), effect))

    def settle(self) -> None:
        """Let happen whatever is due by now: ends of operations, then drift."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        rate, before, self._settled = self.settings.drift_rate, self._settled, now
        self._drift_due = min(self._drift_due + (now - before) * rate, _MOST_AT_ONCE) if rate else 0.0
        self.drift(int(self._drift_due))
        self._drift_due %= 1

    def drift(self, count: int) -> None:
        """Change the fleet so many times by chance, drawn from the seed."""
        for _ in range(count):
            self._change_by_chance(self._drawn.choices(_KINDS, _KIND_WEIGHTS)[0])

    def _change_by_chance(self, kind: str) -> None:
        fleet = self.fleet
        if kind == "added" or not fleet:
            fleet.add({}, model_id=fleet.new_id())
            return
        row = next(itertools.islice(fleet, self._drawn.randrange(len(fleet)), None))
        status = row.body["status"]
        if kind == "removed" and status in _FLIPPED:
            self.delete(row)
        elif kind == "status" and status in _FLIPPED:
            fleet.change(row, status=_FLIPPED[status])
        elif kind == "health" and row.last_prediction is not None:
            self._change_health(row)
        else:
            fleet.predict(row.deployment_id)

    def _change_health(self, row: Row) -> None:
        name = self._drawn.choice(HEALTHS)
        before: Json = row.body[name]
        status = self._drawn.choices(_STATUSES, _STATUS_WEIGHTS)[0]
        if status == before["status"]:
            status = "failing" if status == "passing" else "passing"
        message = {"message": MESSAGES[status]} if "message" in before else {}
        self.fleet.change(row, **{name: before | {"status": status} | message})

    def delete(self, row: Row) -> None:
        """Delete a deployment, after the lag that is set."""
        if self.settings.deletion_lag:
            self._at(time.monotonic() + self.settings.deletion_lag, partial(self._remove, row))
        else:
            self._remove(row)

    def _remove(self, row: Row) -> None:
        if self.fleet.get(row.deployment_id) is None:
            return  # deleted twice while it lingered
        self.fleet.remove(row)
        now = timestamp(datetime.now(UTC), fraction=True)
        gone = {"id": row.deployment_id, "label": row.body["label"], "deletedAt": now}
        self.deleted[row.deployment_id] = gone

    def _publish(self, image: Image) -> None:
        # Images published before stay in the storage, for downloads that have begun.
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
        image = draw_image(size, seed, release, datetime.now(UTC))
        if in_place and before is not None:
            self.objects[before.key] = image
        self._publish(image)

    def apply_change(self, key: str, change: str) -> None:
        """Let the stored object `key` be another one: with its metadata (`release`) or without (`object`)."""
        stored = self.objects.get(key)
        if stored is None:
            return
        if change == "release":
            self.replace_image(None, None, in_place=True)
        else:
            content = drawn_content(stored.content.size, int(stored.content.etag[1:9], 16))
            self.objects[key] = evolve(stored, content=content, modified=datetime.now(UTC))

    def add_file(self, name: str, content: bytes | Path | int, **options: Any) -> StoredObject:
        """Put a file where `GET /files/NAME` finds it. Safe from any thread."""
        if isinstance(content, int):
            kept = drawn_content(content, self.settings.seed)
        else:
            kept = given_content(content) if isinstance(content, bytes) else FileContent(content)
        stored = StoredObject(
            content=kept, filename=name.rpartition("/")[2], modified=self.settings.epoch, **options
        )
        self.objects[f"/files/{name}"] = stored
        return stored

    def requests_to(self, route: str) -> tuple[RequestRecord, ...]:
        rule, root = parse_route(route), self.api_root
        return tuple(each for each in self.log.snapshot() if rule.matches(each, each.path.removeprefix(root)))
