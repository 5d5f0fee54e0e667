"""The refusals of the API, in the shape in which the service words them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._http import Answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Problem(Exception):  # noqa: N818 - an answer of the server, not an error of the program
    """A refusal with a status; `errors` names the fields at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self._status = status
        self._body = {"message": message, "errors": dict(errors or {})}
        self._headers = headers

    def answer(self) -> Answer:
        """Return the answer that says so."""
        return json_answer(self._body, self._status, self._headers)


def invalid_field(name: str, reason: str, *, status: int = 422) -> Problem:
    """Return the refusal of one query parameter or body key."""
    return Problem(status, "Invalid field data", {name: reason})


def not_found(what: str | None = None) -> Problem:
    """Return the refusal for a resource, or a route, that does not exist."""
    return Problem(404, "Not Found" if what is None else f"{what} not found")
