"""The session: what users open, and the only thing they must close."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, overload

import anyio

from datarobot_mlops_async._api import (
    Api,
    Credentials,
    Options,
    Response,
    check_headers,
    is_whole_url,
    own_path,
    query_pairs,
    rebase,
    secrets_of,
)
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._limiter import Limiter
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async._retry import LONGEST_PAUSE, RetryPolicy
from datarobot_mlops_async._telemetry import log_as_told
from datarobot_mlops_async._transport import HTTPClient
from datarobot_mlops_async.artifacts import Artifact
from datarobot_mlops_async.bulk import BulkStream, Run, planned_requests
from datarobot_mlops_async.operations import Operation, Poller, PollPolicy
from datarobot_mlops_async.pagination import ListRequest, Paginator
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
    import ssl
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    import httpx

    from datarobot_mlops_async._api import OnRequest, OnResponse
    from datarobot_mlops_async._config import TokenSource
    from datarobot_mlops_async.bulk import BulkOptions, Outcome, PlannedRequest

__all__ = ["AsyncSession", "SessionView"]

Item = TypeVar("Item")
T = TypeVar("T")
_HTTP_URL = re.compile(r"https?://", re.IGNORECASE)
DEFAULT_TIMEOUT = 60.0
DEFAULT_MAX_CONCURRENCY = 32


class SessionOptions(TypedDict, total=False):
    """What a session may be told besides its settings; see `AsyncSession`."""

    headers: Mapping[str, str] | None
    timeout: float
    retry: RetryPolicy | int | None
    max_concurrency: int
    strict: bool
    on_request: OnRequest | None
    on_response: OnResponse | None
    polling: PollPolicy | None
    transport: httpx.AsyncBaseTransport | None


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
        before = self._api.options
        options = Options(
            timeout=_check_timeout(timeout) or before.timeout,
            retry=before.retry if retry is None else _policy(retry, before.retry),
            headers={**before.headers, **check_headers(headers or {})},
            query=(*before.query, *query_pairs(query)),
        )
        self._api.redactor.add(*secrets_of(options.headers))
        return SessionView(self._api.with_options(options), self._poller)

    @overload
    async def request(
        self, method: str, path: str, *, query: Mapping[str, object] | None = None, json: object = None
    ) -> Any: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type_: type[T],
        query: Mapping[str, object] | None = None,
        json: object = None,
    ) -> T: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        type_: Any = Any,
        query: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Any:
        """Send a request to a route that has no method of its own here.

        ::

            version = await session.request("GET", "version/")
            answer = await session.request("GET", "deployments/", type_=Response, query={"limit": 5})

        It has the retries, limits, token and errors of all others.

        Args:
            method: The HTTP method. Only GET, HEAD, PUT, DELETE and OPTIONS are repeated after a lost answer.
            path: Relative to ``/api/v2/``.
            type_: What the body decodes to: an attrs class (fields in snake_case), a list of them, ``Any`` for
                JSON as it is, or `Response` for status, headers, body and request id.
            query: Names and values; ``None`` is left out, a list repeats its name.
            json: The body; ``None`` for none.

        Returns:
            What ``type_`` says; ``None`` for an empty body with ``Any``.

        Raises:
            APIStatusError: The server refused.
            DecodeError: The body is not what ``type_`` says.
            TransportError: No answer arrived.
            ValueError: The path is a URL, or names nothing below ``/api/v2/``.
        """
        return await self._api.call(method, path, type_, query=query, json=json)

    def paginate(
        self, path: str, *, type_: type[T] | Any = Any, query: Mapping[str, object] | None = None
    ) -> Paginator[T]:
        """Return the list at a route that has no method of its own here.

        Args:
            path: Relative to ``/api/v2/``.
            type_: What each item decodes to, as for `request`.
            query: Filters and order; ``limit`` is the number of items to ask for at a time, 100 unless given.

        Raises:
            ValueError: The path is a URL, names nothing below ``/api/v2/``, or ``limit`` is no number.
        """
        pairs = query_pairs(query)
        limits = [int(value) for name, value in pairs if name == "limit"]
        rest = tuple(pair for pair in pairs if pair[0] not in {"limit", "offset"})
        request = ListRequest(
            route=own_path(path),
            item_type=type_,
            ids={},
            query=rest,
            key=None,
            page_size=limits[-1] if limits else 100,
        )
        return Paginator(self._api, request)

    async def begin(
        self, method: str, path: str, *, json: object = None, query: Mapping[str, object] | None = None
    ) -> Operation[Any]:
        """Begin a long-running operation at a route that has no method of its own here.

        The answer's ``Location`` names it; without one it was over at once. Its result is that of `operation`.

        Args:
            method: The HTTP method.
            path: Relative to ``/api/v2/``.
            json: The body; ``None`` for none.
            query: As for `request`.

        Raises:
            APIStatusError: The server refused.
            ValueError: The path is a URL, or names nothing below ``/api/v2/``.
        """
        answer = await self._api.call(method, path, Response, query=query, json=json)
        self._api.require_ok(answer, f"{method} /{path}")
        location = answer.headers.get("location")
        return Operation(self._poller, (rebase(location),) if location else (), Results(self._api).any)

    def artifact(
        self,
        path_or_urls: str | Sequence[str],
        *,
        filename: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
    ) -> Artifact:
        """Return something to download that no method here names.

        Args:
            path_or_urls: A path relative to ``/api/v2/``; or an absolute URL, which gets no token and no header of
                the session, wherever it leads; or several addresses of the same bytes, which are asked in place of
                the first where ``sha256`` can judge what they send.
            filename: Its file name; ``None`` to take the server's.
            size: Its size in bytes, where known.
            sha256: Its SHA-256 in hexadecimal, where known.

        Raises:
            ValueError: The address is none.
        """
        address, *mirrors = [path_or_urls] if isinstance(path_or_urls, str) else path_or_urls or [""]
        whole = is_whole_url(address)
        if not all(_HTTP_URL.match(each) for each in (mirrors if not whole else [address, *mirrors])):
            raise ValueError("artifact: an address is no http(s) URL, and only the first may be a path")
        return Artifact(
            self._api,
            address if whole else own_path(address),
            filename=filename,
            size=size,
            sha256=sha256,
            mirrors=tuple(mirrors),
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
        if dry_run:
            return await planned_requests(self._run(function, items, options))
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
        return BulkStream(self._run(function, items, options))

    def _run(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item] | AsyncIterable[Item],
        options: BulkOptions,
    ) -> Run[Item]:
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
        endpoint: Base URL, with or without ``/api/v2``; or whole settings. With ``token`` left out as
            well, both are read from the first source that has them: ``config_file``, the file that
            ``DATAROBOT_CONFIG_FILE`` names, the environment (``DATAROBOT_ENDPOINT``, ``DATAROBOT_API_TOKEN`` or
            ``DATAROBOT_API_TOKEN_FILE``), ``~/.config/datarobot/drconfig.yaml``.
        token: API token. It goes to the endpoint's origin and nowhere else. Or a callable, plain or async, that
            returns one, or one and when it expires (seconds since the epoch, or an aware ``datetime``). It is
            asked by one request at a time, again before the token expires, and again after a 401, whose
            request is then repeated once.
        token_type: ``Bearer`` (the default, unless the configuration says otherwise) or ``Token``.
        config_file: A ``drconfig.yaml`` to read.
        verify: ``True`` (the default, unless the configuration says otherwise), ``False`` to trust any server,
            the path of a CA file or directory, or an ``ssl.SSLContext``. For hosts other than the endpoint's (the
            storage that downloads lead to) it is added to the system's trusted authorities.
        cert: A client certificate: the path of a file with certificate and key, or a tuple of the certificate's
            path, the key's and, where it has one, the key's password.
        proxy: Proxy URL; by default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, ...).
        headers: Header fields for every request to the endpoint's origin, such as a gateway's key. ``User-Agent``
            names the application, before the library.
        timeout: Seconds for one attempt of a request, connecting included.
        retry: How a failed request is tried again, or just how often.
        max_concurrency: The most requests in flight at a time; further ones wait their turn.
        strict: Raise `DecodeError` for everything that is tolerated by default: missing or unknown fields,
            unknown enum values, nulls and fractions where the API page promises otherwise.
        on_request: Called, plain or async, with a `RequestInfo` before each attempt of an API call. What it
            raises is logged; it should not block.
        on_response: Called with a `ResponseInfo` after each attempt, answered or not.
        polling: How often to ask for the status of operations that are waited for.
        transport: An httpx transport to use instead of real connections, for tests. The session closes it.

    Raises:
        ConfigError: Settings are missing, contradictory or unsafe.
    """

    def __init__(
        self,
        endpoint: str | Settings | None = None,
        token: str | TokenSource | None = None,
        *,
        token_type: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext | None = None,
        cert: str | os.PathLike[str] | tuple[str, ...] | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | int | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        strict: bool = False,
        on_request: OnRequest | None = None,
        on_response: OnResponse | None = None,
        polling: PollPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        settings = (
            endpoint
            if isinstance(endpoint, Settings)
            else Settings.load(
                endpoint,
                token,
                token_type=token_type,
                config_file=config_file,
                verify=verify,
                cert=cert,
                proxy=proxy,
            )
        )
        log_as_told()
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}")
        settings.warn_if_insecure()
        if retry is None:
            retry = RetryPolicy() if settings.max_retries is None else settings.max_retries
        own = check_headers(headers or {})
        redactor = Redactor([settings.token, *secrets_of(own)])
        api = Api(
            settings=settings,
            client=HTTPClient(settings, transport=transport),
            decoder=Decoder(strict=strict, redactor=redactor),
            limiter=Limiter(max_concurrency, longest_pause=LONGEST_PAUSE),
            options=Options(
                timeout=_check_timeout(timeout) or DEFAULT_TIMEOUT,
                retry=_policy(retry, RetryPolicy()),
                headers=own,
            ),
            redactor=redactor,
            credentials=Credentials(settings, redactor),
            on_request=on_request,
            on_response=on_response,
        )
        super().__init__(api, Poller(api, polling or PollPolicy()))

    @classmethod
    def from_settings(cls, settings: Settings, **options: Unpack[SessionOptions]) -> Self:
        """Make a session from another one's settings, for example in a worker process.

        Settings are pickled without their token; the worker's own environment or configuration file
        must have one for the same endpoint.

        Args:
            settings: From `SessionView.settings`.
            options: Those of `AsyncSession`, from ``headers`` on.

        Raises:
            ConfigError: It has not.
        """
        return cls(settings.with_token(), **options)

    @classmethod
    async def open(cls, *arguments: Any, **options: Any) -> Self:
        """Open a session that is closed by `aclose`, where ``async with`` does not fit: ``await AsyncSession.open()``.

        Args:
            arguments: Those of `AsyncSession`.
            options: The same.
        """
        session = cls(*arguments, **options)
        return await session.__aenter__()

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
