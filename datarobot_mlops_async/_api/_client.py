"""The API client that all resources share."""

from __future__ import annotations

import json as jsonlib
import logging
import time
import warnings
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio.lowlevel
from attrs import Factory, evolve, field, frozen

from datarobot_mlops_async._api._addresses import Query, rebase, route_of, route_path
from datarobot_mlops_async._api._answers import readable, request_id, status_error
from datarobot_mlops_async._config import origin_of
from datarobot_mlops_async._counting import current_counter
from datarobot_mlops_async._limiter import Limiter, PausedError
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async._retry import IDEMPOTENT_METHODS, RetryPolicy, call_with_retries
from datarobot_mlops_async._telemetry import Telemetry, telemetry_for
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
logger = logging.getLogger("datarobot_mlops_async")
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
        self._loop = anyio.lowlevel.current_token()

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
        if self._loop != anyio.lowlevel.current_token():
            raise SessionStateError(
                "the session belongs to another event loop (a second asyncio.run() or another thread): "
                "make one AsyncSession in each"
            )


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
        return await self._send("GET", path, f"GET /{route_of(path)}", _NO_BODY, gone_is_done=False)

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
        self, method: str, path: str, operation: str, json: object, *, gone_is_done: bool
    ) -> Response:
        self.lifetime.check()
        if (counter := current_counter()) is not None:
            counter.plan(method, path, None if json is _NO_BODY else json)
        url = self.url_of(path)
        headers = {
            "authorization": self.settings.authorization,
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": _USER_AGENT,
        }
        content = b""
        if json is not _NO_BODY:
            headers["content-type"] = "application/json"
            content = jsonlib.dumps(json, ensure_ascii=False, allow_nan=False).encode()
        answer_lost = False

        async def attempt(number: int, elapsed: float) -> Response:
            nonlocal answer_lost
            try:
                return await self._attempt(
                    method, url, headers, content, operation, number=number, elapsed=elapsed
                )
            except APIStatusError as error:
                if error.status == 404 and answer_lost and gone_is_done:
                    return Response(status=404, headers={}, content=b"")
                answer_lost = answer_lost or error.status in {502, 504}
                raise
            except MLOpsError as error:
                answer_lost = answer_lost or not isinstance(error, ConnectError)
                raise

        return await call_with_retries(attempt, self.options.retry, idempotent=method in IDEMPOTENT_METHODS)

    async def _attempt(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        content: bytes,
        operation: str,
        *,
        number: int,
        elapsed: float,
    ) -> Response:
        safe_url = without_query(url)
        counter = current_counter()
        asked = time.monotonic()
        try:
            async with self.limiter.slot(patience=self.options.retry.budget - elapsed) as started:
                self.telemetry.queued(started - asked)
                if counter is not None:
                    await counter.sending(method)
                with self.telemetry.request(operation, url=url, attempt=number) as watch:
                    try:
                        response = await self._logged_exchange(method, url, headers, content, number)
                    except MLOpsError as error:
                        if counter is not None:
                            counter.failed(method, error)
                        raise
                    watch.tell(status=response.status)
        except PausedError as error:
            raise RateLimitError(
                f"not sent: the server asked this session to wait, for another {error.remaining:.0f} s, which "
                f"is beyond the retry budget of {self.options.retry.budget:g} s",
                status=429,
                method=method,
                url=safe_url,
                retry_after=error.remaining,
                attempts=number,
            ) from None
        if "deprecation" in response.headers:
            self._warn_once(operation, response.headers["deprecation"])
        if response.status < 400:
            self.limiter.succeeded()
            return response
        failure = status_error(
            status=response.status,
            headers=response.headers,
            body=response.content,
            method=method,
            url=url,
            attempts=number,
            redactor=self.redactor,
        )
        if response.status in {429, 503}:
            self.limiter.overloaded(started=started, retry_after=failure.retry_after)
        if counter is not None:
            counter.failed(method, failure)
        raise failure

    async def _logged_exchange(
        self, method: str, url: str, headers: dict[str, str], content: bytes, number: int
    ) -> Response:
        started = time.perf_counter()
        outcome, id_ = "cancelled", None
        try:
            response = await self.client.send(
                method, url, headers=headers, content=content, timeout=self.options.timeout
            )
            outcome, id_ = str(response.status), request_id(response.headers)
        except MLOpsError as error:
            outcome = type(error).__name__
            if isinstance(error, TransportError):
                error.attempts = number
            raise
        finally:
            if logger.isEnabledFor(logging.DEBUG):
                path = without_query(url).removeprefix(self.settings.endpoint)
                duration = (time.perf_counter() - started) * 1000
                logger.debug(
                    "%s %s %s in %.1f ms (attempt %d, request id %s)",
                    method,
                    path,
                    outcome,
                    duration,
                    number,
                    id_,
                )
        return response

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
