"""Fault rules as text, and the rules in force."""

from __future__ import annotations

import difflib
import random
import re
import shlex
import threading
from typing import Any

from attrs import Attribute, define, fields

from ._faults import Fault

_WORDS: dict[str, Attribute[Any]] = {
    attribute.name: attribute for attribute in fields(Fault) if "meaning" in attribute.metadata
}
_CONDITIONS = {"times", "after", "probability"}


def parse_fault(rule: str, **words: Any) -> Fault:
    """Read a rule; `words` add to what its text says.

    Raises:
        ValueError: The rule does not follow the vocabulary; the message names the place.
    """
    method, route, rest = _split(rule)
    options: dict[str, Any] = {}
    for token in rest:
        _read_token(token, options, rule)
    for name, value in words.items():
        if value is not None:
            _add(name, value, options, rule)
    if not set(options) - _CONDITIONS:
        raise ValueError(f"fault {rule!r}: nothing is said about what goes wrong")
    return _build(method, route, options, rule)


def parse_route(rule: str) -> Fault:
    """Read method and route only, for `Fault.matches`.

    Raises:
        ValueError: It is not METHOD ROUTE.
    """
    method, route, rest = _split(rule)
    if rest:
        raise ValueError(f"route {rule!r}: expected METHOD ROUTE")
    return Fault(method, route)


def describe_vocabulary() -> str:
    """Return the words and their meanings, one a line."""
    width = max(len(name) for name in _WORDS)
    return "\n".join(
        f"{name.replace('_', '-'):<{width}}  {attribute.metadata['meaning']}"
        for name, attribute in _WORDS.items()
    )


def _split(rule: str) -> tuple[str, str, list[str]]:
    try:
        method, route, *rest = shlex.split(rule)
    except ValueError:
        raise ValueError(f"fault {rule!r}: expected METHOD ROUTE word=value ...") from None
    if not re.fullmatch(r"\*|[A-Za-z]+", method):
        raise ValueError(f"fault {rule!r}: {method!r} is not an HTTP method")
    return method.upper(), route, rest


def _read_token(token: str, options: dict[str, Any], rule: str) -> None:
    word, equals, value = token.partition("=")
    name = word.replace("-", "_")
    if equals:
        _add(name, value, options, rule)
        return
    attribute = _known(name, rule)
    if attribute.metadata["bare"] is None:
        raise ValueError(f"fault {rule!r}: {word} needs a value, {word}=...")
    _add(name, attribute.metadata["bare"], options, rule)


def _add(name: str, value: Any, options: dict[str, Any], rule: str) -> None:
    _known(name, rule)
    if name == "header":
        value = (*options.get(name, ()), *((value,) if isinstance(value, str) else value))
    elif name in options:
        raise ValueError(f"fault {rule!r}: {name.replace('_', '-')} is said twice")
    options[name] = value


def _known(name: str, rule: str) -> Attribute[Any]:
    if name not in _WORDS:
        near = difflib.get_close_matches(name, _WORDS, n=1)
        hint = (
            f", did you mean {near[0].replace('_', '-')}?" if near else f"; the words are {', '.join(_WORDS)}"
        )
        raise ValueError(f"fault {rule!r}: unknown word {name.replace('_', '-')!r}{hint}")
    return _WORDS[name]


def _build(method: str, route: str, options: dict[str, Any], rule: str) -> Fault:
    converted: dict[str, Any] = {}
    for name, value in options.items():
        try:
            converted[name] = _WORDS[name].metadata["convert"](value)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"fault {rule!r}: {name.replace('_', '-')}: {error}") from None
    return Fault(method, route, **converted)


@define(eq=False)
class _Entry:
    fault: Fault
    matched: int = 0
    fired: int = 0


class FaultRegistry:
    """The rules in force, in the order in which they were made. Safe from any thread."""

    def __init__(self, seed: int) -> None:
        self._drawn = random.Random(f"faults {seed}")  # noqa: S311 - test data, not a secret
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a rule in force, after those there are."""
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Lift every rule."""
        with self._lock:
            self._entries.clear()

    def fired(self, fault: Fault) -> int:
        """Return how many requests this rule has hit."""
        with self._lock:
            return sum(entry.fired for entry in self._entries if entry.fault is fault)

    def draw(self, method: str, path: str, *, storage: bool = False) -> Fault | None:
        """Return the rule that decides about a request that has just arrived, if any does."""
        with self._lock:
            for entry in self._entries:
                if entry.fault.matches(method, path, storage=storage) and self._fires(entry):
                    return entry.fault
        return None

    def _fires(self, entry: _Entry) -> bool:
        fault = entry.fault
        entry.matched += 1
        if entry.matched <= fault.after or (fault.times is not None and entry.fired >= fault.times):
            return False
        if fault.probability < 1.0 and self._drawn.random() >= fault.probability:
            return False
        entry.fired += 1
        return True
