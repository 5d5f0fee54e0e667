"""The emulator as a thing that can be started, looked at and stopped."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from attrs import Attribute, Factory, define, field, fields
from attrs.validators import and_, gt, instance_of, matches_re, optional

from . import _api_deployments, _api_others  # noqa: F401 - they fill the table of routes
from ._faults import parse_fault
from ._server import ServerThread, listen
from ._state import State

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ._faults import Fault
    from ._fleet import FleetChange
    from ._http import Request, RequestRecord

T = TypeVar("T")


def _check(is_fine: Callable[[Any], bool], wording: str, error: type[Exception] = ValueError) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: Any) -> None:
        if not is_fine(value):
            raise error(f"{attribute.name} must {wording}, got {value!r}")

    return check


def _number(wording: str, *kinds: type) -> Any:
    """Check for a number from 0 up; booleans are integers only to Python."""
    is_number = _check(
        lambda value: isinstance(value, kinds) and not isinstance(value, bool), wording, TypeError
    )
    return and_(is_number, _check(lambda value: value >= 0, "not be negative"))


def _one_of(*allowed: object) -> Any:
    return _check(allowed.__contains__, f"be one of {allowed}")


_COUNT = _number("be a whole number", int)
_SECONDS = _number("be a number", int, float)
_TEXT = instance_of(str)
_AWARE = _check(lambda moment: moment.tzinfo is not None, "carry a time zone")


def _setting(meaning: str, default: Any = None, check: Any = None, option: str = "", **more: Any) -> Any:
    """Declare a setting; `option` is what stands for its value on the command line, where it is an option."""
    return field(default=default, validator=check, metadata={"meaning": meaning, "option": option}, **more)


@define(kw_only=True, slots=False, eq=False)
class Emulator:
    """A DataRobot in this process, on real sockets, for tests, demonstrations and benchmarks.

    ::

        with Emulator(deployments=50) as emulator:
            os.environ["DATAROBOT_ENDPOINT"] = emulator.endpoint
            os.environ["DATAROBOT_API_TOKEN"] = emulator.token

    Its servers run in a background thread with an event loop of their own, so that it can be used
    from any framework and from blocking code. State and request log survive `stop`; `start` goes on
    with them on the same ports.

    Every setting may be changed while it runs, unless its text says that it is fixed.
    """

    deployments: int = _setting("How many deployments there are at the start (250). Fixed.", 250, _COUNT, "N")
    image_size: int | None = _setting(
        "Size of the image (64MiB), None for none. Fixed, see replace_image.", 2**26, optional(_COUNT), "SIZE"
    )
    # It returns an attrs field, which ruff cannot see.
    image_file: str | Path | None = _setting("A file to serve as the image. Fixed.", option="FILE")  # noqa: RUF009
    # The same seed is the same fleet, but for the timestamps, and the ids, which begin with one.
    seed: int = _setting("What everything but the timestamps is drawn from (0). Fixed.", 0, option="N")
    epoch: datetime = _setting(  # noqa: RUF009
        "The moment that timestamps of the fleet lead up to, by default now. Fixed.",
        *(Factory(lambda: datetime.now(UTC).replace(second=0, microsecond=0)), _AWARE),
    )
    host: str = _setting("Address to listen on (127.0.0.1). Fixed.", "127.0.0.1", _TEXT, "TEXT")
    port: int = _setting("Port of the API (any free one, of the command 8642). Fixed.", 0, _COUNT, "PORT")
    storage_port: int = _setting("Port of the object storage (any free one). Fixed.", 0, _COUNT, "PORT")
    path_prefix: str = _setting("What stands before /api/v2, as behind a gateway. Fixed.", "", _TEXT)
    tls: ssl.SSLContext | None = _setting("The servers' side of TLS, None for HTTP. Fixed.")  # noqa: RUF009
    token: str = _setting(
        "The API token that is accepted (emulator-token): setting another one revokes it.",
        *("emulator-token", _TEXT, "TEXT"),
        repr=False,
    )
    version: str = _setting("What version/ answers.", "2.49.0", matches_re(r"\d+(\.\d+)*"))
    latency: float = _setting("Time before every answer of the API (0).", 0.0, _SECONDS, "TIME")
    operation_seconds: float = _setting("How long operations take from now on (1s).", 1.0, _SECONDS, "TIME")
    drift_rate: float = _setting("Changes a second of the fleet by itself (0).", 0.0, _SECONDS, "RATE")
    deletion_lag: float = _setting("How long deleted deployments are still there (0).", 0.0, _SECONDS, "TIME")
    signature_seconds: float = _setting("Life of a signed URL from now on (15m).", 900.0, _SECONDS, "TIME")
    image_redirect: int | None = _setting(
        "Status with which the image's route points at the storage, None for the API serving it itself.",
        *(302, _one_of(None, 301, 302, 303, 307, 308)),
    )
    storage_rate: float | None = _setting(
        "Bytes a second that the storage sends on one connection (no limit).",
        *(None, optional(gt(0)), "SIZE"),
    )
    scoring_code_size: int = _setting("Size of a scoring-code archive in bytes, about.", 2**17, _COUNT)
    resource_bundles: bool = _setting("Whether the organization has resource bundles, 403 otherwise.", True)
    can_create: bool = _setting("Whether the user may create deployments, 403 otherwise.", True)
    can_erase: bool = _setting("Whether the user may see and erase deleted deployments, 403 otherwise.", True)
    max_deployments: int | None = _setting("The quota, 409 above it (none).", None, optional(_COUNT))
    dialect: Literal["page", "older", "newer"] = _setting(
        "Age of the server: like the page, older with fields missing, newer with more fields and values (page).",
        *("page", _one_of("page", "older", "newer"), "page|older|newer"),
    )
    faults: Sequence[str] = _setting("Fault rules in force from the start, see fault. Fixed.", ())
    log_limit: int = _setting("How many requests the log keeps. Fixed.", 100_000, gt(0))
    log_bytes: int = _setting("How many bytes of requests it keeps, the last always. Fixed.", 2**26, gt(0))

    _state: State = field(init=False, repr=False)
    _server: ServerThread | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        self._state = State(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start serving; the ports are known and connections are accepted when this returns.

        Raises:
            RuntimeError: It is running already.
            OSError: A port is taken.
        """
        if self._server is not None:
            raise RuntimeError("the emulator is running already")
        api = listen(self.host, self.port)
        try:
            storage = listen(self.host, self.storage_port)
        except OSError:
            api.close()
            raise
        self.port, self.storage_port = api.getsockname()[1], storage.getsockname()[1]
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "http" if self.tls is None else "https"
        self._state.api_origin = f"{scheme}://{host}:{self.port}"
        self._state.storage_origin = f"{scheme}://{host}:{self.storage_port}"
        self._state.stopping.clear()
        self._server = ServerThread(self._state, {"api": api, "storage": storage})

    def stop(self) -> None:
        """Close every connection and both ports. Stopping twice does nothing."""
        if self._server is not None:
            self._state.stopping.set()
            self._server.stop()
            self._server = None

    @property
    def endpoint(self) -> str:
        """What a client takes as its endpoint, such as `http://127.0.0.1:40123/api/v2`."""
        self._check_started()
        return f"{self._state.api_origin}{self._state.api_root}"

    @property
    def storage_endpoint(self) -> str:
        """Origin of the object storage that the image is fetched from."""
        self._check_started()
        return self._state.storage_origin

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The request log, oldest first: a snapshot."""
        return self._state.log.snapshot()

    def requests_to(self, route: str) -> tuple[RequestRecord, ...]:
        """Return the logged requests of a route, `METHOD ROUTE` as in a fault rule, oldest first.

        Examples: `GET /deployments/*/`, `* /status/**`, `GET storage`.
        """
        return self._state.requests_to(route)

    def clear_requests(self) -> None:
        """Forget the requests logged so far."""
        self._state.log.clear()

    def replace_image(
        self, size: int | None = None, *, seed: int | None = None, in_place: bool = False
    ) -> None:
        """Let "latest" move: metadata and image are those of a new release from now on.

        Args:
            size: Size of the new image in bytes; default: as before.
            seed: Its seed; default: the next one.
            in_place: The storage holds the new bytes, with a new ETag, under the URLs issued before,
                too. By default those go on serving the old image.
        """
        self._state.replace_image(size, seed, in_place=in_place)

    def fault(
        self,
        rule: str,
        *,
        when: Callable[[Request], bool] | None = None,
        before: Callable[[], object] | None = None,
        **words: Any,
    ) -> Fault:
        """Let requests go wrong from now on, after the rules that are in force already.

        Args:
            rule: Method, route and any words of the vocabulary; see `describe_vocabulary()`, or
                `python -m datarobot_mlops_async.emulator --fault help`.
            when: Which of the requests that method and route match; called in the emulator's thread.
            before: Called in a thread before anything is answered.
            **words: More words, with `_` for `-`: `status=503, retry_after=1, times=2`.

        Returns:
            The rule, for `fault_count`.

        Raises:
            ValueError: The rule does not follow the vocabulary, or cannot match any request.
        """
        fault = parse_fault(rule, when=when, before=before, **words)
        self._state.faults.add(fault)
        return fault

    def fault_count(self, fault: Fault) -> int:
        """Return how many requests a rule in force has hit."""
        return sum(fired for each, fired in self._state.faults.counts() if each is fault)

    @property
    def unused_faults(self) -> tuple[str, ...]:
        """The rules in force that have not hit any request, except by chance."""
        counts = self._state.faults.counts()
        return tuple(str(fault) for fault, fired in counts if not fired and fault.probability == 1.0)

    def clear_faults(self) -> None:
        """Lift every rule. What they have changed stays changed."""
        self._state.faults.clear()

    def expire_signatures(self) -> None:
        """Let every signed URL issued so far be refused as expired."""
        self._state.signer.revoke()

    def begin_operation(self, seconds: float | None = None, *, outcome: str = "COMPLETED") -> str:
        """Start an operation that no request has asked for, and that nothing comes of.

        Args:
            seconds: How long it takes; default: `operation_seconds`.
            outcome: The status that it will end with: `COMPLETED`, `ERROR`, `ABORTED` or `EXPIRED`.

        Returns:
            Its path below the endpoint, `status/ID/`.

        Raises:
            ValueError: There is no such outcome.
        """
        return self._call(self._state.begin_operation, seconds, outcome)

    def predict(self, deployment_id: str) -> None:
        """Let a prediction request arrive: the deployment moves to the front of the default order.

        Raises:
            KeyError: There is no such deployment.
        """
        self._call(self._state.fleet.predict, deployment_id)

    def drift(self, changes: int = 1) -> None:
        """Let the fleet go through changes now, as with `drift_rate` it does by itself.

        Health, predictions and statuses change; deployments come and go. `changes` tells which.
        """
        self._call(self._state.drift, changes)

    @property
    def changes(self) -> tuple[FleetChange, ...]:
        """What has happened to the fleet, by requests and by drift, oldest first: the last 10,000."""
        self._call(self._state.settle)
        return self._call(lambda: tuple(self._state.fleet.changes))

    def reset(self) -> None:
        """Be as new, on the same ports: fleet, operations, files, faults and log are those of the start.

        Settings stay as they are now. It costs a few milliseconds for a fleet of 250.
        """
        self._call(self._state.reset)

    def add_file(self, name: str, content: bytes | Path | int, **options: Any) -> str:
        """Serve a file of your own at `files/NAME`, by a redirect to the storage.

        Args:
            name: Path below `files/`.
            content: Its bytes, a file, or a length in bytes for which it is drawn.
            **options: `direct=True`: the API serves it itself; `has_etag=False`: it has no validator;
                `extra_headers`: headers of every answer; `location`: makes another address of the
                signed one that the API redirects to.

        Returns:
            The SHA-256 of its bytes, hexadecimal.
        """
        return self._state.add_file(name, content, **options).content.sha256()

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the image and of files have been sent since the start."""
        return self._state.bytes_sent

    def prepare(self) -> None:
        """Do now what is otherwise done when it is first asked for: the image's digest and the fleet.

        It takes seconds a GiB, and 3 s for 20,000 deployments, in the caller's thread. The
        digest is given up when the emulator stops.
        """
        self._state.fleet.draw_everything()
        image = self._state.image
        if image is not None:
            with suppress(InterruptedError):
                image.metadata(self._state.stopping)

    def _check_started(self) -> None:
        if not self._state.api_origin:
            raise RuntimeError("the emulator has not been started")

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._server is None:
            return function(*arguments)
        return self._server.call(function, *arguments)


_MEANINGS = [f"    {each.name}: {each.metadata['meaning']}" for each in fields(Emulator) if each.metadata]
Emulator.__doc__ = "\n".join([cleandoc(Emulator.__doc__ or ""), "", "Attributes:", *_MEANINGS])
