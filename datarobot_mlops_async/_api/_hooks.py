"""The caller's own functions that are told of each request, and may not change it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen

from datarobot_mlops_async._api._answers import request_id
from datarobot_mlops_async._telemetry import logger
from datarobot_mlops_async._transport import without_query

if TYPE_CHECKING:
    from datarobot_mlops_async._api._call import Call
    from datarobot_mlops_async._transport import Response


@frozen(kw_only=True)
class RequestInfo:
    """An attempt of a request, without its secrets.

    Attributes:
        method: The HTTP method.
        route: The route, with names in the place of ids: ``/deployments/{deployment_id}/``.
        url: Where it goes, without the query.
        attempt: Number of the attempt, from 1.
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
        elapsed: Seconds, connecting included.
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
    """What a session's caller wants to be told of."""

    on_request: OnRequest | None = None
    on_response: OnResponse | None = None

    async def request(self, call: Call) -> None:
        """Tell of an attempt that is about to be sent."""
        await _tell(self.on_request, _info(call))

    async def response(
        self, call: Call, response: Response | None, error: str | None, elapsed: float
    ) -> None:
        """Tell how an attempt ended: with an answer or an error."""
        info = ResponseInfo(
            request=_info(call),
            status=response.status if response is not None else None,
            request_id=request_id(response.headers) if response is not None else None,
            error=error,
            elapsed=elapsed,
        )
        await _tell(self.on_response, info)


def _info(call: Call) -> RequestInfo:
    return RequestInfo(
        method=call.method,
        route=call.operation.partition(" ")[2],
        url=without_query(call.url),
        attempt=call.number,
    )


async def _tell(hook: Callable[[Any], object] | None, info: object) -> None:
    """Call a hook, plain or async. What it raises is logged, and the request goes on."""
    try:
        told = hook(info) if hook is not None else None
        if inspect.isawaitable(told):
            await told
    except Exception:  # noqa: BLE001 - whatever it is, it is not the request's
        logger.warning("a hook has failed", exc_info=True)
