"""What a client sends, in the query and in the body, read as strictly as the service reads it."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ._http import Problem, invalid_field

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    Allowed = Collection[str] | None

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
# JSON can word what no text can contain.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class Fields:
    """Values by name. What is wrong with one is refused with `status`; one that was not sent is `None`."""

    status = 422

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(
        self,
        name: str,
        *,
        longest: float = math.inf,
        shortest: int = 0,
        allowed: Allowed = None,
        **more: bool,
    ) -> Any:
        """Return a string; `None` only where it is not `required`, or `nullable`."""
        value = self._value(name, str, "a string", **more)
        if value is None:
            return None
        if len(value) > longest:
            raise self._refusal(name, f"value is longer than {longest} characters")
        if len(value) < shortest:
            raise self._refusal(name, "blank value is not allowed")
        if _NO_TEXT.search(value):
            raise self._refusal(name, "value must not contain null bytes or lone surrogates")
        self._check(name, (value,), allowed)
        return value

    def _value(
        self, name: str, types: Any, wording: str, *, required: bool = False, nullable: bool = False
    ) -> Any:
        if required and name not in self.fields:
            raise self._refusal(name, "is required")
        value = self.fields.get(name)
        is_fine = nullable or name not in self.fields if value is None else isinstance(value, types)
        if not is_fine:
            raise self._refusal(name, f"value is not {wording}")
        return value

    def _check(self, name: str, values: Iterable[str], allowed: Allowed) -> frozenset[str]:
        found = frozenset(values)
        for value in found:
            if allowed is not None and value not in allowed:
                raise self._refusal(name, f"{value!r} is not one of {', '.join(allowed)}")
        return found

    def _refusal(self, name: str, reason: str) -> Problem:
        return invalid_field(name, reason, status=self.status)


class Parameters(Fields):
    """One request's query; of a name that comes several times the last value counts."""

    def __init__(self, query: str) -> None:
        self._query = parse_qs(query, keep_blank_values=True)
        super().__init__({name: values[-1] for name, values in self._query.items()})

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is not None and not _INTEGER.fullmatch(value):
            raise self._refusal(name, "value can't be converted to int")
        return None if value is None else int(value)

    def boolean(self, name: str) -> bool:
        """Return what one of the four spellings that the page allows means, false where none was sent."""
        return _BOOLEANS[self.text(name, allowed=_BOOLEANS) or "false"]

    def joined(self, name: str, allowed: Allowed = None) -> frozenset[str] | None:
        """Return the values of an array filter: one key, values joined by commas."""
        value = self.text(name)
        return None if value is None else self._check(name, map(str.strip, value.split(",")), allowed)

    def repeated(self, name: str, allowed: Allowed = None) -> frozenset[str] | None:
        """Return the values of a filter whose key is repeated."""
        return self._check(name, self._query[name], allowed) if name in self._query else None

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

    def page(self, *, maximum: int, everything: bool) -> tuple[int, int]:
        """Return offset and limit; without a limit, and with 0, it is `maximum` on a route that lists `everything`."""
        offset, limit = self.integer("offset") or 0, self.integer("limit")
        if offset < 0:
            raise self._refusal("offset", "value is less than 0")
        if limit is None or (everything and limit == 0):
            limit = maximum if everything else 20
        if not 1 <= limit <= maximum:
            raise self._refusal("limit", f"value must be between 1 and {maximum}")
        return offset, limit


class Body(Fields):
    """A JSON object sent by the client; no body counts as an empty one."""

    def __init__(self, body: bytes) -> None:
        try:
            decoded = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            raise Problem(400, "The request body is not valid JSON") from None
        if not isinstance(decoded, dict):
            raise invalid_field("body", "value is not an object")
        super().__init__(decoded)

    def boolean(self, name: str) -> bool:
        """Return a boolean, false where none was sent."""
        return bool(self._value(name, bool, "a boolean"))

    def number(self, name: str, *, lowest: float, highest: float) -> float | None:
        value: float | None = self._value(name, (int, float), "a number")
        if value is not None and (isinstance(value, bool) or not lowest <= value <= highest):
            raise self._refusal(name, f"value must be between {lowest} and {highest}")
        return value

    def texts(self, name: str, *, fewest: int, most: int) -> list[str]:
        values: list[Any] = self._value(name, list, "a list", required=True)
        if not fewest <= len(values) <= most:
            raise self._refusal(name, f"list length must be between {fewest} and {most}")
        if not all(isinstance(value, str) for value in values):
            raise self._refusal(name, "list contains something that is not a string")
        return values
