"""The emulator as a thing that can be started, looked at and stopped."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from attrs import define, field

from ._app import build_app
from ._content import ContentDiscardedError
from ._rules import parse_fault
from ._serving import ServerThread, listen
from ._settings import Settings
from ._world import World

if TYPE_CHECKING:
    from types import TracebackType

    from ._faults import Fault
    from ._fleet import FleetChange
    from ._log import RequestRecord


@define(kw_only=True, slots=False, eq=False)
class Emulator(Settings):
    """A DataRobot in this process, on real sockets, for tests, demonstrations and benchmarks.

        with Emulator(deployments=50) as emulator:
            os.environ["DATAROBOT_ENDPOINT"] = emulator.endpoint
            os.environ["DATAROBOT_API_TOKEN"] = emulator.token

    Its servers run in a background thread with an event loop of their own, so that it can be used
    from any framework and from blocking code. State and request log survive `stop`; `start` goes on
    with them on the same ports.
    """

    _world: World = field(init=False, repr=False)
    _server: ServerThread | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        self._world = World(self)
        for rule in self.faults:
            self.fault(rule)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        self._world.api_origin = f"http://{host}:{self.port}"
        self._world.storage_origin = f"http://{host}:{self.storage_port}"
        self._world.stopping.clear()
        self._server = ServerThread(self._world, build_app(self._world), api=api, storage=storage)
        self._server.start()

    def stop(self) -> None:
        """Close every connection and both ports. Stopping twice does nothing."""
        if self._server is not None:
            self._world.stopping.set()
            self._server.stop()
            self._server = None

    @property
    def endpoint(self) -> str:
        """What a client takes as its endpoint, such as `http://127.0.0.1:40123/api/v2`."""
        self._check_started()
        return f"{self._world.api_origin}{self._world.api_root}"

    @property
    def storage_endpoint(self) -> str:
        """Origin of the object storage that the image is fetched from."""
        self._check_started()
        return self._world.storage_origin

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The request log, oldest first: a snapshot."""
        return self._world.log.snapshot()

    def requests_to(self, route: str) -> tuple[RequestRecord, ...]:
        """Return the logged requests of a route, `METHOD ROUTE` as in a fault rule, oldest first.

        Examples: `GET /deployments/*/`, `* /status/**`, `GET storage`.
        """
        return self._world.requests_to(route)

    def clear_requests(self) -> None:
        """Forget the requests logged so far."""
        self._world.log.clear()

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
        self._world.replace_image(size, seed, in_place=in_place)

    def fault(self, rule: str, **words: Any) -> Fault:
        """Let requests go wrong from now on, after the rules that are in force already.

        Args:
            rule: Method, route and any words of the vocabulary; see `describe_vocabulary()`, or
                `python -m datarobot_mlops_async.emulator --help`.
            **words: More words, with `_` for `-`: `status=503, retry_after=1, times=2`.

        Returns:
            The rule, for `fault_count`.

        Raises:
            ValueError: The rule does not follow the vocabulary.
        """
        fault = parse_fault(rule, **words)
        self._world.faults.add(fault)
        return fault

    def fault_count(self, fault: Fault) -> int:
        """Return how many requests a rule in force has hit."""
        return self._world.faults.fired(fault)

    def clear_faults(self) -> None:
        """Lift every rule. What they have changed stays changed."""
        self._world.faults.clear()

    def expire_signatures(self) -> None:
        """Let every signed URL issued so far be refused as expired."""
        self._world.signer.revoke()

    def predict(self, deployment_id: str) -> None:
        """Let a prediction request arrive: the deployment moves to the front of the default order.

        Raises:
            KeyError: There is no such deployment.
        """
        row = self._world.fleet.get(deployment_id)
        if row is None:
            raise KeyError(deployment_id)
        self._call(self._world.fleet.predict, row)

    def drift(self, changes: int = 1) -> None:
        """Let the fleet go through changes now, as with `drift_rate` it does by itself.

        Health, predictions and statuses change; deployments come and go. `changes` tells which.
        """
        self._call(self._world.drift.change, changes)

    @property
    def changes(self) -> tuple[FleetChange, ...]:
        """What has happened to the fleet, by requests and by drift, oldest first: the last 10,000."""

        def settled() -> tuple[FleetChange, ...]:
            self._world.settle()
            return tuple(self._world.fleet.changes)

        return cast("tuple[FleetChange, ...]", self._call(settled))

    def prepare(self) -> None:
        """Do now what is otherwise done when it is first asked for: the image's digest and the fleet.

        It takes seconds a GiB, and 3 s for 20,000 deployments, in the caller's thread. It ends early
        when the emulator stops.
        """
        self._world.fleet.draw_everything()
        image = self._world.image
        if image is not None:
            with suppress(ContentDiscardedError):
                image.stored.content.sha256(self._world.stopping)

    def _check_started(self) -> None:
        if not self._world.api_origin:
            raise RuntimeError("the emulator has not been started")

    def _call(self, function: Any, *arguments: Any) -> Any:
        if self._server is None:
            return function(*arguments)
        return self._server.call(function, *arguments)
