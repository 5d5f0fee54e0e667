"""The control interface, for tests in any language, and the page that shows what goes on.

JSON in and out, below `/_emulator/` on the API's port, without a token and never in the request log.
`GET /_emulator/` tells what can be asked.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields

from ._http import Answer, Problem, json_answer
from ._inputs import Body, Parameters
from ._routing import RouteTable
from ._rules import parse_fault

if TYPE_CHECKING:
    from ._http import Request, RequestRecord
    from ._state import State

_PREFIX = "/_emulator/"
_SHOWN = 50
_FIXED = ("token", "tls", "faults", "epoch", "image_file", "host", "port", "storage_port", "path_prefix")


_call = RouteTable()


def control(state: State, request: Request) -> Answer | None:
    """Answer a request to the control interface; `None`: it is another request."""
    if request.path == "/":
        page = Path(__file__).with_name("page.html").read_bytes()
        return Answer(headers={"content-type": "text/html; charset=utf-8"}, document=page)
    if not request.path.startswith(_PREFIX):
        return None
    state.settle()
    try:
        handler = _call.find(request, request.path.removeprefix(_PREFIX).rstrip("/"))
        # A page of another site can make a browser send a POST, but none with this type.
        if request.method == "POST" and "json" not in request.headers.get("content-type", ""):
            raise Problem(415, "Send application/json")
        return json_answer(handler(state, request))
    except Problem as problem:
        return problem.answer("api")
    except ValueError as error:
        return Problem(422, str(error)).answer("api")


@_call("GET ")
def _help(_state: State, _request: Request) -> Any:
    """What can be asked."""
    return {f"{each.method} {_PREFIX}{each.template}": each.handler.__doc__ for each in _call.routes}


@_call("GET faults")
def _faults(state: State, _request: Request) -> Any:
    """The rules in force, and how often each has fired."""
    return [{"rule": str(fault), "fired": fired} for fault, fired in state.faults.counts()]


@_call("POST faults")
def _add_fault(state: State, request: Request) -> Any:
    """Put a rule in force: {"rule": "GET /version/ status=503"}."""
    state.faults.add(parse_fault(Body(request).text("rule", required=True) or ""))
    return _faults(state, request)


@_call("DELETE faults")
def _clear_faults(state: State, request: Request) -> Any:
    """Lift every rule."""
    state.faults.clear()
    return _faults(state, request)


@_call("GET requests")
def _requests(state: State, request: Request) -> Any:
    """The request log, oldest first; of one route with ?route=GET+/deployments/."""
    route = Parameters(request).text("route")
    records = state.log.snapshot() if route is None else state.requests_to(route)
    return [_describe(record) for record in records]


@_call("DELETE requests")
def _clear_requests(state: State, _request: Request) -> Any:
    """Forget the requests so far."""
    state.log.clear()
    return []


def _describe(record: RequestRecord) -> dict[str, Any]:
    hidden = ("authorization", "cookie")
    return {
        "method": record.method,
        "path": record.path,
        "query": "" if record.origin == "storage" else record.query,
        "headers": {name: value for name, value in record.headers.items() if name not in hidden},
        "body": record.body.decode("utf-8", "replace"),
        "status": record.status,
        "seconds": record.answered_at - record.started_at,
        "origin": record.origin,
    }


@_call("GET changes")
def _changes(state: State, _request: Request) -> Any:
    """What has happened to the fleet, oldest first."""
    return [
        {"kind": each.kind, "id": each.deployment_id, "before": each.before, "after": each.after}
        for each in state.fleet.changes
    ]


@_call("POST drift")
def _drift(state: State, request: Request) -> Any:
    """Let the fleet change: {"changes": 5}."""
    state.drift.change(int(Body(request).number("changes", lowest=0, highest=100_000) or 1))
    return _changes(state, request)


@_call("POST operations")
def _begin_operation(state: State, request: Request) -> Any:
    """Start an operation that no request has asked for: {"seconds": 2, "outcome": "ERROR"}."""
    body = Body(request)
    seconds = body.number("seconds", lowest=0, highest=1e9)
    return {"path": state.begin_operation(seconds, body.text("outcome") or "COMPLETED")}


@_call("GET settings")
def _settings(state: State, _request: Request) -> Any:
    """The settings that can be changed."""
    names = (field.name for field in fields(type(state.settings)) if field.init)
    return {name: getattr(state.settings, name) for name in names if name not in _FIXED}


@_call("PATCH settings")
def _change_settings(state: State, request: Request) -> Any:
    """Change settings: {"latency": 0.2}. What is fixed changes with the next reset."""
    known = _settings(state, request)
    for name, value in Body(request).fields.items():
        if name not in (*known, "token"):
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(known)}")
        try:
            setattr(state.settings, name, value)
        except TypeError:
            raise ValueError(f"{name} cannot be {value!r}") from None
    return _settings(state, request)


@_call("POST reset")
def _reset(state: State, request: Request) -> Any:
    """Let everything be as at the start."""
    state.reset()
    return _state(state, request)


@_call("POST signatures")
def _expire(state: State, _request: Request) -> Any:
    """Let every signed URL issued so far expire."""
    state.signer.revoke()
    return []


@_call("GET state")
def _state(state: State, request: Request) -> Any:
    """What the page at / shows."""
    now = time.monotonic()
    rows = list(state.fleet)
    return {
        "endpoint": f"{state.api_origin}{state.api_root}",
        "deployments": len(rows),
        "statuses": Counter(row.body["status"] for row in rows),
        "serviceHealth": Counter(row.body["serviceHealth"]["status"] for row in rows),
        "deleted": len(state.deleted),
        "operations": [each.describe(now) for _, each in zip(range(_SHOWN), state.operations, strict=False)],
        "faults": _faults(state, request),
        "changes": _changes(state, request)[: -_SHOWN - 1 : -1],
        "requests": [_describe(record) for record in state.log.snapshot()[: -_SHOWN - 1 : -1]],
        "bytesSent": state.bytes_sent,
    }
