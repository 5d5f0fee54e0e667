"""The control interface, for tests in any language, and the page that shows what goes on.

JSON in and out, below `/_emulator/` on the API's port, without a token and never in the request log.
`GET /_emulator/` tells what can be asked.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields

from ._faults import parse_fault
from ._http import Answer, Problem, json_answer
from ._routing import Call, RouteTable

if TYPE_CHECKING:
    from ._http import Request, RequestRecord
    from ._state import State

_PREFIX = "/_emulator/"
_SHOWN = 50
_FIXED = ("token", "tls", "faults", "epoch", "image_file", "host", "port", "storage_port", "path_prefix")
_route = RouteTable()


def control(state: State, request: Request) -> Answer | None:
    """Answer a request to the control interface; `None`: it is another request."""
    if request.path == "/":
        page = Path(__file__).with_name("page.html").read_bytes()
        return Answer(headers={"content-type": "text/html; charset=utf-8"}, document=page)
    if not request.path.startswith(_PREFIX):
        return None
    state.settle()
    try:
        # A page of another site can make a browser send a POST, but none with this type.
        if request.method == "POST" and "json" not in request.headers.get("content-type", ""):
            raise Problem(415, "Send application/json")
        return json_answer(_route.call(state, request, request.path.removeprefix(_PREFIX).rstrip("/")))
    except Problem as problem:
        return problem.answer("api")
    except ValueError as error:
        return Problem(422, str(error)).answer("api")


@_route("GET ")
def _help(_call: Call) -> Any:
    """What can be asked."""
    return {f"{each.method} {_PREFIX}{each.template}": each.handler.__doc__ for each in _route.routes}


@_route("GET faults")
def _faults(call: Call) -> Any:
    """The rules in force, and how often each has fired."""
    return [{"rule": str(fault), "fired": fired} for fault, fired in call.state.faults.counts()]


@_route("POST faults")
def _add_fault(call: Call) -> Any:
    """Put a rule in force: {"rule": "GET /version/ status=503"}."""
    call.state.faults.add(parse_fault(call.body.text("rule", required=True)))
    return _faults(call)


@_route("DELETE faults")
def _clear_faults(call: Call) -> Any:
    """Lift every rule."""
    call.state.faults.clear()
    return []


@_route("GET requests")
def _requests(call: Call) -> Any:
    """The request log, oldest first; of one route with ?route=GET+/deployments/."""
    route = call.query.text("route")
    records = call.state.log.snapshot() if route is None else call.state.requests_to(route)
    return [_describe(record) for record in records]


@_route("DELETE requests")
def _clear_requests(call: Call) -> Any:
    """Forget the requests so far."""
    call.state.log.clear()
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


@_route("GET changes")
def _changes(call: Call) -> Any:
    """What has happened to the fleet, oldest first."""
    return [
        {"kind": each.kind, "id": each.deployment_id, "before": each.before, "after": each.after}
        for each in call.state.fleet.changes
    ]


@_route("POST drift")
def _drift(call: Call) -> Any:
    """Let the fleet change: {"changes": 5}."""
    call.state.drift(int(call.body.number("changes", lowest=0, highest=100_000) or 1))
    return _changes(call)


@_route("POST operations")
def _begin_operation(call: Call) -> Any:
    """Start an operation that no request has asked for: {"seconds": 2, "outcome": "ERROR"}."""
    seconds = call.body.number("seconds", lowest=0, highest=1e9)
    return {"path": call.state.begin_operation(seconds, call.body.text("outcome") or "COMPLETED")}


@_route("GET settings")
def _settings(call: Call) -> Any:
    """The settings that can be changed."""
    settings = call.state.settings
    names = (each.name for each in fields(type(settings)) if each.init and each.name not in _FIXED)
    return {name: getattr(settings, name) for name in names}


@_route("PATCH settings")
def _change_settings(call: Call) -> Any:
    """Change settings: {"latency": 0.2}. What is fixed changes with the next reset."""
    known = _settings(call)
    for name, value in call.body.fields.items():
        if name not in (*known, "token"):
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(known)}")
        try:
            setattr(call.state.settings, name, value)
        except TypeError:
            raise ValueError(f"{name} cannot be {value!r}") from None
    return _settings(call)


@_route("POST reset")
def _reset(call: Call) -> Any:
    """Let everything be as at the start."""
    call.state.reset()
    return _state(call)


@_route("POST signatures")
def _expire(call: Call) -> Any:
    """Let every signed URL issued so far expire."""
    call.state.signer.revoke()
    return []


@_route("GET state")
def _state(call: Call) -> Any:
    """What the page at / shows."""
    state = call.state
    bodies = [row.body for row in state.fleet]
    return {
        "endpoint": f"{state.api_origin}{state.api_root}",
        "deployments": len(bodies),
        "statuses": Counter(body["status"] for body in bodies),
        "serviceHealth": Counter(body["serviceHealth"]["status"] for body in bodies),
        "deleted": len(state.deleted),
        "operations": [each.describe() for each in islice(reversed(state.operations.values()), _SHOWN)],
        "faults": _faults(call),
        "changes": _changes(call)[: -_SHOWN - 1 : -1],
        "requests": [_describe(record) for record in state.log.snapshot()[: -_SHOWN - 1 : -1]],
        "bytesSent": state.bytes_sent,
    }
