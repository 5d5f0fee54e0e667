"""Tables of routes: what is served where."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define

from ._http import Problem, not_found

if TYPE_CHECKING:
    from ._http import Request
    from ._state import State

Handler = Callable[["State", "Request"], Any]
HandlerT = TypeVar("HandlerT", bound=Handler)

_WILDCARD = re.compile(r"(\*\*|\*|\{\w+\})")


@define(eq=False)
class Route:
    """One route; in its template `{name}` stands for one segment, `**` for any rest."""

    method: str
    template: str
    handler: Handler


class RouteTable:
    """Routes in the order in which they were added."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def __call__(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Register a handler for `METHOD TEMPLATE`."""
        method, template = name.split(" ")

        def register(handler: HandlerT) -> HandlerT:
            self.routes.append(Route(method, template, handler))
            return handler

        return register

    def find(self, request: Request, path: str) -> Handler:
        """Return the handler for a request, which learns what the names in its route stand for."""
        wanted = "GET" if request.method == "HEAD" else request.method
        others = []
        for each in self.routes:
            matched = path_pattern(each.template).fullmatch(path)
            if matched is not None and each.method == wanted:
                request.names = matched.groupdict()
                return each.handler
            if matched is not None:
                others.append(each.method)
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
    parts = (_part_pattern(part) for part in _WILDCARD.split(template))
    return re.compile("".join(parts), re.DOTALL)


def _part_pattern(part: str) -> str:
    if part == "**":
        return ".*"
    if part == "*":
        return "[^/]+"
    return f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)


def _tokens(template: str) -> tuple[str, ...]:
    tokens: list[str] = []
    for part in _WILDCARD.split(template):
        wild = _WILDCARD.fullmatch(part)
        tokens += [part if part == "**" else "*"] if wild else part
    return tuple(tokens)


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
