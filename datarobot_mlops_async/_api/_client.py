"""The API client that all resources share."""

from __future__ import annotations

import asyncio
import json as jsonlib
import logging
import sys
import time
import warnings
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio.lowlevel
from attrs import Factory, define, evolve, field, frozen

from datarobot_mlops_async._api._addresses import Query, rebase, route_of, route_path
from datarobot_mlops_async._api._answers import readable, request_id, status_error
from datarobot_mlops_async._config import origin_of
from datarobot_mlops_async._counting import RequestCounter, current_counter
from datarobot_mlops_async._limiter import Limiter, PausedError
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async._retry import IDEMPOTENT_METHODS, Retries, RetryPolicy
from datarobot_mlops_async._telemetry import Telemetry, logger, telemetry_for
from datarobot_mlops_async._transport import Response, without_query
from datarobot_mlops_async.errors import (
    APIStatusError,
    ConnectError,
    MLOpsError,
    ProtocolError,
    RateLimitError,
    ServerDeprecationWarning,
    SessionStateError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._decoding import Decoder
    from datarobot_mlops_async._transport import HTTPClient

T = TypeVar("T")
_NO_BODY: Any = object()
_NO_IDS: Mapping[str, str] = MappingProxyType({})
_USER_AGENT = "datarobot-mlops-async"


@frozen(kw_only=True)
class Options:
    """What a caller may set for some calls only.

    Attributes:
        timeout: Seconds for one attempt of a request, connecting included.
        retry: Patience with one request.
    """

    timeout: float
    retry: RetryPolicy


class Lifetime:
    """Where and how long a session may be used: in the event loop that entered it, until it is closed."""

    def __init__(self) -> None:
        self._loop: object = None
        self._closed = False

    def enter(self) -> None:
        """Tie the session to the running event loop."""
        if self._loop is not None or self._closed:
            raise SessionStateError("a session can be entered once: make a new AsyncSession")
        self._loop = _event_loop()

    def close(self) -> None:
        """Forbid further use."""
        self._closed = True

    def check(self) -> None:
        """Raise unless the session can be used here and now.

        Raises:
            SessionStateError: The session was not entered, is closed, or belongs to another event loop.
        """
        if self._closed:
            raise SessionStateError(
                "the session is closed: use it inside its own 'async with AsyncSession()'"
            )
        if self._loop is None:
            raise SessionStateError("the session is not open: use 'async with AsyncSession() as session'")
        if self._loop != _event_loop():
            raise SessionStateError(
                "the session belongs to another event loop (a second asyncio.run() or another thread): "
                "make one AsyncSession in each"
            )


def _event_loop() -> object:
    try:
        # A tenth of the time that anyio's token takes.
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token()


@define(kw_only=True, eq=False)
class _Call:
    """A request on its way: what each attempt sends, and what is known after those before."""

    method: str
    url: str
    operation: str
    headers: Mapping[str, str]
    content: bytes
    retries: Retries
    counter: RequestCounter | None
    answer_lost: bool = False

    @property
    def number(self) -> int:
        """Number of the attempt, from 1."""
        return self.retries.failures + 1

    def failed(self, error: MLOpsError, *, answer_lost: bool) -> None:
        """Note that an attempt failed after it was sent, or on the way."""
        self.answer_lost = self.answer_lost or answer_lost
        if self.counter is not None:
            self.counter.failed(self.method, error)


@frozen(kw_only=True)
class Api:
    """One session's way to the service. Resources hold it; `with_options` gives a view with other clocks."""

    settings: Settings
    client: HTTPClient
    decoder: Decoder
    limiter: Limiter
    options: Options
    lifetime: Lifetime = field(factory=Lifetime)
    telemetry: Telemetry = field(
        default=Factory(lambda self: telemetry_for(self.settings.endpoint), takes_self=True)
    )
    _deprecated: set[str] = field(factory=set)
    # The transport renders the same mapping once only.
    _headers: Mapping[str, str] = field(init=False, repr=False)
    _headers_with_body: Mapping[str, str] = field(init=False, repr=False)

    @_headers.default
    def _make_headers(self) -> Mapping[str, str]:
        return {
            "authorization": self.settings.authorization,
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": _USER_AGENT,
        }

    @_headers_with_body.default
    def _make_headers_with_body(self) -> Mapping[str, str]:
        return {**self._headers, "content-type": "application/json"}

    redactor: Redactor = field(default=Factory(lambda self: Redactor([self.settings.token]), takes_self=True))

    def with_options(self, *, timeout: float | None = None, retry: RetryPolicy | None = None) -> Self:
        """Return a view of the same session with other clocks."""
        options = Options(
            timeout=self.options.timeout if timeout is None else timeout,
            retry=self.options.retry if retry is None else retry,
        )
        return evolve(self, options=options)

    async def send(
        self,
        method: str,
        route: str,
        *,
        query: Query = (),
        json: object = _NO_BODY,
        ids: Mapping[str, str] = _NO_IDS,
        gone_is_done: bool = False,
    ) -> Response:
        """Send a request to a documented route.

        Args:
            method: The HTTP method.
            route: For example ``deployments/{deployment_id}/``.
            query: Names and values as they go out.
            json: The body.
            ids: A value for each name in the route.
            gone_is_done: Return a 404 when an earlier attempt, whose answer was lost, may have caused it.

        Returns:
            An answer with a status below 400.

        Raises:
            TransportError: No answer arrived.
            APIStatusError: The answer's status is 400 or more.
        """
        path = route_path(route, ids, query)
        return await self._send(method, path, f"{method} /{route}", json, gone_is_done=gone_is_done)

    async def follow(self, location: str) -> Response:
        """GET what a ``Location`` or ``next`` names, on our own endpoint whatever host it names."""
        path = rebase(location)
        return await self._send("GET", path, f"GET /{route_of(path)}", _NO_BODY)

    async def get(
        self, type_: type[T], route: str, *, query: Query = (), ids: Mapping[str, str] = _NO_IDS
    ) -> T:
        """GET a documented route and decode its answer."""
        response = await self.send("GET", route, query=query, ids=ids)
        operation = f"GET /{route}"
        self.require_ok(response, operation)
        return self.decoder.decode(response.content, type_, operation=operation)

    def url_of(self, path: str) -> str:
        """Return the absolute URL of a path and query that are relative to the API's root."""
        return f"{self.settings.endpoint}/{path}"

    def authorization_for(self, url: str) -> str | None:
        """Return the ``Authorization`` header's value for a URL: ``None`` off the endpoint's origin."""
        return self.settings.authorization if origin_of(url) == self.settings.origin else None

    @property
    def user_agent(self) -> str:
        """The ``User-Agent`` header's value."""
        return _USER_AGENT

    def require_ok(self, response: Response, operation: str) -> None:
        """Raise unless the answer can have the documented body.

        Raises:
            ProtocolError: It is a redirect. None is followed: the token would go where the answer says.
        """
        if response.status >= 300:
            target = without_query(response.headers.get("location", ""))
            raise ProtocolError(
                f"{operation}: answered {response.status}, a redirect to {target or 'nowhere'}; if that is the "
                "service, set the endpoint to it",
                method=operation.partition(" ")[0],
                url=self.settings.endpoint,
            )

    async def _send(
        self, method: str, path: str, operation: str, json: object, *, gone_is_done: bool = False
    ) -> Response:
        self.lifetime.check()
        if (counter := current_counter()) is not None:
            counter.plan(method, path, None if json is _NO_BODY else json)
        has_body = json is not _NO_BODY
        call = _Call(
            method=method,
            url=self.url_of(path),
            operation=operation,
            headers=self._headers_with_body if has_body else self._headers,
            content=jsonlib.dumps(json, ensure_ascii=False, allow_nan=False).encode() if has_body else b"",
            retries=Retries(operation, self.options.retry, idempotent=method in IDEMPOTENT_METHODS),
            counter=counter,
        )
        try:
            return await call.retries.run(partial(self._attempt, call))
        except APIStatusError as error:
            if error.status == 404 and call.answer_lost and gone_is_done:
                return Response(status=404, headers={}, content=b"")
            raise

    async def _attempt(self, call: _Call) -> Response:
        queued = time.monotonic()
        slot = self.limiter.slot(patience=call.retries.patience)
        try:
            async with slot as started:
                call.retries.begin(slot.since)
                self.telemetry.queued(started - queued)
                if call.counter is not None:
                    await call.counter.sending(call.method)
                response = await self._exchange(call)
        except PausedError as error:
            raise self._not_sent(call, error.remaining) from None
        if response.status < 400:
            self.limiter.succeeded()
            return response
        failure = status_error(
            status=response.status,
            headers=response.headers,
            body=response.content,
            method=call.method,
            url=call.url,
            attempts=call.number,
            redactor=self.redactor,
        )
        if response.status in {429, 503}:
            self.limiter.overloaded(started=started, retry_after=failure.retry_after)
        call.failed(failure, answer_lost=response.status in {502, 504})
        raise failure

    async def _exchange(self, call: _Call) -> Response:
        response, started = None, time.perf_counter()
        try:
            with self.telemetry.request(call.operation, url=call.url, attempt=call.number) as watch:
                response = await self.client.send(
                    call.method,
                    call.url,
                    headers=call.headers,
                    content=call.content,
                    timeout=self.options.timeout,
                )
                watch.tell(status=response.status)
        except TransportError as error:
            error.attempts = call.number
            call.failed(error, answer_lost=not isinstance(error, ConnectError))
            raise
        finally:
            if logger.isEnabledFor(logging.DEBUG):
                self._log(call, response, time.perf_counter() - started)
        if "deprecation" in response.headers:
            self._warn_once(call.operation, response.headers["deprecation"])
        return response

    def _log(self, call: _Call, response: Response | None, seconds: float) -> None:
        error = sys.exc_info()[1]
        outcome = (
            response.status
            if response is not None
            else type(error).__name__
            if isinstance(error, MLOpsError)
            else "cancelled"
        )
        logger.debug(
            "%s %s %s in %.1f ms (attempt %d, request id %s)",
            call.method,
            without_query(call.url).removeprefix(self.settings.endpoint),
            outcome,
            seconds * 1000,
            call.number,
            request_id(response.headers) if response is not None else None,
        )

    def _not_sent(self, call: _Call, remaining: float) -> RateLimitError:
        return RateLimitError(
            f"not sent: the server asked this session to wait, for another {remaining:.0f} s, which "
            f"is beyond the retry budget of {self.options.retry.budget:g} s",
            status=429,
            method=call.method,
            url=without_query(call.url),
            retry_after=remaining,
            attempts=call.number,
        )

    def _warn_once(self, operation: str, deprecation: str) -> None:
        if operation in self._deprecated:
            return
        self._deprecated.add(operation)
        sentence = "" if deprecation.strip().lower() in {"", "true"} else f": {readable(deprecation)}"
        warnings.warn(
            f"the server says that {operation} is deprecated{sentence}",
            ServerDeprecationWarning,
            stacklevel=2,
        )
