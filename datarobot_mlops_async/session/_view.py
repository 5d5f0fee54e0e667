"""What can be done with a session."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from attrs import frozen

from datarobot_mlops_async._api import secrets_of
from datarobot_mlops_async.session._routes import Routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping

    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._retry import RetryPolicy
    from datarobot_mlops_async.bulk import BulkOptions, BulkStream, Outcome, PlannedRequest, Run
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.resources import (
        CustomModelDeployments,
        DeletedDeployments,
        Deployments,
        PPSImage,
        ResourceBundles,
    )

Item = TypeVar("Item")
T = TypeVar("T")


@frozen(kw_only=True)
class Activity:
    """What a session and its views are doing at a moment.

    Attributes:
        requests: Requests in flight, those of downloads aside.
        queued: Requests that wait for a place in flight.
        operations: Operations that are waited for.
        timers: Polls and deadlines of operations that are yet to come.
    """

    requests: int = 0
    queued: int = 0
    operations: int = 0
    timers: int = 0


def _resource(name: str, what: str) -> cached_property[Any]:
    def make(self: Routes) -> object:
        return getattr(import_module("datarobot_mlops_async.resources"), name)(self._api, self._poller)

    make.__doc__, make.__annotations__["return"] = what, name
    return cached_property(make)


class SessionView(Routes):
    """What can be done with a session. `AsyncSession` is one; `with_options` gives others.

    Resources, downloads and bulk work are loaded when a session is entered, off the event loop.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.settings.endpoint}>"

    deployments: cached_property[Deployments] = _resource("Deployments", "Routes under ``/deployments/``.")
    deleted_deployments: cached_property[DeletedDeployments] = _resource(
        "DeletedDeployments", "Routes under ``/deletedDeployments/``."
    )
    custom_model_deployments: cached_property[CustomModelDeployments] = _resource(
        "CustomModelDeployments", "Routes under ``/customModelDeployments/``."
    )
    resource_bundles: cached_property[ResourceBundles] = _resource(
        "ResourceBundles", "Routes under ``/mlops/compute/bundles/``."
    )
    pps_image: cached_property[PPSImage] = _resource("PPSImage", "The Portable Prediction Server's image.")

    @property
    def settings(self) -> Settings:
        """Where the session talks to, and how; safe to print and to pickle."""
        return self._api.settings

    @property
    def activity(self) -> Activity:
        """What is going on, for health checks and graceful shutdowns; all of it is 0 when nothing is."""
        limiter, poller = self._api.limiter, self._poller
        return Activity(
            requests=limiter.in_flight, queued=limiter.queued, operations=poller.watched, timers=poller.timers
        )

    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | int | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> SessionView:
        """Return a view of this session with other options, for some calls only.

        ``await session.with_options(timeout=5).deployments.get(deployment_id)``. The view shares connections,
        limits and lifetime with its session. What is left out is the session's own.

        Args:
            timeout: Seconds for one attempt of a request, connecting included.
            retry: How a failed request is tried again, or just how often.
            headers: More header fields, for our own origin only.
            query: Names and values that stand in every query besides a request's own; a list repeats its name.
        """
        options = self._api.options.but(timeout=timeout, retry=retry, headers=headers, query=query)
        self._api.redactor.add(*secrets_of(options.headers))
        return SessionView(self._api.with_options(options), self._poller)

    @overload
    async def bulk(
        self,
        function: Callable[[Item], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[Item, T]]: ...

    @overload
    async def bulk(
        self,
        function: Callable[[Item], Awaitable[T]],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[Item, T]]: ...

    @overload
    async def bulk(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        dry_run: Literal[True],
        **options: Unpack[BulkOptions],
    ) -> list[PlannedRequest[Item]]: ...

    async def bulk(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        dry_run: bool = False,
        **options: Unpack[BulkOptions],
    ) -> list[Outcome[Item, Any]] | list[PlannedRequest[Item]]:
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
                  another; if it is not there yet, it is begun. The result then has all its items. A file without a
                  journal's first line is taken on trust, with a warning in the log. Or outcomes of
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
        from datarobot_mlops_async.bulk import planned_requests

        if dry_run:
            return await planned_requests(self._run(function=function, items=items, options=options))
        async with self.bulk_stream(function, items, **options) as stream:
            outcomes = [outcome async for outcome in stream]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    @overload
    def bulk_stream(
        self,
        function: Callable[[Item], Awaitable[Operation[T]] | Operation[T]],
        items: Iterable[Item] | AsyncIterable[Item],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[Item, T]: ...

    @overload
    def bulk_stream(
        self,
        function: Callable[[Item], Awaitable[T]],
        items: Iterable[Item] | AsyncIterable[Item],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[Item, T]: ...

    def bulk_stream(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item] | AsyncIterable[Item],
        **options: Unpack[BulkOptions],
    ) -> BulkStream[Item, Any]:
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
        from datarobot_mlops_async.bulk import BulkStream

        return BulkStream(self._run(function=function, items=items, options=options))

    def _run(self, **work: Any) -> Run[Any]:
        from datarobot_mlops_async.bulk import Run

        return Run(open_operation=self.operation, endpoint=self.settings.endpoint, **work)
