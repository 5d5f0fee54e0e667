"""Fault rules as text, and the rules in force."""

from __future__ import annotations

import difflib
import shlex
import threading
from typing import TYPE_CHECKING, Any

from attrs import define

from ._faults import NO_FAULT, WORDS, Fault
from ._routing import route
from ._samples import seeded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attrs import Attribute

    from ._http import Request

_CONDITIONS = {"times", "after", "probability"}
_METHODS = ("*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def parse_fault(rule: str, *, when: Any = None, before: Any = None, **words: Any) -> Fault:
    """Read a rule; `words` add to what its text says."""
    try:
        method, path, *tokens = _split(rule)
        options = _read_options([*map(_read_token, tokens), *words.items()])
        if before is None and not set(options) - _CONDITIONS:
            raise ValueError("nothing is said about what goes wrong")
        fault = Fault(method, path, when=when, before=before, **options)
        _check_possible(fault)
    except ValueError as error:
        raise ValueError(f"fault {rule!r}: {error}") from None
    return fault


def parse_route(rule: str) -> Fault:
    """Read method and route only, for `Fault.matches`."""
    method, path, *words = _split(rule)
    if words:
        raise ValueError(f"route {rule!r}: expected METHOD ROUTE")
    return Fault(method, path)


def describe_vocabulary() -> str:
    """Return the words and their meanings, then the routes, one a line."""
    width = max(len(name) for name in WORDS)
    words = [
        f"{name.replace('_', '-'):<{width}}  {attribute.metadata['meaning']}"
        for name, attribute in WORDS.items()
    ]
    routes = [*(f"{each.method} {each.template}" for each in route.routes), "GET storage"]
    return "\n".join([*words, "", "A rate is bytes a second, such as 64KiB. The routes:", "", *routes])


def _check_possible(fault: Fault) -> None:
    """Refuse a rule that no request can match, and say what can be."""
    methods = {"GET"} if fault.is_storage else route.methods_of(fault.path)
    if not methods:
        known = [each.template for each in route.routes]
        slashed = f"{fault.path}/"
        near = [slashed] if route.methods_of(slashed) else difflib.get_close_matches(fault.path, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the routes are {', '.join(dict.fromkeys(known))}"
        raise ValueError(f"there is no route {fault.path}; {hint}")
    possible = methods | ({"HEAD"} if "GET" in methods else set())
    if fault.method not in ("*", *possible):
        raise ValueError(f"no route there takes {fault.method}, only {', '.join(sorted(possible))}")


def _split(rule: str) -> list[str]:
    try:
        method, path, *tokens = shlex.split(rule)
    except ValueError:
        raise ValueError("expected METHOD ROUTE word=value ...") from None
    if method.upper() not in _METHODS:
        methods = ", ".join(_METHODS[1:])
        raise ValueError(f"{method!r} is not an HTTP method; they are {methods}, and * is any")
    if not path.startswith(("/", "*", "storage/")) and path != "storage":
        raise ValueError(f"route {path!r} starts neither with / nor with storage")
    return [method.upper(), path, *tokens]


def _read_token(token: str) -> tuple[str, Any]:
    word, equals, value = token.partition("=")
    name = word.replace("-", "_")
    if equals:
        return name, value
    bare = _known(name).metadata["bare"]
    if bare is None:
        raise ValueError(f"{word} needs a value, {word}=...")
    return name, bare


def _read_options(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in pairs:
        _known(name)
        if name == "header" and value is not None:
            options[name] = (*options.get(name, ()), *((value,) if isinstance(value, str) else value))
        elif value is not None and name in options:
            raise ValueError(f"{name.replace('_', '-')} is said twice")
        elif value is not None:
            options[name] = value
    return options


def _known(name: str) -> Attribute[Any]:
    if name not in WORDS:
        near = difflib.get_close_matches(name, WORDS, n=1)
        known = f", did you mean {near[0]}?" if near else f"; the words are {', '.join(WORDS)}"
        raise ValueError(f"unknown word {name!r}{known}".replace("_", "-"))
    return WORDS[name]


@define(eq=False)
class _Entry:
    fault: Fault
    matched: int = 0
    fired: int = 0


class FaultRegistry:
    """The rules in force, in the order in which they were made. Safe from any thread."""

    def __init__(self, seed: int) -> None:
        self._drawn = seeded(f"faults {seed}")
        self._entries: list[_Entry] = []
        self._lock = threading.RLock()  # a rule's condition may ask about other rules

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def counts(self) -> list[tuple[Fault, int]]:
        """Return every rule in force and how many requests it has hit."""
        with self._lock:
            return [(entry.fault, entry.fired) for entry in self._entries]

    def draw(self, request: Request, path: str) -> Fault:
        """Return the rule that decides about a request that has just arrived."""
        with self._lock:
            for entry in tuple(self._entries):
                when = entry.fault.when
                if (
                    entry.fault.matches(request, path)
                    and (when is None or when(request))
                    and self._fires(entry)
                ):
                    return entry.fault
        return NO_FAULT

    def _fires(self, entry: _Entry) -> bool:
        fault = entry.fault
        entry.matched += 1
        if entry.matched <= fault.after or (fault.times is not None and entry.fired >= fault.times):
            return False
        if fault.probability < 1.0 and self._drawn.random() >= fault.probability:
            return False
        entry.fired += 1
        return True
