"""The caller's own functions that are told of each request, and may not change it."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from datarobot_mlops_async._api._answers import request_id
from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async.errors import MLOpsError

if TYPE_CHECKING:
    from datarobot_mlops_async._streaming import StreamingResponse
    from datarobot_mlops_async._transport import Response


A = TypeVar("A", bound="Response | StreamingResponse")


@frozen(kw_only=True)
class RequestInfo:
    """An attempt of a request, without its secrets.

    A download is many requests: for its address, and then for one piece after the other.

    Attributes:
        method: The HTTP method.
        route: The route, with names in the place of ids: ``/deployments/{deployment_id}/``. For all requests of a
            download it is the artifact's, wherever they lead; empty for an address outside of the API.
        url: Where it goes, without the query, which may be a signature.
        attempt: Number of the attempt, from 1; always 1 for a download, which asks for what is missing and never
            for the same again.
    """

    method: str
    route: str
    url: str
    attempt: int


@frozen(kw_only=True)
class ResponseInfo:
    """How an attempt of a request ended.

    Attributes:
        request: The attempt.
        status: The HTTP status code; ``None`` if no answer came.
        request_id: The server's id for the request; ``None`` if it sent none.
        error: The name of the error's class when no answer came, else ``None``.
        elapsed: Seconds, connecting included; for a download's requests until the body begins.
    """

    request: RequestInfo
    status: int | None
    request_id: str | None
    error: str | None
    elapsed: float


OnRequest = Callable[[RequestInfo], Awaitable[None] | None]
OnResponse = Callable[[ResponseInfo], Awaitable[None] | None]


@frozen(kw_only=True)
class Hooks:
    """Who is told of each request: the caller's own functions, and the log at DEBUG, relative to the endpoint."""

    endpoint: str
    on_request: OnRequest | None = None
    on_response: OnResponse | None = None

    @property
    def heard(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.on_request or self.on_response or logger.isEnabledFor(logging.DEBUG))

    async def watch(self, request: RequestInfo, send: Callable[[], Awaitable[A]]) -> A:
        """Send a request, and tell of it before and afterwards."""
        if self.on_request is not None:
            await _tell(self.on_request, request)
        answer, failed, started = None, None, time.perf_counter()
        try:
            answer = await send()
        except MLOpsError as error:
            failed = type(error).__name__
            raise
        else:
            return answer
        finally:
            end = ResponseInfo(
                request=request,
                status=answer.status if answer is not None else None,
                request_id=request_id(answer.headers) if answer is not None else None,
                error=failed,
                elapsed=time.perf_counter() - started,
            )
            self._log(end)
            if self.on_response is not None and (answer is not None or failed is not None):
                await _tell(self.on_response, end)

    def _log(self, end: ResponseInfo) -> None:
        logger.debug(
            "%s %s %s in %.1f ms (attempt %d, request id %s)",
            end.request.method,
            end.request.url.removeprefix(self.endpoint),
            end.status or end.error or "cancelled",
            end.elapsed * 1000,
            end.request.attempt,
            end.request_id,
        )


async def _tell(
    hook: Callable[[RequestInfo], object] | Callable[[ResponseInfo], object], info: object
) -> None:
    """Call a hook, plain or async. What it raises is logged, and the request goes on."""
    try:
        told = hook(info)  # type: ignore[arg-type] # each hook gets its own kind
        if inspect.isawaitable(told):
            await told
    except Exception:  # noqa: BLE001 - whatever it is, it is not the request's
        logger.warning("a hook has failed", exc_info=True)
