"""The routes of `deployments/`: the list, one deployment, what can be done to it and what is known about it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ._fleet import IMPORTANCES, Row, select
from ._http import Answer, Problem, encode, invalid_field, json_answer
from ._routing import Call, route
from ._samples import HEALTHS, SAMPLES, Json, Sampler, seeded_by, subject_of, timestamp

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from ._fleet import Fleet
    from ._routing import Body

_ON_THE_WAY = {"active": "launching", "inactive": "stopping"}
_CHANGING = ("launching", "stopping", "replacingModel")
_ONE = "/deployments/{deployment_id}/"
_FEATURE_ORDERS = ("name", "-name", "importance", "-importance")
_DATE_WORDS = ("date", "login", "_at", "time", "service")


@route("GET /deployments/")
def _list(call: Call) -> Answer:
    return call.page_of(select(call.state.fleet, call.query), encoded=_ENCODERS[call.state.settings.dialect])


@route("POST /deployments/fromLearningModel/")
def _create(call: Call) -> Answer:
    settings, fleet = call.state.settings, call.state.fleet
    if not settings.can_create:
        raise Problem(403, "You do not have permission to create a deployment.")
    model_id = call.body.text("modelId", required=True, shortest=1)
    fields, wanted = _read_creation(fleet, call.body)
    if settings.max_deployments is not None and len(fleet) >= settings.max_deployments:
        raise Problem(409, "Your organization has reached the maximum number of deployments.")
    row = fleet.add(fields | {"status": "launching", "hasError": False}, model_id=model_id)
    body = {"id": row.deployment_id}
    return _begin_change(call, "Deployment creation", row, wanted, body=lambda _: body)


def _begin_change(call: Call, kind: str, row: Row, wanted: str, **more: Any) -> Answer:
    """Start the operation at whose end a deployment has the status that is wanted, or an error."""
    change = partial(call.state.fleet.change, row)
    return call.begin(
        kind,
        resource=f"deployments/{row.deployment_id}/",
        done=partial(change, status=wanted, hasError=False),
        failed=partial(change, status="errored", hasError=True),
        **more,
    )


def _read_creation(fleet: Fleet, body: Body) -> tuple[Json, str]:
    fields: Json = {
        "label": body.text("label", required=True, longest=512, shortest=1),
        # The page requires a description, null at least; the service has to do without one, as the
        # official SDK leaves null out.
        "description": body.text("description", nullable=True, longest=10_000),
        "importance": body.text("importance", allowed=IMPORTANCES, nullable=True) or "LOW",
    }
    wanted = body.text("status", allowed=_ON_THE_WAY, nullable=True) or "active"
    body.number("predictionThreshold", lowest=0, highest=1)
    body.boolean("grantInitialDeploymentRolesFromProject")
    server_id = body.text("defaultPredictionServerId")
    if server_id is not None:
        servers = {server["id"]: server for server in fleet.surroundings["predictionServers"]}
        if server_id not in servers:
            raise invalid_field("defaultPredictionServerId", "prediction server does not exist")
        fields["defaultPredictionServer"] = servers[server_id]
    return fields, wanted


@route(f"GET {_ONE}")
def _get(call: Call) -> Answer:
    return json_answer(_ENCODERS[call.state.settings.dialect](call.row))


@route(f"PATCH {_ONE}")
def _update(call: Call) -> Answer:
    row, body = call.row, call.body
    fields: Json = {
        "label": body.text("label", nullable=True, longest=512, shortest=1),
        "importance": body.text("importance", allowed=IMPORTANCES),
        "description": body.text("description", nullable=True, longest=10_000),
    }
    emptied = {"description"} & body.fields.keys()
    given = {name: value for name, value in fields.items() if value is not None or name in emptied}
    call.state.fleet.change(row, **given)
    return Answer(status=204)


@route(f"DELETE {_ONE}")
def _delete(call: Call) -> Answer:
    row = call.row
    call.query.boolean("ignoreManagementAgent")
    if row.body["status"] in _CHANGING:
        raise Problem(422, "Deployment is in process of status change and cannot be deleted.")
    call.state.delete(row)
    return Answer(status=204)


@route(f"PATCH {_ONE}status/")
def _set_status(call: Call) -> Answer:
    row = call.row
    before, wanted = row.body["status"], call.body.text("status", allowed=_ON_THE_WAY, required=True)
    if before == wanted:
        raise Problem(409, f"Deployment is already {wanted}.")
    if before in _CHANGING:
        raise Problem(409, "Deployment is already in process of status change.")
    if before == "archived":
        raise Problem(422, "The status of an archived deployment cannot be changed.")
    call.state.fleet.change(row, status=_ON_THE_WAY[wanted])
    return _begin_change(call, "Deployment status change", row, wanted)


@route(f"POST {_ONE}onDemandReports/")
def _report(call: Call) -> Answer:
    _ = call.row
    call.body.text("id", required=True, shortest=1)
    # Nothing that could be fetched comes of it: the report is sent to those it is scheduled for.
    return call.begin("Deployment report", status=200)


def _encode_older(row: Row) -> bytes:
    body = row.body
    kept = {name: value for name, value in body.items() if name not in SAMPLES["unknownToOlder"]}
    kept |= {name: {"status": body[name]["status"]} for name in HEALTHS}
    kept["model"] = {name: value for name, value in body["model"].items() if name != "targetType"}
    return encode(kept)


def _encode_newer(row: Row) -> bytes:
    body, usage, environment = row.body, row.body["predictionUsage"], row.body["predictionEnvironment"]
    more: Json = SAMPLES["onlyNewer"] | {"creator": body["owners"]["preview"][0]}
    more["predictionUsage"] = usage | {"dailyRates": [rate + 0.5 for rate in usage["dailyRates"]]}
    if body["importance"] == "CRITICAL":
        more["importance"] = "BUSINESS_CRITICAL"
    if environment["platform"] == "onPremise":
        more["predictionEnvironment"] = environment | {"platform": "edge"}
    return encode(body | more)


_ENCODERS = {"page": Row.encode, "older": _encode_older, "newer": _encode_newer}


def has_scoring_code(body: Json) -> bool:
    return bool(body["model"]["buildEnvironmentType"] == "DataRobot")


@route(f"GET {_ONE}capabilities/")
def _capabilities(call: Call) -> Answer:
    body = call.row.body
    drawn = seeded_by("capabilities", body["id"])
    supported = {name: drawn.random() < 0.8 for name in SAMPLES["capabilities"]}
    supported["supports_scoring_code_download"] = has_scoring_code(body)
    missing = ["Not available for the current model."]
    found = [
        {"name": name, "supported": is_there, "messages": [] if is_there else missing}
        for name, is_there in supported.items()
    ]
    return json_answer({"data": found})


@route(f"GET {_ONE}features/")
def _features(call: Call) -> Answer:
    features, query = _draw_features(call.row), call.query
    if not query.boolean("includeNonPredictionFeatures"):
        features = [feature for feature in features if feature["name"] not in SAMPLES["unusedFeatures"]]
    if query.boolean("forSegmentedAnalysis"):
        features = [feature for feature in features if feature["featureType"] == "Categorical"]
    needle = (query.text("search") or "").casefold()
    found = [feature for feature in features if needle in feature["name"].casefold()]
    order = query.text("orderBy", allowed=_FEATURE_ORDERS)
    if order is not None:
        key = order.removeprefix("-")
        found.sort(key=lambda each: (each[key] is not None, each[key]), reverse=order != key)
    return call.page_of(found, maximum=1000, everything=True)


def _draw_features(row: Row) -> list[Json]:
    """Return every raw feature of a deployment's universe dataset, most important first."""
    drawn = seeded_by("features", row.deployment_id)
    more = [f"x_{n:03}" for n in range(drawn.randrange(4, 40))]
    names = (*subject_of(row.body["label"])["features"], *more, *SAMPLES["unusedFeatures"])
    features = [_draw_feature(drawn, name, row.created) for name in names]
    return sorted(features, key=lambda feature: feature["importance"] or 0.0, reverse=True)


def _draw_feature(drawn: random.Random, name: str, moment: datetime) -> Json:
    is_used = name not in SAMPLES["unusedFeatures"] and drawn.random() < 0.9
    importance = round(drawn.random(), 4) if is_used else None
    known = name in ("promotion", "holiday")
    sampler = Sampler(drawn, moment, {"name": name, "importance": importance, "known": known})
    feature: Json = sampler.fill(SAMPLES["feature"])
    if any(word in name for word in _DATE_WORDS):
        feature |= {"featureType": "Date", "dateFormat": "%Y-%m-%d %H:%M:%S"}
    return feature


@route(f"GET {_ONE}modelHistory/")
def _history(call: Call) -> Answer:
    row = call.row
    drawn = seeded_by("history", row.deployment_id)
    span = call.state.settings.epoch - row.created
    shares = sorted(drawn.uniform(0, 1) for _ in range(drawn.randrange(4)))
    starts = [row.created, *(row.created + span * share for share in shares)]
    ends = [timestamp(start, fraction=True) for start in starts[1:]]
    entries = [
        _draw_champion(drawn, row.body, number, start, end)
        for number, (start, end) in enumerate(zip(starts, [*ends, None], strict=True), start=1)
    ]
    return call.page_of(entries[::-1])


def _draw_champion(drawn: random.Random, body: Json, number: int, start: datetime, end: str | None) -> Json:
    model, package = body["model"], body["modelPackage"]
    threshold = 0.5 if model["targetType"] == "Binary" else None
    values = {"start": timestamp(start, fraction=True), "end": end, "version": number, "threshold": threshold}
    entry: Json = Sampler(drawn, start, package | values).fill(SAMPLES["champion"])
    if end is None:
        entry["modelPackage"] |= {"id": package["id"], "modelId": model["id"]}
    if number == 1:
        entry["replacementReason"] = None
    if model["projectId"] is not None:
        entry["modelPackage"]["projectId"] = model["projectId"]
    if "customModelImage" in model:
        entry["customModelImage"] = model["customModelImage"]
    if model["targetType"] == "Regression":
        lower = round(drawn.uniform(0, 10), 2)
        entry["predictionWarningBoundaries"] = {"lower": lower, "upper": lower + 100}
    return entry
