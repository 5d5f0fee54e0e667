"""Capabilities, features and champion history, drawn from a deployment's own id."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from attrs import frozen

from ._drawing import Json, chance_of, object_id, timestamp
from ._vocabulary import SUBJECTS, Subject

if TYPE_CHECKING:
    from datetime import datetime

_CAPABILITIES = (
    "supports_challenger_models",
    "supports_feature_drift_tracking",
    "supports_humility_rules",
    "supports_humility_rules_default_calculations",
    "supports_humility_recommended_rules",
    "supports_target_drift_tracking",
    "supports_retraining",
    "supports_segmented_analysis_drift_and_accuracy",
    "supports_scoring_code_download",
    "supports_model_package_download",
    "supports_prediction_explanations",
    "supports_automatic_actuals",
)
_REASONS = ("DATA_DRIFT", "ACCURACY", "SCHEDULED_REFRESH", "SCORING_SPEED", "ERRORS", "OTHER")
_DATE_WORDS = ("date", "login", "_at", "time", "service")


@frozen(kw_only=True)
class DrawnFeature:
    """A feature, whether predictions use it, and whether it can split an analysis into segments."""

    body: Json
    used: bool
    segments: bool


def has_scoring_code(body: Json) -> bool:
    """Tell whether a deployment's champion can be downloaded as scoring code."""
    return bool(body["model"]["buildEnvironmentType"] == "DataRobot")


def draw_capabilities(body: Json) -> list[Json]:
    """Return the capabilities of a deployment."""
    drawn = _drawn_for(body, "capabilities")
    found = []
    for name in _CAPABILITIES:
        supported = drawn.random() < 0.8
        if name == "supports_scoring_code_download":
            supported = has_scoring_code(body)
        messages = [] if supported else ["Not available for the current model."]
        found.append({"name": name, "supported": supported, "messages": messages})
    return found


def draw_features(body: Json) -> list[DrawnFeature]:
    """Return every raw feature of a deployment's universe dataset, most important first."""
    drawn = _drawn_for(body, "features")
    subject = _subject(body["label"])
    names = [*subject.features, *(f"x_{number:03}" for number in range(drawn.randrange(4, 40)))]
    features = [_feature(drawn, name, used=True) for name in names]
    features += [_feature(drawn, name, used=False) for name in ("row_id", "ingested_at", "partition")]
    return sorted(features, key=lambda feature: feature.body["importance"] or 0.0, reverse=True)


def draw_history(body: Json, *, created: datetime, now: datetime) -> list[Json]:
    """Return the champions of a deployment, the current one first."""
    drawn = _drawn_for(body, "history")
    changes = sorted(drawn.uniform(0, 1) for _ in range(drawn.randrange(4)))
    starts = [created, *(created + (now - created) * share for share in changes)]
    ends = [*starts[1:], None]
    entries = [
        _champion(drawn, body, start, end, number)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1)
    ]
    entries.reverse()
    return entries


def _drawn_for(body: Json, purpose: str) -> random.Random:
    return random.Random(f"{purpose} {chance_of(body['id'])}")  # noqa: S311 - test data, not a secret


def _subject(label: str) -> Subject:
    for subject in SUBJECTS:
        if label.startswith(subject.title):
            return subject
    return SUBJECTS[0]


def _feature(drawn: random.Random, name: str, *, used: bool) -> DrawnFeature:
    kind = (
        "Date"
        if any(word in name for word in _DATE_WORDS)
        else drawn.choice(("Numeric", "Categorical", "Text"))
    )
    body = {
        "name": name,
        "featureType": kind if drawn.random() < 0.97 else None,
        "importance": round(drawn.random(), 4) if used and drawn.random() < 0.9 else None,
        "dateFormat": "%Y-%m-%d %H:%M:%S" if kind == "Date" else None,
        "knownInAdvance": used and name in ("promotion", "holiday"),
    }
    return DrawnFeature(body=body, used=used, segments=kind == "Categorical")


def _champion(drawn: random.Random, body: Json, start: datetime, end: datetime | None, number: int) -> Json:
    model = body["model"]
    entry: Json = {
        "startDate": timestamp(start, fraction=True),
        "endDate": None if end is None else timestamp(end, fraction=True),
        "forecastStartDate": None,
        "forecastEndDate": None,
        "replacementReason": None if number == 1 else drawn.choice(_REASONS),
        "modelPackage": {
            "id": body["modelPackage"]["id"] if end is None else object_id(drawn, start),
            "modelId": model["id"] if end is None else object_id(drawn, start),
            "name": f"{body['modelPackage']['name']} v{number}",
            "predictionThreshold": 0.5 if model["targetType"] == "Binary" else None,
            "registeredModelId": body["modelPackage"]["registeredModelId"],
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
