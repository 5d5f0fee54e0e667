"""What is served where: tables of routes, and one call of a route with the answers that routes have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

from attrs import frozen

from ._http import Answer, Problem, encode, json_answer, not_found
from ._inputs import Body, Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._fleet import Row
    from ._http import Request
    from ._state import Operation, State

_NAME = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"\*\*|\{\w+\}|.", re.DOTALL)


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
HandlerT = TypeVar("HandlerT", bound=Handler)


class Route(NamedTuple):
    """One route; in its template `{name}` stands for one segment, `**` for any rest."""

    method: str
    template: str
    handler: Handler


class RouteTable:
    """Routes in the order in which they were added."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def __call__(self, name: str) -> Callable[[HandlerT], HandlerT]:
        method, template = name.split(" ")

        def register(handler: HandlerT) -> HandlerT:
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
