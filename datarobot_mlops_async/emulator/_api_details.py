"""The routes of what is known about one deployment besides itself: capabilities, features, champion history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._http import Answer, json_answer
from ._inputs import Parameters
from ._operations import answer_list
from ._routing import route
from ._samples import SAMPLES, Json, Sampler, seeded_by, subject_of, timestamp

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from ._fleet import Row
    from ._http import Request
    from ._state import State

_ONE = "/deployments/{deployment_id}/"
_FEATURE_ORDERS = ("name", "-name", "importance", "-importance")
_DATE_WORDS = ("date", "login", "_at", "time", "service")


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
