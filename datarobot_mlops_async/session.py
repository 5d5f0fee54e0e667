"""The session: what users open, and the only thing they must close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import anyio

from datarobot_mlops_async._api import Api, Options, rebase
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._limiter import Limiter
from datarobot_mlops_async._retry import LONGEST_PAUSE, RetryPolicy
from datarobot_mlops_async._transport import HTTPClient
from datarobot_mlops_async.bulk import BulkStream, Run, planned_requests
from datarobot_mlops_async.operations import Operation, Poller, PollPolicy
from datarobot_mlops_async.resources import (
    CustomModelDeployments,
    DeletedDeployments,
    Deployments,
    PPSImage,
    ResourceBundles,
    Results,
)

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from types import TracebackType

    import httpx

    from datarobot_mlops_async.bulk import BulkOptions, Outcome, PlannedRequest

__all__ = ["AsyncSession", "SessionView"]

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")
DEFAULT_TIMEOUT = 60.0
DEFAULT_MAX_CONCURRENCY = 32


class SessionView:
    """What can be done with a session. `AsyncSession` is one; `with_options` gives others.

    Attributes:
        deployments: Routes under ``/deployments/``.
        deleted_deployments: Routes under ``/deletedDeployments/``.
        custom_model_deployments: Routes under ``/customModelDeployments/``.
        resource_bundles: Routes under ``/mlops/compute/bundles/``.
        pps_image: The Portable Prediction Server's image.
    """

    def __init__(self, api: Api, poller: Poller) -> None:
        self._api = api
        self._poller = poller
        self.deployments = Deployments(api, poller)
        self.deleted_deployments = DeletedDeployments(api, poller)
        self.custom_model_deployments = CustomModelDeployments(api, poller)
        self.resource_bundles = ResourceBundles(api, poller)
        self.pps_image = PPSImage(api, poller)

    @property
    def settings(self) -> Settings:
        """Where the session talks to, and how; safe to print and to pickle."""
        return self._api.settings

    def with_options(
        self, *, timeout: float | None = None, retry: RetryPolicy | int | None = None
    ) -> SessionView:
        """Return a view of this session with other clocks, for some calls only.

        ``await session.with_options(timeout=5).deployments.get(deployment_id)``. The view shares connections,
        limits and lifetime with its session.

        Args:
            timeout: Seconds for one attempt of a request, connecting included; ``None`` for the session's own.
            retry: Patience with one request, or just the number of retries; ``None`` for the session's own.
        """
        policy = None if retry is None else _policy(retry, self._api.options.retry)
        return SessionView(
            self._api.with_options(timeout=_check_timeout(timeout), retry=policy), self._poller
        )

    def operation(self, location: str) -> Operation[Any]:
        """Return the operation at a stored `Operation.location`, also one begun by another process.

        Its result is what its kind has: the refreshed `Deployment`, an `Artifact`, or ``None``.

        Args:
            location: As stored, or as a server sent it. Only the part behind ``/api/v2/`` counts.

        Raises:
            ProtocolError: It names nothing of this API.
            TypeError: It is not a string: an operation that was over at once has no location.
        """
        if not isinstance(location, str):
            raise TypeError(f"location must be a string, not {type(location).__name__}")
        locations = tuple(rebase(each) for each in location.split() or [""])
        return Operation(self._poller, locations, Results(self._api).any)

    @overload
    async def bulk(
        self,
        function: Callable[[I], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[I, T]]: ...

    @overload
    async def bulk(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[I, T]]: ...

    @overload
    async def bulk(
        self,
        function: Callable[[I], Any],
        items: Iterable[I] | AsyncIterable[I],
        *,
        dry_run: Literal[True],
        **options: Unpack[BulkOptions],
    ) -> list[PlannedRequest[I]]: ...

    async def bulk(
        self,
        function: Callable[[I], Any],
        items: Iterable[I] | AsyncIterable[I],
        *,
        dry_run: bool = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[I, Any]] | list[PlannedRequest[I]]:
        """Call a function for each of many items and wait for the operations that the calls begin.

        ::

            outcomes = await session.bulk(session.deployments.begin_deactivate, ids)
            outcomes = await session.bulk(lambda d: session.deployments.get(d.id), session.deployments.list())

        When it is cancelled nothing new is begun. Its result is lost then, but not what it found out:
        ``on_outcome`` has been called for every item that finished and is called, with the state
        ``unknown``, for those that were cut off where the server may have acted; and the journal has both.

        Args:
            function: Called with one item; any method of the session, or a lambda or ``functools.partial`` for
                more arguments. It should send at most one request that changes something: a call that is
                cut off after its first such request is of unknown state as a whole.
            items: Any iterable or asynchronous iterable, read only as fast as there is room. A plain one is
                read in the event loop and should not block.
            dry_run: Send nothing, write no journal, and return what would be sent first for each item that is left
                to do. What the input itself asks the server for is sent.
            options: How to do it, by keyword:

                - ``max_concurrency``: Items on their way at a time, their operations included; 16 unless given. The
                  session's own limits hold besides.
                - ``on_outcome``: Called with each outcome of this run when it is there. It must not block; what it
                  raises ends the run as soon as what was begun is over.
                - ``stop_on_error``: Begin nothing new after the first item that did not succeed.
                - ``journal``: A file to append to: an item's name before the first request that changes something is
                  sent for it, on the disk even if the power fails, an operation's location, and each outcome. Items
                  must be JSON data or have an ``id``. Read it with `read_journal`.
                - ``resume_from``: The path of a journal to go on from, and to write on in unless ``journal`` names
                  another; if it is not there yet, it is begun. The result then has all its items. Or outcomes of
                  earlier runs, as objects or lines. Items are known by their value (their JSON text, or that of
                  their ``id``). What was begun is followed to its end, whether or not the input names it.
                - ``repeat_unknown``: Call the function again also for items that are ``unknown`` and have no
                  location, or one that the server has forgotten. Only for what is harmless when done twice.
                - ``operation_timeout``: Seconds to wait for each operation, a clock of its own beside request
                  timeouts and retry budgets; ``None`` for no end, an hour unless given.
                - ``action``: What the journal calls the action, if not by the function's own name. Give one for
                  a lambda, which has none.

        Returns:
            The outcomes in the input's order, then those of a resumed run that the input did not name. Items that
            were not begun because the run was stopped have none. With ``dry_run`` the planned requests.

        Raises:
            JournalError: The file of ``resume_from`` or ``journal`` cannot be used, belongs to another action or
                endpoint, or another run is writing it; or it could not be written on.
            ValueError: ``resume_from`` holds no outcomes, or an argument is out of bounds. Nothing was called.
        """
        if dry_run:
            return await planned_requests(self._run(function, items, options))
        async with self.bulk_stream(function, items, **options) as stream:
            outcomes = [outcome async for outcome in stream]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    @overload
    def bulk_stream(
        self,
        function: Callable[[I], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, T]: ...

    @overload
    def bulk_stream(
        self,
        function: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, T]: ...

    def bulk_stream(
        self,
        function: Callable[[I], Any],
        items: Iterable[I] | AsyncIterable[I],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[I, Any]:
        """Do what `bulk` does and give the outcomes as they come, in no order.

        ::

            async with session.bulk_stream(session.deployments.begin_deactivate, ids) as outcomes:
                async for outcome in outcomes:
                    print(outcome.item, outcome.state)

        Outcomes are not kept: neither many items nor many outcomes fill the memory. What was not iterated
        over, when the ``async with`` was left early, is in `BulkStream.rest`.

        Args:
            function: See `bulk`.
            items: See `bulk`.
            options: Those of `bulk`.
        """
        return BulkStream(self._run(function, items, options))

    def _run(
        self, function: Callable[[I], Any], items: Iterable[I] | AsyncIterable[I], options: BulkOptions
    ) -> Run[I]:
        return Run(
            function=function,
            items=items,
            open_operation=self.operation,
            endpoint=self.settings.endpoint,
            **options,
        )


class AsyncSession(SessionView):
    """A session with a DataRobot installation: ``async with AsyncSession() as session: ...``

    It belongs to the event loop that enters it, may be shared by any number of its tasks, and leaves
    no task, thread, socket or file behind when it is closed. Works on asyncio, uvloop and trio.

    Args:
        endpoint: Base URL, with or without ``/api/v2``. With ``token`` left out as well, both are read from the
            first source that has them: ``config_file``, the file that ``DATAROBOT_CONFIG_FILE`` names, the
            environment (``DATAROBOT_ENDPOINT``, ``DATAROBOT_API_TOKEN``), ``~/.config/datarobot/drconfig.yaml``.
        token: API token. It goes to the endpoint's origin and nowhere else.
        token_type: ``Bearer`` (the default, unless the configuration says otherwise) or ``Token``.
        config_file: A ``drconfig.yaml`` to read.
        verify: ``True`` (the default, unless the configuration says otherwise), ``False`` to trust any server,
            or the path of a CA file.
        proxy: Proxy URL; by default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, ...).
        timeout: Seconds for one attempt of a request, connecting included.
        retry: Patience with one request, or just the number of retries.
        max_concurrency: The most requests in flight at a time; further ones wait their turn.
        strict: Raise `DecodeError` for everything that is tolerated by default: missing or unknown fields,
            unknown enum values, nulls and fractions where the API page promises otherwise.
        polling: How often to ask for the status of operations that are waited for.
        transport: An httpx transport to use instead of real connections, for tests. The session closes it.

    Raises:
        ConfigError: Settings are missing, contradictory or unsafe.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        *,
        token_type: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        verify: bool | str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | int | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        strict: bool = False,
        polling: PollPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        settings = Settings.load(
            endpoint, token, token_type=token_type, config_file=config_file, verify=verify, proxy=proxy
        )
        self._start(
            settings, timeout, retry, max_concurrency, strict=strict, polling=polling, transport=transport
        )

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | int | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        strict: bool = False,
        polling: PollPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Self:
        """Make a session from another one's settings, for example in a worker process.

        Settings are pickled without their token; the worker's own environment or configuration file
        must have one for the same endpoint.

        Raises:
            ConfigError: It has not.
        """
        session = cls.__new__(cls)
        session._start(  # noqa: SLF001 - a constructor
            settings.with_token(),
            timeout,
            retry,
            max_concurrency,
            strict=strict,
            polling=polling,
            transport=transport,
        )
        return session

    def _start(
        self,
        settings: Settings,
        timeout: float,
        retry: RetryPolicy | int | None,
        max_concurrency: int,
        *,
        strict: bool,
        polling: PollPolicy | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}")
        settings.warn_if_insecure()
        if retry is None:
            retry = RetryPolicy() if settings.max_retries is None else settings.max_retries
        api = Api(
            settings=settings,
            client=HTTPClient(settings, transport=transport),
            decoder=Decoder(strict=strict, secret=settings.token),
            limiter=Limiter(max_concurrency, longest_pause=LONGEST_PAUSE),
            options=Options(
                timeout=_check_timeout(timeout) or DEFAULT_TIMEOUT, retry=_policy(retry, RetryPolicy())
            ),
        )
        super().__init__(api, Poller(api, polling or PollPolicy()))

    async def __aenter__(self) -> Self:
        self._api.lifetime.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Harmless when repeated."""
        self._api.lifetime.close()
        # A cancelled task must still close its sockets.
        with anyio.CancelScope(shield=True):
            await self._api.client.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.settings.endpoint}>"


def _policy(retry: RetryPolicy | int, default: RetryPolicy) -> RetryPolicy:
    if isinstance(retry, RetryPolicy):
        return retry
    return RetryPolicy(
        max_retries=retry,
        budget=default.budget,
        initial_backoff=default.initial_backoff,
        max_backoff=default.max_backoff,
    )


def _check_timeout(timeout: float | None) -> float | None:
    # Not "timeout <= 0": that lets NaN through.
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
    return timeout
