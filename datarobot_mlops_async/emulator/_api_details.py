"""The routes of what is known about one deployment besides itself: capabilities, features, champion history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._http import Answer, json_answer
from ._inputs import Parameters
from ._operations import answer_list
from ._routing import route
from ._samples import SAMPLES, Json, object_id, seeded_by, subject_of, timestamp

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from ._http import Request
    from ._state import State

_ONE = "/deployments/{deployment_id}/"
_FEATURE_ORDERS = ("name", "-name", "importance", "-importance")
_DATE_WORDS = ("date", "login", "_at", "time", "service")
_UNUSED = ("row_id", "ingested_at", "partition")


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
    features = _draw_features(state.deployment(request).body)
    page = parameters.page(default=1000, maximum=1000, zero_is_all=True)
    if not parameters.boolean("includeNonPredictionFeatures"):
        features = [feature for feature in features if feature["name"] not in _UNUSED]
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


def _draw_features(body: Json) -> list[Json]:
    """Return every raw feature of a deployment's universe dataset, most important first."""
    drawn = seeded_by("features", body["id"])
    names = [*subject_of(body["label"])["features"], *(f"x_{n:03}" for n in range(drawn.randrange(4, 40)))]
    features = [_feature(drawn, name) for name in (*names, *_UNUSED)]
    return sorted(features, key=lambda feature: feature["importance"] or 0.0, reverse=True)


def _feature(drawn: random.Random, name: str) -> Json:
    is_used = name not in _UNUSED
    is_date = any(word in name for word in _DATE_WORDS)
    kind = "Date" if is_date else drawn.choice(("Numeric", "Categorical", "Text"))
    return {
        "name": name,
        "featureType": kind if drawn.random() < 0.97 else None,
        "importance": round(drawn.random(), 4) if is_used and drawn.random() < 0.9 else None,
        "dateFormat": "%Y-%m-%d %H:%M:%S" if is_date else None,
        "knownInAdvance": name in ("promotion", "holiday"),
    }


@route(f"GET {_ONE}modelHistory/")
def _history(state: State, request: Request) -> Answer:
    row = state.deployment(request)
    page = Parameters(request).page()
    drawn = seeded_by("history", row.deployment_id)
    span = state.settings.epoch - row.created
    shares = sorted(drawn.uniform(0, 1) for _ in range(drawn.randrange(4)))
    starts = [row.created, *(row.created + span * share for share in shares)]
    entries = [
        _champion(drawn, row.body, start, end, number)
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], None], strict=True), start=1)
    ]
    return answer_list(state, request, entries[::-1], page)


def _champion(drawn: random.Random, body: Json, start: datetime, end: datetime | None, number: int) -> Json:
    model, package = body["model"], body["modelPackage"]
    is_current = end is None
    entry: Json = {
        "startDate": timestamp(start, fraction=True),
        "endDate": None if end is None else timestamp(end, fraction=True),
        "forecastStartDate": None,
        "forecastEndDate": None,
        "replacementReason": None if number == 1 else drawn.choice(SAMPLES["replacementReasons"]),
        "modelPackage": {
            "id": package["id"] if is_current else object_id(drawn, start),
            "modelId": model["id"] if is_current else object_id(drawn, start),
            "name": f"{package['name']} v{number}",
            "predictionThreshold": 0.5 if model["targetType"] == "Binary" else None,
            "registeredModelId": package["registeredModelId"],
        },
    }
    if model["projectId"] is not None:
        entry["modelPackage"]["projectId"] = model["projectId"]
    if "customModelImage" in model:
        entry["customModelImage"] = model["customModelImage"]
    if model["targetType"] == "Regression":
        lower = round(drawn.uniform(0, 10), 2)
        entry["predictionWarningBoundaries"] = {"lower": lower, "upper": lower + 100}
    return entry
