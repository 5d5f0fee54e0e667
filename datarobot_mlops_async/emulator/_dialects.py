"""How servers older or newer than the published page word a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._fleet import encode

if TYPE_CHECKING:
    from ._drawing import Json
    from ._fleet import Row
    from ._settings import Settings

# What servers on customers' own machines, years behind the page, leave out.
_UNKNOWN_TO_OLDER = (
    "status",
    "createdAt",
    "settings",
    "tags",
    "importance",
    "governance",
    "predictionEnvironment",
)
_HEALTHS = ("serviceHealth", "modelHealth", "accuracyHealth")


def encode_deployment(row: Row, settings: Settings) -> bytes:
    """Return a deployment in JSON, in the dialect of the settings."""
    if settings.dialect == "page":
        return row.encode()
    return encode(_older(row.body) if settings.dialect == "older" else _newer(row.body))


def _older(body: Json) -> Json:
    kept = {name: value for name, value in body.items() if name not in _UNKNOWN_TO_OLDER}
    kept |= {name: {"status": body[name]["status"]} for name in _HEALTHS}
    kept["model"] = {name: value for name, value in body["model"].items() if name != "targetType"}
    return kept


def _newer(body: Json) -> Json:
    health = {"status": "notStarted", "message": "", "startDate": None, "endDate": None}
    creator = body["owners"]["preview"][0]
    usage = body["predictionUsage"]
    rates = {"dailyRates": [rate + 0.5 for rate in usage["dailyRates"]]}
    added = {
        "predictionUsage": usage | rates,
        "fairnessHealth": health,
        "customMetricsHealth": health,
        "creator": creator,
        "isA2AAgent": False,
    }
    if body["importance"] == "CRITICAL":
        added["importance"] = "BUSINESS_CRITICAL"
    if body["predictionEnvironment"]["platform"] == "onPremise":
        added["predictionEnvironment"] = body["predictionEnvironment"] | {"platform": "edge"}
    return body | added


def word_bundle(bundle: Json, settings: Settings) -> Json:
    """Return a resource bundle in the dialect of the settings: outside the page, null has been seen in it."""
    return bundle if settings.dialect == "page" else bundle | {"description": None}
