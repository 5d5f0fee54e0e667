"""Query parameters, read as strictly as the service reads them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ._problems import invalid_field

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class Parameters:
    """One request's query. What is wrong with it is refused with `status`."""

    def __init__(self, query: QueryParams, *, status: int = 422) -> None:
        self._query = query
        self._status = status

    def text(self, name: str) -> str | None:
        """Return the value, `None` where it was not sent."""
        value = self._query.get(name)
        if value is not None and "\x00" in value:
            raise invalid_field(name, "must not contain null bytes", status=self._status)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise invalid_field(name, "value can't be converted to int", status=self._status)
        return int(value)

    def boolean(self, name: str) -> bool | None:
        """Return one of the four spellings of a boolean that the page allows."""
        value = self.text(name)
        if value is None:
            return None
        if value not in _BOOLEANS:
            raise invalid_field(name, f"{value!r} is not a boolean", status=self._status)
        return _BOOLEANS[value]

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Return one of the allowed values."""
        value = self.text(name)
        if value is not None:
            self._check_choice(name, value, allowed)
        return value

    def joined(self, name: str, allowed: Collection[str] | None = None) -> frozenset[str] | None:
        """Return the values of an array filter: one key, values joined by commas."""
        value = self.text(name)
        if value is None:
            return None
        values = [part.strip() for part in value.split(",")]
        for part in values:
            if allowed is not None:
                self._check_choice(name, part, allowed)
        return frozenset(values)

    def repeated(self, name: str) -> frozenset[str] | None:
        """Return the values of a filter whose key is repeated."""
        values = self._query.getlist(name)
        return frozenset(values) if values else None

    def repeated_choice(self, name: str, allowed: Collection[str]) -> frozenset[str] | None:
        """Return the values of a filter whose key is repeated, each one of those allowed."""
        values = self.repeated(name)
        for value in sorted(values or ()):
            self._check_choice(name, value, allowed)
        return values

    def moment(self, name: str) -> datetime | None:
        """Return an ISO 8601 timestamp; one without a zone is taken as UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid_field(name, "value is not a valid datetime", status=self._status) from None

    def page(self, *, default: int, maximum: int, zero_is_all: bool = False) -> tuple[int, int]:
        """Return offset and limit; a limit of zero is `maximum` where the route says that it means all."""
        offset, limit = self.integer("offset"), self.integer("limit")
        if offset is not None and offset < 0:
            raise invalid_field("offset", "value is less than 0", status=self._status)
        limit = default if limit is None else limit
        if zero_is_all and limit == 0:
            limit = maximum
        if not 1 <= limit <= maximum:
            raise invalid_field("limit", f"value must be between 1 and {maximum}", status=self._status)
        return offset or 0, limit

    def _check_choice(self, name: str, value: str, allowed: Collection[str]) -> None:
        if value not in allowed:
            reason = f"{value!r} is not one of {', '.join(allowed)}"
            raise invalid_field(name, reason, status=self._status)


def path_id(request: Request, name: str) -> str:
    """Return an id from the path, decoded: routes are matched on the undecoded path."""
    return unquote(request.path_params[name])
