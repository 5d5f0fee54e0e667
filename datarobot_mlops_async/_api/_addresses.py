"""Addresses on our own endpoint: routes with ids in them, and what servers name in headers and bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode, urlsplit

from datarobot_mlops_async._config import API_ROOT
from datarobot_mlops_async.errors import ProtocolError

Query = Iterable[tuple[str, str]]

_IDS = {
    "status": "{status_id}",
    "deployments": "{deployment_id}",
    "customModelDeployments": "{deployment_id}",
    "logs": "{log_id}",
}
_DIGIT = re.compile(r"[0-9]")
_WHOLE_URL = re.compile(r"\s*([a-z][a-z0-9+.-]*:|[/\\]{2})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
# What stands in a URL as it is, percent signs and delimiters included.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_LONGEST = 60_000
"""Characters of a path and its query; servers take a fraction of that, and httpx refuses 64 KiB."""


def route_path(route: str, ids: Mapping[str, str], query: Query = ()) -> str:
    """Return the path and query, relative to the API's root, of a route with ids in it.

    Args:
        route: For example ``deployments/{deployment_id}/status/``.
        ids: A value for each name in the route. Each becomes one path segment whatever it holds.
        query: Names and values in the order in which they are sent.

    Raises:
        TypeError: An id is not a string.
        ValueError: An id is empty, ``.`` or ``..``, or holds control characters: no quoting keeps such an id
            from naming another route. Or all together is too long to be sent.
    """
    path = route.format_map({name: _segment(name, value) for name, value in ids.items()}) if ids else route
    if encoded := encode_query(query):
        path = f"{path}?{encoded}"
    if len(path) > _LONGEST:
        raise ValueError(f"/{route}: the address would have {len(path)} characters: ask with fewer values")
    return path


def is_whole_url(address: str) -> bool:
    """Tell whether an address names a server, and not a path below the API's root."""
    return _WHOLE_URL.match(address) is not None


def encode_query(query: Query) -> str:
    """Return a query as it goes out."""
    pairs = list(query)
    return urlencode(pairs, quote_via=quote, safe="") if pairs else ""


def query_pairs(query: object) -> tuple[tuple[str, str], ...]:
    """Return the names and values of a caller's query, a mapping or pairs.

    ``None`` is left out, a list repeats its name, booleans are lower-case text as the API wants them.

    Raises:
        TypeError: It is something else, or a value is.
    """
    if query is None:
        return ()
    if isinstance(query, str) or not isinstance(query, Iterable):
        raise TypeError("query must be a mapping, or pairs of a name and a value")
    pairs: list[tuple[str, str]] = []
    for name, value in query.items() if isinstance(query, Mapping) else query:
        values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
        pairs.extend((str(name), _query_value(name, each)) for each in values if each is not None)
    return tuple(pairs)


def _query_value(name: object, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(
        f"query: the value of {name} must be text, a number or a boolean, not {type(value).__name__}"
    )


def own_path(path: str, query: object = None) -> str:
    """Return a caller's path, relative to the API's root, with a query.

    Raises:
        ValueError: It is a whole URL, names nothing below the API's root, or is too long.
        TypeError: It is no string, or the query is none.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a string, not {type(path).__name__}")
    if is_whole_url(path):
        raise ValueError("path must be relative to /api/v2/, not a URL")
    try:
        relative = rebase("/" + path.strip().lstrip("/"))
    except ProtocolError:
        raise ValueError(f"path must name something below /api/v2/, not {path[:200]!r}") from None
    encoded = encode_query(query_pairs(query))
    whole = relative + (("&" if "?" in relative else "?") + encoded if encoded else "")
    if len(whole) > _LONGEST:
        raise ValueError(f"the address would have {len(whole)} characters: ask with fewer values")
    return whole


def _segment(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if value in {"", ".", ".."} or _CONTROL.search(value.replace(" ", "")):
        raise ValueError(f"{name} must be an id, not {value!r}")
    return quote(value, safe="")


def route_of(path: str) -> str:
    """Return the route of a path that a server named: names in the place of what is, or looks like, an id.

    There are any number of paths and few routes: these may name warnings, spans and metrics.
    """
    segments = path.partition("?")[0].split("/")
    pairs = zip(["", *segments], segments, strict=False)
    return "/".join(
        _IDS.get(before, "{id}" if _DIGIT.search(segment) else segment) if segment else ""
        for before, segment in pairs
    )


def rebase(location: str) -> str:
    """Return the path and query, relative to the API's root, that a ``Location`` or ``next`` means.

    Behind proxies these carry the wrong scheme, host or path prefix, and following them as they are would
    send the token elsewhere: only what stands behind ``/api/v2/`` counts. Relative forms
    (``status/x/``, ``/api/v2/status/x/``) are taken too.

    Raises:
        ProtocolError: It cannot name a resource of this API.
    """
    location = location.strip()
    try:
        parts = urlsplit(location[: _LONGEST + 1])
        _, marker, behind = parts.path.partition(API_ROOT + "/")
        path = quote(behind if marker else parts.path.lstrip("/"), safe=_ASCII)
        query = quote(parts.query, safe=_ASCII)
    except ValueError:
        raise ProtocolError("a Location that is not a URL") from None
    # %2e is a dot to any server that decodes before it resolves.
    segments = path.lower().replace("%2e", ".").split("/")
    if (
        not path
        or len(location) > _LONGEST
        or {".", ".."} & set(segments)
        or _CONTROL.search(location)
        or "\\" in path
    ):
        raise ProtocolError("a Location that names no resource of this API")
    return f"{path}?{query}" if query else path
