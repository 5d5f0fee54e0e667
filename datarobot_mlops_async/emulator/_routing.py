"""Tables of routes, and one call of a route: what it says, read as strictly as the service reads it, and its answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode

from attrs import frozen

from ._http import Answer, Problem, encode, invalid_field, json_answer, not_found

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ._fleet import Row
    from ._http import Request
    from ._state import Operation, State

    Allowed = Collection[str] | None

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
# JSON can word what no text can contain.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_NAME = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"\*\*|\{\w+\}|.", re.DOTALL)


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

    def moment(self, name: str) -> datetime:
        """Return an ISO 8601 timestamp that was sent; one without a zone is taken as UTC."""
        try:
            moment = datetime.fromisoformat(self.text(name))
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


@frozen(slots=False)
class Call:
    """One request on its route; `names` are what the names in the route stand for, undecoded."""

    state: State
    request: Request
    names: Mapping[str, str]

    @cached_property
    def query(self) -> Parameters:
        return Parameters(self.request.query)

    @cached_property
    def body(self) -> Body:
        return Body(self.request.body)

    def name(self, name: str) -> str:
        """Return a part of the path: routes are matched on the undecoded path."""
        return unquote(self.names[name])

    @property
    def row(self) -> Row:
        row = self.state.fleet.get(self.name("deployment_id"))
        if row is None:
            raise not_found("Deployment")
        return row

    def link(self, path: str) -> str | None:
        """Return the URL of a path below the endpoint as this answer words it; `None`: it leaves it out."""
        wording = self.request.fault.links
        if wording in ("none", "relative"):
            return path if wording == "relative" else None
        origin = {None: self.state.api_origin, "path": ""}.get(wording, wording)
        return f"{origin}{self.state.api_root}/{path}"

    def location(self, path: str) -> dict[str, str]:
        url = self.link(path)
        return {} if url is None else {"location": url}

    def page_of(
        self,
        found: Sequence[Any],
        *,
        maximum: int = 100,
        everything: bool = False,
        encoded: Callable[[Any], bytes] = encode,
        last: str | None = None,
        show_total: bool = True,
    ) -> Answer:
        """Answer the page of a list that the query asks for; `last` is what a link to nowhere says."""
        offset, limit = self.query.page(maximum=maximum, everything=everything)
        ahead, total, fault = offset + limit, len(found), self.request.fault
        rows = [encoded(each) for each in found[offset:ahead]]
        if fault.page is not None:
            ahead, total = offset, max(total, offset + 1)
            rows = [] if fault.page == "empty" else rows

        def page_link(offset: int) -> str | None:
            query = parse_qsl(self.request.query, keep_blank_values=True)
            kept = [pair for pair in query if pair[0] not in ("offset", "limit")]
            path = self.request.path.removeprefix(f"{self.state.api_root}/")
            return self.link(f"{path}?{urlencode([('offset', offset), ('limit', limit), *kept])}")

        tail: dict[str, object] = {
            "next": last if ahead >= total else page_link(ahead),
            "previous": last if offset == 0 else page_link(max(0, offset - limit)),
        }
        if show_total:
            tail["totalCount"] = total
        head = b'{"count":%d,"data":[' % len(rows)
        return json_answer(b"".join((head, b",".join(rows), b"],", encode(tail)[1:])))

    def begin(
        self,
        kind: str,
        *,
        resource: str | None = None,
        done: Callable[[], object] | None = None,
        failed: Callable[[], object] | None = None,
        status: int = 202,
        body: Callable[[Operation], dict[str, str]] | None = None,
    ) -> Answer:
        """Start an operation and answer with its place in `Location`.

        It lives as the settings, and a fault of this request, say. At its end `done` is called when it
        succeeds, `failed` otherwise.
        """
        fault = self.request.fault
        operation = self.state.begin(
            kind,
            seconds=0.0 if fault.links == "none" else self.state.settings.operation_seconds,
            resource=resource if fault.outcome is None else None,
            outcome=fault.outcome or "COMPLETED",
            effect=done if fault.outcome in (None, "COMPLETED") else failed,
        )
        headers = self.location(f"status/{operation.status_id}/")
        if body is None:
            return Answer(status=status, headers=headers)
        return json_answer(body(operation), status, headers)


Handler = Callable[[Call], Any]


class Route(NamedTuple):
    """One route; in its template `{name}` stands for one segment, `**` for any rest."""

    method: str
    template: str
    handler: Handler


class RouteTable:
    """Routes in the order in which they were added."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def __call__(self, name: str) -> Callable[[Handler], Handler]:
        method, template = name.split(" ")

        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, template, handler))
            return handler

        return register

    def call(self, state: State, request: Request, path: str) -> Any:
        """Return what the handler of a request's method and path returns."""
        wanted = "GET" if request.method == "HEAD" else request.method
        others = []
        for method, template, handler in self.routes:
            matched = path_pattern(template).fullmatch(path)
            if matched is not None and method == wanted:
                names = dict(zip(_NAME.findall(template), matched.groups(), strict=True))
                return handler(Call(state, request, names))
            if matched is not None:
                others.append(method)
        if not others:
            raise not_found()
        raise Problem(405, "Method Not Allowed", headers={"allow": ", ".join(sorted(others))})

    def methods_of(self, path: str) -> set[str]:
        """Return the methods of the routes that can stand for the same path as a template."""
        tokens = _tokens(path)
        return {each.method for each in self.routes if _meet(tokens, _tokens(each.template))}


route = RouteTable()


@lru_cache(maxsize=1024)
def path_pattern(template: str) -> re.Pattern[str]:
    """Return the expression for the paths that a template or a rule's route stands for."""
    wild = {"**": ".*", "*": "([^/]+)"}
    return re.compile("".join(wild.get(each) or re.escape(each) for each in _tokens(template)), re.DOTALL)


def _tokens(template: str) -> tuple[str, ...]:
    """Return a template's characters and wildcards."""
    return tuple("*" if len(token) > 2 else token for token in _TOKEN.findall(template))


@lru_cache(maxsize=10_000)
def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if not one or not other:
        return all(token == "**" for token in (*one, *other))  # noqa: S105 - no password
    for these, those in ((one, other), (other, one)):
        if these[0] == "**":
            return _meet(these[1:], those) or _meet(these, those[1:])
        if these[0] == "*" and those[0] not in ("/", "**"):
            rest = _meet(these[1:], those[1:]) or _meet(these, those[1:])
            return rest or (those[0] == "*" and _meet(these[1:], those))
    return one[0] == other[0] and _meet(one[1:], other[1:])
