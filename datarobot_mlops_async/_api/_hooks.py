"""The caller's own functions that are told of each request, and may not change it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from attrs import frozen

from datarobot_mlops_async._telemetry import logger


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


async def tell(
    hook: Callable[[RequestInfo], object] | Callable[[ResponseInfo], object], info: object
) -> None:
    """Call a hook, plain or async. What it raises is logged, and the request goes on."""
    try:
        told = hook(info)  # type: ignore[arg-type] # each hook gets its own kind
        if inspect.isawaitable(told):
            await told
    except Exception:  # noqa: BLE001 - whatever it is, it is not the request's
        logger.warning("a hook has failed", exc_info=True)
