"""The fault vocabulary: one rule says which requests go wrong, when, and how.

A rule is a line of text, `METHOD ROUTE word=value word ...`, on the command line and in Python alike:

    GET /deployments/ status=503 retry-after=1 times=2
    PATCH /deployments/*/status/ status=429 probability=0.05
    GET storage reset=1MiB after=3 times=1
    * /status/** latency=250ms header="X-Proxy: yes"

In Python every word may also be a keyword argument with `_` for `-`:
`emulator.fault("GET /deployments/", status=503, retry_after=1, times=2)`.

The route is a path below the endpoint. `*` and `{name}` stand for one segment, `**` for any rest;
`storage` or `storage/path` addresses the object storage. The method `*` is any method. A rule that can
match no request, or whose words mean nothing where it matches, is refused.
The first rule that matches a request, and whose `times`, `after` and `probability` let it, decides
alone what happens to it.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal

from attrs import Attribute, Converter, field, fields, frozen

from ._routing import path_pattern, route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._http import Request

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", re.ASCII)
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
FIRST = -1
_CONDITIONS = {"times", "after", "probability"}
_METHODS = ("*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SWITCHED = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse_seconds(value: str | float) -> float:
    """Return a duration in seconds; a plain number is seconds already.

    Raises:
        ValueError: It is not a duration, or negative.
    """
    return _quantity(value, _SECONDS, "a duration such as 50ms, 1.5s or 2m")


def parse_size(value: str | float) -> int:
    """Return a number of bytes; a plain number is bytes already. `kB` is 1000, `KiB` is 1024.

    Raises:
        ValueError: It is not a size, or negative.
    """
    return int(_quantity(value, _BYTES, "a size such as 65536, 64KiB or 14GiB"))


def _quantity(value: str | float, units: Mapping[str, float], expected: str) -> float:
    if not isinstance(value, str):
        return float(_amount(value))
    matched = _QUANTITY.fullmatch(value.strip())
    if matched is None or matched[2].lower() not in units:
        raise ValueError(f"{value!r} is not {expected}")
    return float(matched[1]) * units[matched[2].lower()]


def _reader(read: Callable[[Any], Any], is_fine: Callable[[Any], object], refusal: str) -> Any:
    def convert(value: Any) -> Any:
        result = read(value)
        if not is_fine(result):
            raise ValueError(f"{value!r} {refusal}")
        return result

    return convert


def _integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _one_of(*allowed: str) -> Any:
    return _reader(str, allowed.__contains__, f"is not one of {', '.join(allowed)}")


_amount = _reader(float, lambda number: 0 <= number < math.inf, "is not a number from 0 up")
_whole = _reader(_integer, lambda number: number >= 0, "is not a whole number from 0 up")
_status = _reader(_integer, range(200, 600).__contains__, "is not an HTTP status from 200 to 599")
_share = _reader(float, lambda number: 0 <= number <= 1, "is not a probability from 0 to 1")
_flag = _reader(
    lambda value: _SWITCHED.get(str(value).lower()),
    lambda flag: flag is not None,
    "is neither true nor false",
)
_rate = _reader(
    lambda value: value if isinstance(value, float) else parse_size(value),
    *(lambda rate: 0 < rate < math.inf, "is not a rate in bytes a second"),
)
_header_text = _reader(str, re.compile(r"[\t -~]*").fullmatch, "cannot stand in a header")
_header = _reader(
    str,
    re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*").fullmatch,
    "is not a header such as 'X-Name: value'",
)
_endless = re.compile(r"(date:)?[+-]?(inf|infinity|nan)", re.IGNORECASE).fullmatch
_finite = _reader(_header_text, lambda text: not _endless(text), "is not a time that a server could ask for")
_retry_after = _reader(_finite, lambda text: _retry_after_value(text) is not None, "is no time")


def _offset(value: Any) -> int:
    return FIRST if value in ("first", FIRST) else parse_size(value)


def _word(convert: Any, meaning: str, *, default: Any = None, bare: Any = None) -> Any:
    """Declare a word of the vocabulary; `bare` is what it means without a value."""

    def converted(value: Any, attribute: Attribute[Any]) -> Any:
        try:
            return value if value is default else convert(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{attribute.name.replace('_', '-')}: {error}") from None

    metadata = {"meaning": meaning, "bare": bare}
    return field(
        default=default, kw_only=True, converter=Converter(converted, takes_field=True), metadata=metadata
    )


def _switch(meaning: str) -> Any:
    return _word(_flag, meaning, default=False, bare=True)


@frozen
class Fault:
    """One rule. Every field but the first two is a word of the vocabulary."""

    method: str
    route: str

    times: int | None = _word(_whole, "fires on this many requests, then never again")
    after: int = _word(_whole, "lets this many matching requests pass first", default=0)
    probability: float = _word(_share, "fires on this share of the matching requests", default=1.0)

    latency: float = _word(parse_seconds, "answers this much later", default=0.0)
    status: int | None = _word(_status, "answers this status; the request has no effect")
    body: str | bytes | None = _word(
        lambda body: body if isinstance(body, bytes) else str(body),
        "answers this body: html, empty, or any text, JSON too; the request has no effect",
    )
    retry_after: str | None = _word(
        _retry_after, "adds Retry-After: seconds, date:SECONDS from now as a date, or any text"
    )
    deprecation: str | None = _word(_header_text, "adds a Deprecation header", bare="True")
    header: tuple[str, ...] = _word(
        lambda lines: tuple(map(_header, lines)), 'adds a header, "Name: value"', default=()
    )

    reset: int | None = _word(parse_size, "resets the connection after N body bytes; 0: no answer", bare=0)
    stall: int | None = _word(parse_size, "goes silent after N body bytes; 0: no answer", bare=0)
    trickle: int | None = _word(parse_size, "sends byte by byte after N, 10 a second or by `rate`", bare=0)
    truncate: int | None = _word(parse_size, "closes the connection after N body bytes", bare=0)
    corrupt: int | None = _word(
        _offset, "sends a wrong byte at this offset of the whole object; first: at the body's", bare=FIRST
    )
    rate: float | None = _word(_rate, "sends at most this many bytes a second")
    gzip: bool = _switch("compresses the body whatever the client accepts")
    chunked: bool = _switch("sends the body in chunks, without its length")
    unsized: bool = _switch("sends the body without its length: the connection's end ends it")

    expired: bool = _switch("storage: the signature counts as expired")
    ignore_range: bool = _switch("answers 200 with everything")
    shift: int | None = _word(parse_size, "answers with a range that begins N bytes later")
    changed: Literal["release", "object"] | None = _word(
        _one_of("release", "object"),
        "another object from now on: a new release, or only the stored bytes and ETag",
        bare="release",
    )

    links: str | None = _word(
        _header_text,
        "Location, next and previous: none, relative, path, or another origin such as https://other",
    )
    page: Literal["empty", "repeat"] | None = _word(
        _one_of("empty", "repeat"), "a list's page has no rows but a next, or a next that is itself"
    )
    outcome: str | None = _word(
        _one_of("COMPLETED", "ERROR", "ABORTED", "EXPIRED"),
        "how the operation that this request starts will end; COMPLETED: without a resource",
    )

    when: Callable[[Request], bool] | None = field(default=None, kw_only=True)
    before: Callable[[], object] | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        words = []
        for name, attribute in WORDS.items():
            value = getattr(self, name)
            if value != attribute.default:
                values = value if name == "header" else (value,)
                words += [shlex.quote(f"{name.replace('_', '-')}={one}") for one in values]
        return " ".join([self.method, self.route, *words])

    @property
    def is_storage(self) -> bool:
        """Whether it concerns what is stored, not the API."""
        return self.route == "storage" or self.route.startswith("storage/")

    @property
    def path(self) -> str:
        """The path that the rule is about, `**` for every one."""
        path = self.route.removeprefix("storage").removeprefix("/api/v2")
        return "**" if path in ("", "*") else path

    def matches(self, request: Request, path: str) -> bool:
        """Tell whether a request is the rule's; `path` is relative to the endpoint or to the storage."""
        if self.method not in ("*", request.method) or self.is_storage != (request.origin == "storage"):
            return False
        return path_pattern(self.path).fullmatch(path) is not None

    @property
    def ending(self) -> tuple[float, str]:
        """After how many bytes of the body the connection ends, and by which word; never without one."""
        limits = ((getattr(self, word), word) for word in ("reset", "stall", "truncate"))
        return min(((limit, word) for limit, word in limits if limit is not None), default=(math.inf, ""))

    @property
    def extra_headers(self) -> list[tuple[str, str]]:
        """What it adds to an answer's headers: names in lower case, and values."""
        lines = [line.partition(":") for line in self.header]
        headers = [(name.lower(), value.strip()) for name, _, value in lines]
        if self.deprecation is not None:
            headers.append(("deprecation", self.deprecation))
        if self.retry_after is not None:
            headers.append(("retry-after", _retry_after_value(self.retry_after)))
        return headers


def _retry_after_value(text: str) -> str:
    kind, _, seconds = text.partition("date:")
    if kind or not seconds:
        return text
    return formatdate(time.time() + float(seconds), usegmt=True)


WORDS: dict[str, Attribute[Any]] = {each.name: each for each in fields(Fault) if "meaning" in each.metadata}
NO_FAULT = Fault("*", "/**")


def parse_fault(rule: str, *, when: Any = None, before: Any = None, **words: Any) -> Fault:
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
    method, path, *words = _split(rule)
    if words:
        raise ValueError(f"route {rule!r}: expected METHOD ROUTE")
    return Fault(method, path)


def describe_vocabulary() -> str:
    """Return the words and their meanings, then the routes, one a line."""
    width = max(len(name) for name in WORDS)
    meanings = ((name.replace("_", "-"), each.metadata["meaning"]) for name, each in WORDS.items())
    words = [f"{name:<{width}}  {meaning}" for name, meaning in meanings]
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
        raise ValueError(
            f"{method!r} is not an HTTP method; they are {', '.join(_METHODS[1:])}, and * is any"
        )
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
