"""Request bodies, read as strictly as the service reads them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ._problems import Problem, invalid_field

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

# JSON can word what no text can contain.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Body:
    """A JSON object sent by the client."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    @classmethod
    async def read(cls, request: Request) -> Body:
        """Decode the body; no body counts as an empty object."""
        raw = await request.body()
        try:
            decoded = json.loads(raw) if raw else {}
        except (ValueError, RecursionError):
            raise Problem(400, "The request body is not valid JSON") from None
        if not isinstance(decoded, dict):
            raise Problem(422, "Invalid field data", {"body": "value is not an object"})
        return cls(decoded)

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
        value = self._value(name, bool, "a boolean")
        return None if value is None else bool(value)

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
        for value in values:
            if not isinstance(value, str):
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
        if value is None and nullable:
            return None
        if not isinstance(value, types):
            raise invalid_field(name, f"value is not {wording}")
        return value
