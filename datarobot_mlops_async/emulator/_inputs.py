"""What a client sends, in the query and in the body, read as strictly as the service reads it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from ._http import Problem, invalid_field

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ._http import Request

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
# JSON can word what no text can contain.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Parameters:
    """One request's query. What is wrong with it is refused with `status`."""

    def __init__(self, request: Request, *, status: int = 422) -> None:
        self._query = parse_qs(request.query, keep_blank_values=True) if request.query else {}
        self._status = status

    def text(self, name: str) -> str | None:
        """Return the value, the last one where there are several, `None` where it was not sent."""
        value = self._query[name][-1] if name in self._query else None
        if value is not None and "\x00" in value:
            raise self._refusal(name, "must not contain null bytes")
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        value = self.text(name)
        if value is not None and not _INTEGER.fullmatch(value):
            raise self._refusal(name, "value can't be converted to int")
        return None if value is None else int(value)

    def boolean(self, name: str) -> bool | None:
        """Return one of the four spellings of a boolean that the page allows."""
        value = self.text(name)
        if value is not None and value not in _BOOLEANS:
            raise self._refusal(name, f"{value!r} is not a boolean")
        return None if value is None else _BOOLEANS[value]

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Return one of the allowed values."""
        value = self.text(name)
        self._check(name, () if value is None else (value,), allowed)
        return value

    def joined(self, name: str, allowed: Collection[str] | None = None) -> frozenset[str] | None:
        """Return the values of an array filter: one key, values joined by commas."""
        value = self.text(name)
        if value is None:
            return None
        values = [part.strip() for part in value.split(",")]
        self._check(name, values, allowed)
        return frozenset(values)

    def repeated(self, name: str, allowed: Collection[str] | None = None) -> frozenset[str] | None:
        """Return the values of a filter whose key is repeated."""
        values = self._query.get(name, ())
        self._check(name, sorted(values), allowed)
        return frozenset(values) if values else None

    def moment(self, name: str) -> datetime | None:
        """Return an ISO 8601 timestamp; one without a zone is taken as UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self._refusal(name, "value is not a valid datetime") from None

    def page(self, *, default: int, maximum: int, zero_is_all: bool = False) -> tuple[int, int]:
        """Return offset and limit; a limit of zero is `maximum` where the route says that it means all."""
        offset, limit = self.integer("offset"), self.integer("limit")
        if offset is not None and offset < 0:
            raise self._refusal("offset", "value is less than 0")
        limit = default if limit is None else limit
        if zero_is_all and limit == 0:
            limit = maximum
        if not 1 <= limit <= maximum:
            raise self._refusal("limit", f"value must be between 1 and {maximum}")
        return offset or 0, limit

    def _check(self, name: str, values: Collection[str], allowed: Collection[str] | None) -> None:
        for value in values:
            if allowed is not None and value not in allowed:
                raise self._refusal(name, f"{value!r} is not one of {', '.join(allowed)}")

    def _refusal(self, name: str, reason: str) -> Problem:
        return invalid_field(name, reason, status=self._status)


class Body:
    """A JSON object sent by the client; no body counts as an empty one."""

    def __init__(self, request: Request) -> None:
        try:
            decoded = json.loads(request.body) if request.body else {}
        except (ValueError, RecursionError):
            raise Problem(400, "The request body is not valid JSON") from None
        if not isinstance(decoded, dict):
            raise invalid_field("body", "value is not an object")
        self._fields: dict[str, Any] = decoded

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return every key and its value."""
        return self._fields.items()

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def choice(
        self, name: str, allowed: Collection[str], *, required: bool = False, nullable: bool = False
    ) -> str | None:
        """Return one of the allowed strings."""
        value = self.text(name, required=required, nullable=nullable)
        if value is not None and value not in allowed:
            raise invalid_field(name, f"value is not one of {', '.join(allowed)}")
        return value

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        nullable: bool = False,
        longest: int | None = None,
        shortest: int = 0,
    ) -> str | None:
        """Return a string; `None` where it was not sent or is null."""
        value = self._value(name, str, "a string", required=required, nullable=nullable)
        if value is None:
            return None
        if longest is not None and len(value) > longest:
            raise invalid_field(name, f"value is longer than {longest} characters")
        if len(value) < shortest:
            raise invalid_field(name, "blank value is not allowed")
        if "\x00" in value or _LONE_SURROGATE.search(value):
            raise invalid_field(name, "value must not contain null bytes or lone surrogates")
        return str(value)

    def boolean(self, name: str) -> bool | None:
        """Return a boolean; `None` where it was not sent."""
        value: bool | None = self._value(name, bool, "a boolean")
        return value

    def number(self, name: str, *, lowest: float, highest: float) -> float | None:
        """Return a number within limits; `None` where it was not sent."""
        value = self._value(name, (int, float), "a number")
        if value is None:
            return None
        if isinstance(value, bool) or not lowest <= value <= highest:
            raise invalid_field(name, f"value must be between {lowest} and {highest}")
        return float(value)

    def texts(self, name: str, *, fewest: int, most: int) -> list[str]:
        """Return a required list of strings."""
        values: list[Any] = self._value(name, list, "a list", required=True)
        if not fewest <= len(values) <= most:
            raise invalid_field(name, f"list length must be between {fewest} and {most}")
        if not all(isinstance(value, str) for value in values):
            raise invalid_field(name, "list contains something that is not a string")
        return values

    def _value(
        self,
        name: str,
        types: type | tuple[type, ...],
        wording: str,
        *,
        required: bool = False,
        nullable: bool = False,
    ) -> Any:
        if name not in self._fields:
            if required:
                raise invalid_field(name, "is required")
            return None
        value = self._fields[name]
        if not isinstance(value, types) and not (value is None and nullable):
            raise invalid_field(name, f"value is not {wording}")
        return value


def path_id(request: Request, name: str) -> str:
    """Return an id from the path, decoded: routes are matched on the undecoded path."""
    return unquote(request.names[name])
