"""The answer to a request that starts a long-running operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ._links import links_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from ._faults import Fault
    from ._operations import Operation
    from ._world import World


def begin_operation(
    world: World,
    request: Request,
    kind: str,
    *,
    resource: str | None = None,
    then: Callable[[bool], None] | None = None,
) -> Operation:
    """Start an operation that lives as the settings, and a fault of this request, say.

    Args:
        world: Where it lives.
        request: The request that starts it.
        kind: What it is called.
        resource: Path of what it makes, below the endpoint; `None`: it ends without one.
        then: Told at the end whether it succeeded.
    """
    fault: Fault | None = request.scope["emulator.fault"]
    outcome = None if fault is None else fault.outcome
    finished_at_once = links_of(request).form == "none"
    return world.operations.begin(
        kind,
        seconds=0.0 if finished_at_once else world.settings.operation_seconds,
        resource=None if outcome is not None else resource,
        outcome=outcome or "COMPLETED",
        then=then,
    )


def answer_operation(
    request: Request, operation: Operation, *, status: int = 202, body: dict[str, str] | None = None
) -> Response:
    """Answer with the operation's place in `Location`."""
    headers = links_of(request).headers(f"status/{operation.status_id}/")
    if body is None:
        return Response(status_code=status, headers=headers)
    return JSONResponse(body, status_code=status, headers=headers)
