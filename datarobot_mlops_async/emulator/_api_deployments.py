"""The routes of `deployments/`: the list, one deployment, what can be done to it and what is known about it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ._fleet import Row
from ._http import Answer, Problem, encode, invalid_field, json_answer
from ._inputs import Body, Parameters
from ._operations import answer_list, answer_operation
from ._routing import route
from ._samples import HEALTHS, SAMPLES, Json, Sampler, seeded_by, subject_of, timestamp
from ._selection import IMPORTANCES, select

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from datetime import datetime

    from ._http import Request
    from ._settings import Settings
    from ._state import State

_ON_THE_WAY = {"active": "launching", "inactive": "stopping"}
_CHANGING = ("launching", "stopping", "replacingModel")
# What servers on customers' own machines, years behind the page, leave out.
_UNKNOWN_TO_OLDER = (
    "status", "createdAt", "settings", "tags", "importance", "governance", "predictionEnvironment",
)  # fmt: skip
_ONE = "/deployments/{deployment_id}/"
_FEATURE_ORDERS = ("name", "-name", "importance", "-importance")
_DATE_WORDS = ("date", "login", "_at", "time", "service")


@route("GET /deployments/")
def _list(state: State, request: Request) -> Answer:
    parameters = Parameters(request)
    page = parameters.page()
    rows = select(state.fleet, parameters)
    return answer_list(state, request, rows, page, encoded=_encoder(state.settings))


@route("POST /deployments/fromLearningModel/")
def _create(state: State, request: Request) -> Answer:
    settings = state.settings
    if not settings.can_create:
        raise Problem(403, "You do not have permission to create a deployment.")
    body = Body(request)
    model_id = body.text("modelId", required=True, shortest=1) or ""
    fields, wanted = _read_creation(state, body)
    if settings.max_deployments is not None and len(state.fleet) >= settings.max_deployments:
        raise Problem(409, "Your organization has reached the maximum number of deployments.")
    row = state.fleet.add(fields | {"status": "launching", "hasError": False}, model_id=model_id)
    return _answer_change(
        state, request, "Deployment creation", row, wanted, body=lambda _: {"id": row.deployment_id}
    )


def _answer_change(state: State, request: Request, kind: str, row: Row, wanted: str, **more: Any) -> Answer:
    """Start the operation at whose end a deployment has the status that is wanted, or an error."""
    return answer_operation(
        state,
        request,
        kind,
        resource=f"deployments/{row.deployment_id}/",
        done=partial(state.fleet.change, row, status=wanted, hasError=False),
        failed=partial(state.fleet.change, row, status="errored", hasError=True),
        **more,
    )


def _read_creation(state: State, body: Body) -> tuple[Json, str]:
    """Return the fields of the new deployment and the status that it shall have."""
    label = body.text("label", required=True, longest=512, shortest=1)
    # The page requires a description, null at least; the service has to do without one, as the
    # official SDK leaves null out.
    description = body.text("description", nullable=True, longest=10_000)
    importance = body.text("importance", allowed=IMPORTANCES, nullable=True) or "LOW"
    wanted = body.text("status", allowed=_ON_THE_WAY, nullable=True) or "active"
    body.number("predictionThreshold", lowest=0, highest=1)
    body.boolean("grantInitialDeploymentRolesFromProject")
    fields: Json = {"label": label, "description": description, "importance": importance}
    server_id = body.text("defaultPredictionServerId")
    if server_id is not None:
        servers = {server["id"]: server for server in state.fleet.surroundings["predictionServers"]}
        if server_id not in servers:
            raise invalid_field("defaultPredictionServerId", "prediction server does not exist")
        fields["defaultPredictionServer"] = servers[server_id]
    return fields, wanted


@route(f"GET {_ONE}")
def _get(state: State, request: Request) -> Answer:
    return json_answer(_encoder(state.settings)(state.deployment(request)))


@route(f"PATCH {_ONE}")
def _update(state: State, request: Request) -> Answer:
    row = state.deployment(request)
    body = Body(request)
    label = body.text("label", nullable=True, longest=512, shortest=1)
    importance = body.text("importance", allowed=IMPORTANCES)
    description = body.text("description", nullable=True, longest=10_000)
    given = {"label": label, "importance": importance}
    fields: Json = {name: value for name, value in given.items() if value is not None}
    if "description" in body.fields:
        fields["description"] = description
    state.fleet.change(row, **fields)
    return Answer(status=204)


@route(f"DELETE {_ONE}")
def _delete(state: State, request: Request) -> Answer:
    row = state.deployment(request)
    Parameters(request).boolean("ignoreManagementAgent")
    if row.body["status"] in _CHANGING:
        raise Problem(422, "Deployment is in process of status change and cannot be deleted.")
    state.delete(row)
    return Answer(status=204)


@route(f"PATCH {_ONE}status/")
def _set_status(state: State, request: Request) -> Answer:
    row = state.deployment(request)
    wanted = Body(request).text("status", allowed=_ON_THE_WAY, required=True) or ""
    _check_transition(row, wanted)
    state.fleet.change(row, status=_ON_THE_WAY[wanted])
    return _answer_change(state, request, "Deployment status change", row, wanted)


def _check_transition(row: Row, wanted: str) -> None:
    before = row.body["status"]
    if before == wanted:
        raise Problem(409, f"Deployment is already {wanted}.")
    if before in _CHANGING:
        raise Problem(409, "Deployment is already in process of status change.")
    if before == "archived":
        raise Problem(422, "The status of an archived deployment cannot be changed.")


@route(f"POST {_ONE}onDemandReports/")
def _report(state: State, request: Request) -> Answer:
    state.deployment(request)
    Body(request).text("id", required=True, shortest=1)
    # Nothing that could be fetched comes of it: the report is sent to those it is scheduled for.
    return answer_operation(state, request, "Deployment report", status=200)


def _encoder(settings: Settings) -> Callable[[Row], bytes]:
    """Return what makes JSON of a deployment, in the dialect of the settings."""
    if settings.dialect == "page":
        return Row.encode
    dialect = _older if settings.dialect == "older" else _newer
    return lambda row: encode(dialect(row.body))


def _older(body: Json) -> Json:
    kept = {name: value for name, value in body.items() if name not in _UNKNOWN_TO_OLDER}
    kept |= {name: {"status": body[name]["status"]} for name in HEALTHS}
    kept["model"] = {name: value for name, value in body["model"].items() if name != "targetType"}
    return kept


def _newer(body: Json) -> Json:
    health = {"status": "notStarted", "message": "", "startDate": None, "endDate": None}
    usage, environment = body["predictionUsage"], body["predictionEnvironment"]
    added: Json = {
        "predictionUsage": usage | {"dailyRates": [rate + 0.5 for rate in usage["dailyRates"]]},
        "fairnessHealth": health,
        "customMetricsHealth": health,
        "creator": body["owners"]["preview"][0],
        "isA2AAgent": False,
    }
    if body["importance"] == "CRITICAL":
        added["importance"] = "BUSINESS_CRITICAL"
    if environment["platform"] == "onPremise":
        added["predictionEnvironment"] = environment | {"platform": "edge"}
    return body | added


def has_scoring_code(body: Json) -> bool:
    """Tell whether a deployment's champion can be downloaded as scoring code."""
    return bool(body["model"]["buildEnvironmentType"] == "DataRobot")


@route(f"GET {_ONE}capabilities/")
def _capabilities(state: State, request: Request) -> Answer:
    body = state.deployment(request).body
    drawn = seeded_by("capabilities", body["id"])
    found = []
    for name in SAMPLES["capabilities"]:
        supported = drawn.random() < 0.8
        if name == "supports_scoring_code_download":
            supported = has_scoring_code(body)
        messages = [] if supported else ["Not available for the current model."]
        found.append({"name": name, "supported": supported, "messages": messages})
    return json_answer({"data": found})


@route(f"GET {_ONE}features/")
def _features(state: State, request: Request) -> Answer:
    parameters = Parameters(request)
    features = _draw_features(state.deployment(request))
    page = parameters.page(default=1000, maximum=1000, zero_is_all=True)
    if not parameters.boolean("includeNonPredictionFeatures"):
        features = [feature for feature in features if feature["name"] not in SAMPLES["unusedFeatures"]]
    if parameters.boolean("forSegmentedAnalysis"):
        features = [feature for feature in features if feature["featureType"] == "Categorical"]
    needle = (parameters.text("search") or "").casefold()
    found = [feature for feature in features if needle in feature["name"].casefold()]
    order = parameters.text("orderBy", allowed=_FEATURE_ORDERS)
    if order is not None:
        key = order.removeprefix("-")
        found.sort(
            key=lambda feature: (feature[key] is not None, feature[key]), reverse=order.startswith("-")
        )
    return answer_list(state, request, found, page)


def _draw_features(row: Row) -> list[Json]:
    """Return every raw feature of a deployment's universe dataset, most important first."""
    drawn = seeded_by("features", row.deployment_id)
    names = [
        *subject_of(row.body["label"])["features"],
        *(f"x_{n:03}" for n in range(drawn.randrange(4, 40))),
    ]
    features = [_draw_feature(drawn, name, row.created) for name in (*names, *SAMPLES["unusedFeatures"])]
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
def _history(state: State, request: Request) -> Answer:
    row = state.deployment(request)
    page = Parameters(request).page()
    drawn = seeded_by("history", row.deployment_id)
    span = state.settings.epoch - row.created
    shares = sorted(drawn.uniform(0, 1) for _ in range(drawn.randrange(4)))
    starts = [row.created, *(row.created + span * share for share in shares)]
    ends = [timestamp(start, fraction=True) for start in starts[1:]]
    entries = [
        _draw_champion(drawn, row.body, number, start, end)
        for number, (start, end) in enumerate(zip(starts, [*ends, None], strict=True), start=1)
    ]
    return answer_list(state, request, entries[::-1], page)


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
