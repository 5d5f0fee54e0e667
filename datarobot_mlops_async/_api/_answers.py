"""Reading answers: error bodies of every shape, ``Retry-After``, request ids. Pure functions."""

from __future__ import annotations

import html
import json
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._redaction import Redactor, secrets_of_url
from datarobot_mlops_async._transport import without_query
from datarobot_mlops_async.errors import Hint, status_error_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datarobot_mlops_async.errors import APIStatusError

_MESSAGE_LIMIT = 500
_BODY_LIMIT = 100_000
_NO_SECRETS = Redactor()
_TAG = re.compile(r"<[a-zA-Z/!?]")
_UNSEEN = re.compile(r"<(script|style)\b", re.IGNORECASE)
_LISTS = ("/deployments/", "/deletedDeployments/", "/customModelDeployments/", "/mlops/compute/bundles/")
_REASONS = {
    401: "the API token is missing, wrong or expired",
    403: "the API token's user may not do this, or the feature is not enabled",
    404: "not found",
    429: "too many requests",
    502: "a gateway could not reach the service",
    503: "the service is unavailable",
    504: "a gateway got no answer in time",
}


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's id for the request; ``None`` if it sent none."""
    value = headers.get("x-request-id") or headers.get("x-datarobot-request-id")
    return readable(value) or None if value else None


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, given as a number or a date; never negative.

    ``None`` when the header is absent or makes no sense.
    """
    value = headers.get("retry-after", "").strip()
    # At most 15 digits: more is no number of seconds, and int() refuses thousands of them.
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def status_error(
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    method: str,
    url: str,
    attempts: int = 1,
    redactor: Redactor,
) -> APIStatusError:
    """Return the exception for an error answer, its message readable whatever the body is.

    Bodies are JSON with ``message`` (a string or an object) or ``detail`` (a string or a list), HTML from a
    gateway, nothing, bytes that are no text, or any of these cut short. The secrets that ``redactor``
    knows and the values in the URL's query are taken out of it.
    """
    if "?" in url or "@" in url:
        redactor = redactor.with_secrets(secrets_of_url(url))
    message, errors = _read_body(body, redactor)
    return status_error_class(status)(
        message or _REASONS.get(status, "the server gave no reason"),
        status=status,
        method=method,
        url=without_query(url),
        request_id=request_id(headers),
        errors=errors,
        retry_after=retry_after(headers),
        attempts=attempts,
        # A list is always there, at DataRobot.
        hint=Hint.WRONG_SERVER
        if status == 405 or (status == 404 and without_query(url).endswith(_LISTS))
        else None,
    )


def _read_body(body: bytes, redactor: Redactor) -> tuple[str, object]:
    text = body[:_BODY_LIMIT].decode("utf-8", "replace")
    try:
        data = redactor.data(json.loads(text))
    except (ValueError, RecursionError):
        return readable(text, redactor), None
    if not isinstance(data, dict):
        return readable(_one_line(data)), None
    detail = data.get("detail")
    errors: Any = data.get("errors") or detail
    message = _one_line(
        next((each for each in (data.get("message"), detail, data.get("errorName")) if each), "")
    )
    reasons = _one_line(errors)
    # "Invalid field data" helps nobody without the fields.
    text = message if not reasons or reasons in message else f"{message}: {reasons}" if message else reasons
    return readable(text, redactor), errors


def _one_line(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value else ""


def readable(text: str, redactor: Redactor = _NO_SECRETS) -> str:
    """Return a server's text as one line fit for a terminal: no markup, no control characters, not too long."""
    if "<" in text and ">" in text:
        text = html.unescape(_without_tags(text))
    # str.split() knows blanks; the rest of what a terminal obeys is replaced.
    words = "".join(char if char.isprintable() else " " for char in text).split()
    line = redactor.start(" ".join(words), _MESSAGE_LIMIT + 1)
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"


def _without_tags(text: str) -> str:
    """Return what stands between the tags. Each character is looked at once, whatever the text is."""
    parts, at = [], 0
    while tag := _TAG.search(text, at):
        parts.append(text[at : tag.start()])
        unseen = _UNSEEN.match(text, tag.start())
        end = _end_of(unseen[1], text, tag.end()) if unseen else text.find(">", tag.end())
        at = end + 1 if end >= 0 else len(text) if unseen else tag.start()
        if end < 0:
            break
    return " ".join([*parts, text[at:]])


def _end_of(element: str, text: str, start: int) -> int:
    closing = re.compile(f"</{element}\\b", re.IGNORECASE).search(text, start)
    return text.find(">", closing.end()) if closing else -1
