"""From bytes to parsed JSON, and what to say of bytes that are none."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from datarobot_mlops_async._decoding._mismatch import Mismatch

_HTML = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


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
