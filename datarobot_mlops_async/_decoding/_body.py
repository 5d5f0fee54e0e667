"""From bytes to parsed JSON, and what to say of bytes that are none."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from datarobot_mlops_async._decoding._values import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

_HTML = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


@frozen
class FastParser:
    """A parser that gives what the standard library's gives, or raises one of `failures`.

    Attributes:
        value: Parses any JSON.
        members: Parses an object down to its members.
        items: Parses an array down to its items.
        failures: What is raised for bytes that are not JSON, for some that only the standard library takes,
            and by the hooks for what was not promised.
    """

    value: Callable[[Any], Any]
    members: Callable[[bytes], dict[str, Any]]
    items: Callable[[Any], list[Any]]
    failures: tuple[type[Exception], ...]


@cache
def fast_parser() -> FastParser | None:
    """Return msgspec's parser where it is installed: it takes half the time of the standard library's."""
    try:
        import msgspec  # not installed everywhere
    except ImportError:
        return None
    return FastParser(
        value=msgspec.json.Decoder().decode,
        members=msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
        items=msgspec.json.Decoder(list[msgspec.Raw]).decode,
        failures=(Mismatch, msgspec.MsgspecError, ValueError, RecursionError),
    )


def parse(body: bytes, *, strict: bool) -> object:
    """Parse a JSON body.

    Args:
        body: The bytes. A byte order mark is ignored.
        strict: Whether ``NaN`` and ``Infinity``, which Python servers write, are refused.

    Raises:
        Mismatch: The bytes are not JSON.
    """
    try:
        return json.loads(body, parse_constant=_refuse) if strict else json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Mismatch("JSON", _diagnose(body, error)) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _diagnose(body: bytes, error: ValueError | RecursionError) -> str:
    if not body.strip():
        return "an empty body"
    if _HTML.match(body):
        return "an HTML page"
    match error:
        case RecursionError():
            return "JSON nested too deeply"
        case UnicodeDecodeError():
            return "bytes that are not UTF-8"
        case json.JSONDecodeError():
            return _locate(error)
    return "a number that is not JSON or has too many digits"


def _locate(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].strip()
    ends_early = any(word.startswith(rest) for word in ("true", "false", "null"))
    if ends_early or error.msg.startswith("Unterminated string"):
        return "JSON that is cut short"
    return f"text that is not JSON (line {error.lineno}, column {error.colno})"
