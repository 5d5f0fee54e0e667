"""The API client that all resources share."""

from __future__ import annotations

import json as jsonlib
import re
import time
import warnings
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import Factory, define, evolve, field, frozen

from datarobot_mlops_async._api._addresses import (
    Query,
    encode_query,
    is_whole_url,
    own_path,
    rebase,
    route_of,
    route_path,
)
from datarobot_mlops_async._api._answers import readable, status_error
from datarobot_mlops_async._api._hooks import Hooks, RequestInfo
from datarobot_mlops_async._api._lifetime import Lifetime
from datarobot_mlops_async._api._options import RequestHeaders
from datarobot_mlops_async._config import origin_of
from datarobot_mlops_async._counting import current_counter
from datarobot_mlops_async._limiter import Limiter, PausedError, Slot
from datarobot_mlops_async._retry import IDEMPOTENT_METHODS, Retries
from datarobot_mlops_async._telemetry import Telemetry, telemetry_for
from datarobot_mlops_async._transport import Response, without_query
from datarobot_mlops_async.errors import (
    ConnectError,
    DecodeError,
    MLOpsError,
    ProtocolError,
    RateLimitError,
    ServerDeprecationWarning,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datarobot_mlops_async._api._credentials import Credentials
    from datarobot_mlops_async._api._options import Options
    from datarobot_mlops_async._config import Settings
    from datarobot_mlops_async._counting import RequestCounter
    from datarobot_mlops_async._decoding import Decoder, RawPage
    from datarobot_mlops_async._redaction import Redactor
    from datarobot_mlops_async._transport import HTTPClient

T = TypeVar("T")
D = TypeVar("D")
_NO_BODY: Any = object()
_METHOD = re.compile(r"[A-Za-z]+")
_NO_IDS: Mapping[str, str] = MappingProxyType({})


@define(kw_only=True, eq=False, repr=False)
class _Call:
    """A request on its way: what each attempt sends, and what is known after those before."""

    method: str
    url: str
    operation: str
    headers: Mapping[str, str]
    content: bytes
    retries: Retries
    counter: RequestCounter | None
    authorization: str
    answer_lost: bool = False
    renewed: bool = False

    @property
    def number(self) -> int:
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
    redactor: Redactor
    credentials: Credentials
    hooks: Hooks
    _deprecated: set[str] = field(factory=set)
    _headers: RequestHeaders = field(
        init=False,
        repr=False,
        default=Factory(lambda self: RequestHeaders(self.options.headers), takes_self=True),
    )
    _query: str = field(
        init=False,
        repr=False,
        default=Factory(lambda self: encode_query(self.options.query), takes_self=True),
    )

    def with_options(self, options: Options) -> Self:
        """Return a view of the same session with other options."""
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
        """Send a request to a documented route, with an id for each name in it: ``deployments/{deployment_id}/``.

        With ``gone_is_done`` a 404 is returned when an earlier attempt, whose answer was lost, may have caused it.

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
        return self.decode(response, type_, f"GET /{route}")

    async def call(self, method: str, path: str, type_: type[T], *, query: object, json: object) -> T:
        """Send a request to any path and decode its answer; ``Response`` gives the answer itself."""
        if not _METHOD.fullmatch(method):
            raise ValueError(f"method must be an HTTP method, not {method!r}")
        path = own_path(path, query)
        operation = f"{method.upper()} /{route_of(path)}"
        body = _NO_BODY if json is None else json
        response = await self._send(method.upper(), path, operation, body)
        if type_ is Response:
            return cast("T", response)
        if type_ is Any and not response.content and response.status < 300:
            return cast("T", None)
        return self.decode(response, type_, operation)

    def url_of(self, path: str) -> str:
        """Return the URL of a path and query that are relative to the API's root."""
        joint = ("&" if "?" in path else "?") if self._query else ""
        return f"{self.settings.endpoint}/{path}{joint}{self._query}"

    def url_of_bytes(self, path_or_url: str) -> str:
        """Return the URL of an artifact: a whole URL stays what it is, and never gets the token."""
        return path_or_url if is_whole_url(path_or_url) else self.url_of(path_or_url)

    def owns(self, url: str) -> bool:
        """Tell whether a URL is of the endpoint's origin: the token and our headers go nowhere else."""
        return origin_of(url) == self.settings.origin

    async def headers_for_bytes(self) -> dict[str, str]:
        """Return the header fields of a request for an artifact from our own origin, the token among them."""
        authorization = self.credentials.known or await self.credentials.get(self.options.timeout)
        return {**self._headers.for_bytes(authorization), **self.telemetry.headers()}

    def decode(self, response: Response, type_: type[T], operation: str) -> T:
        """Decode an answer's body.

        Raises:
            ProtocolError: The answer is a redirect.
            DecodeError: The body is not what the API page promises.
        """
        return self._decode(self.decoder.decode, response, type_, operation)  # type: ignore[no-any-return] # of type_

    def decode_page(self, response: Response, item_type: type[T], operation: str) -> RawPage[T]:
        """Decode one page of a list, as `decode` does."""
        return self._decode(self.decoder.decode_page, response, item_type, operation)

    def _decode(self, decode: Callable[..., D], response: Response, type_: Any, operation: str) -> D:
        self.require_ok(response, operation)
        try:
            return decode(response.content, type_, operation=operation)
        except DecodeError as error:
            error.method, _, error.route = operation.partition(" ")
            error.request_id = response.request_id
            raise

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
        has_body = json is not _NO_BODY
        if (counter := current_counter()) is not None:
            counter.plan(method, path, json if has_body else None)
        authorization = self.credentials.known or await self.credentials.get(self.options.timeout)
        call = _Call(
            method=method,
            url=self.url_of(path),
            operation=operation,
            authorization=authorization,
            headers=self._headers.get(authorization, has_body=has_body),
            content=jsonlib.dumps(json, ensure_ascii=False, allow_nan=False).encode() if has_body else b"",
            retries=Retries(operation, self.options.retry, idempotent=method in IDEMPOTENT_METHODS),
            counter=counter,
        )
        try:
            return await call.retries.run(partial(self._attempt, call))
        except MLOpsError as error:
            if gone_is_done and call.answer_lost and getattr(error, "status", None) == 404:
                return Response(status=404, headers={}, content=b"")
            error.method, error.route = method, operation.partition(" ")[2]
            raise

    async def _attempt(self, call: _Call) -> Response:
        queued = time.monotonic()
        slot = Slot(self.limiter, budget=call.retries.budget_left)
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
        if response.status == 401 and await self._renew_token(call):
            return await self._attempt(call)
        raise failure

    async def _renew_token(self, call: _Call) -> bool:
        """Give a refused request another token, once; ``False`` where that is no use."""
        if call.renewed or not await self.credentials.renew(call.authorization, self.options.timeout):
            return False
        call.renewed = True
        call.authorization = await self.credentials.get(self.options.timeout)
        call.headers = self._headers.get(call.authorization, has_body="content-type" in call.headers)
        return True

    async def _exchange(self, call: _Call) -> Response:
        if not self.hooks.heard:
            return await self._send_once(call)
        route = call.operation.partition(" ")[2]
        request = RequestInfo(
            method=call.method, route=route, url=without_query(call.url), attempt=call.number
        )
        return await self.hooks.watch(request, partial(self._send_once, call))

    async def _send_once(self, call: _Call) -> Response:
        try:
            with self.telemetry.request(call.operation, url=call.url, attempt=call.number) as tell:
                headers = call.headers
                if more := self.telemetry.headers():
                    headers = {**headers, **more}
                response = await self.client.send(
                    call.method, call.url, headers=headers, content=call.content, timeout=self.options.timeout
                )
                tell(status=response.status)
        except TransportError as error:
            error.attempts = call.number
            call.failed(error, answer_lost=not isinstance(error, ConnectError))
            raise
        if "deprecation" in response.headers:
            self._warn_once(call.operation, response.headers["deprecation"])
        return response

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
