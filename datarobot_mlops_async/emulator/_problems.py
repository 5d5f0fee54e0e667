"""The refusals of the API, in the shape in which the service words them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class Problem(Exception):  # noqa: N818 - an answer of the server, not an error of the program
    """A refusal with a status; `errors` names the fields at fault."""

    def __init__(self, status: int, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = dict(errors or {})


def invalid_field(name: str, reason: str, *, status: int = 422) -> Problem:
    """Return the refusal of one query parameter or body key."""
    return Problem(status, "Invalid field data", {name: reason})


def not_found(what: str) -> Problem:
    """Return the refusal for a resource that does not exist."""
    return Problem(404, f"{what} not found")


async def answer_problem(_request: Request, problem: Exception) -> JSONResponse:
    """Turn a `Problem` into its JSON answer."""
    # Starlette hands an exception handler the class it was registered for, but types it as Exception.
    refusal = cast("Problem", problem)
    body = {"message": refusal.message, "errors": refusal.errors}
    return JSONResponse(body, status_code=refusal.status)
