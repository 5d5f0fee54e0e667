"""The bodies that faults answer with."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._faults import Fault

_HTML = """<!DOCTYPE html>
<html><head><title>{status} {phrase}</title></head>
<body><center><h1>{status} {phrase}</h1></center><hr><center>gateway</center></body></html>
"""


def fault_status(fault: Fault) -> int:
    """Return the status that a rule answers with in the place of the route."""
    return 200 if fault.status is None else fault.status


def fault_body(fault: Fault, *, storage: bool) -> tuple[str, bytes]:
    """Return content type and body that a rule answers with in the place of the route."""
    status = fault_status(fault)
    phrase = phrase_of(status)
    if fault.body == "empty" or status in (204, 304):
        return "text/plain", b""
    if fault.body == "html":
        return "text/html", _HTML.format(status=status, phrase=phrase).encode()
    if fault.body is not None:
        content = fault.body.encode() if isinstance(fault.body, str) else fault.body
        return "application/json" if _is_json(content) else "text/plain; charset=utf-8", content
    if storage:
        return "application/xml", f"<Error><Code>{phrase}</Code></Error>".encode()
    return "application/json", json.dumps({"message": phrase, "errors": {}}).encode()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def phrase_of(status: int) -> str:
    """Return the reason phrase of a status, also of one that nobody has registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unregistered"
