"""Deployments that look like a real fleet, each drawn from a seed and its place in the fleet."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from ._vocabulary import (
    ENVIRONMENTS,
    FIRST_NAMES,
    LAST_NAMES,
    MODEL_TYPES,
    PLATFORMS,
    REGIONS,
    STAGES,
    SUBJECTS,
    TEAMS,
    Subject,
)

Json = dict[str, Any]


def object_id(drawn: random.Random, moment: datetime) -> str:
    """Draw an id in the form of the service's: seconds since 1970, then chance, in 24 hexadecimal digits."""
    return f"{int(moment.timestamp()):08x}{drawn.getrandbits(64):016x}"


def chance_of(drawn_id: str) -> str:
    """Return the part of an id that is drawn: what depends on it is the same whenever the emulator runs."""
    return drawn_id[8:]


def timestamp(moment: datetime, *, fraction: bool = False, offset: bool = False) -> str:
    """Word a moment. The service is not consistent about fractions and about `Z` against an offset."""
    text = moment.isoformat(timespec="microseconds" if fraction else "seconds")
    return text if offset else text.replace("+00:00", "Z")


@frozen(kw_only=True)
class Surroundings:
    """What the deployments of one fleet share: people, environments, servers."""

    epoch: datetime
    people: tuple[Json, ...]
    environments: tuple[Json, ...]
    servers: tuple[Json, ...]
    custom_models: tuple[Json, ...]

    @property
    def me(self) -> Json:
        """The person whose token the emulator accepts."""
        return self.people[0]


def draw_surroundings(seed: int, epoch: datetime) -> Surroundings:
    """Draw what the fleet of this seed shares."""
    drawn = random.Random(f"surroundings {seed}")  # noqa: S311 - test data, not a secret
    begun = epoch - timedelta(days=900)

    def new_id() -> str:
        return object_id(drawn, begun + timedelta(seconds=drawn.randrange(10**7)))

    people = tuple(
        _person(new_id(), first, last) for first, last in zip(FIRST_NAMES, LAST_NAMES, strict=True)
    )
    environments = tuple(
        {
            "id": new_id(),
            "name": name,
            "platform": platform,
            "isManagedByManagementAgent": platform in ("aws", "onPremise"),
            "plugin": "k8s-agent" if platform in ("aws", "onPremise") else None,
            "supportedModelFormats": ["datarobot", "customModel"]
            if platform.startswith("datarobot")
            else ["datarobot", "datarobotScoringCode"],
        }
        for name, platform in PLATFORMS
    )
    servers = tuple(
        {
            "id": new_id(),
            "url": f"https://prediction-{number}.example.com",
            "datarobot-key": f"{drawn.getrandbits(96):024x}",
        }
        for number in (1, 2, 3)
    )
    custom_models = tuple(_custom_model(drawn, new_id) for _ in range(9))
    return Surroundings(
        epoch=epoch,
        people=people,
        environments=environments,
        servers=servers,
        custom_models=custom_models,
    )


def _person(person_id: str, first: str, last: str) -> Json:
    return {
        "id": person_id,
        "email": f"{first}.{last}@example.com".lower().replace("á", "a"),
        "firstName": first,
        "lastName": last,
    }


def _custom_model(drawn: random.Random, new_id: Any) -> Json:
    major = drawn.randrange(1, 5)
    return {
        "customModelId": new_id(),
        "customModelName": f"{drawn.choice(SUBJECTS).title} ({drawn.choice(('sklearn', 'PyTorch', 'R'))})",
        "customModelVersionId": new_id(),
        "customModelVersionLabel": f"v{major}.{drawn.randrange(10)}",
        "executionEnvironmentId": new_id(),
        "executionEnvironmentName": drawn.choice(ENVIRONMENTS),
        "executionEnvironmentVersionId": new_id(),
        "executionEnvironmentVersionLabel": f"v{drawn.randrange(1, 20)}",
    }


def draw_deployment(
    drawn: random.Random,
    surroundings: Surroundings,
    *,
    deployment_id: str,
    created: datetime,
    last_prediction: datetime | None,
) -> Json:
    """Draw everything about a deployment that is not given."""
    subject = drawn.choice(SUBJECTS)
    region, stage, team = drawn.choice(REGIONS), drawn.choice(STAGES), drawn.choice(TEAMS)
    body: Json = {
        "id": deployment_id,
        "label": f"{subject.title} · {region} · {stage} v{drawn.randrange(1, 12)}",
        "description": _description(drawn, subject, region, team),
        "createdAt": timestamp(created, fraction=True),
        "importance": drawn.choices(("CRITICAL", "HIGH", "MODERATE", "LOW"), (1, 3, 5, 8))[0],
        **_state(drawn),
        **_governance(drawn, created),
        **_people(drawn, surroundings),
        "tags": _tags(drawn, team, stage),
        "settings": _settings(drawn, subject),
        "predictionEnvironment": drawn.choice(surroundings.environments),
        "defaultPredictionServer": drawn.choice(surroundings.servers),
        "predictionUsage": _usage(drawn, last_prediction),
        "serviceHealth": _health(drawn, surroundings.epoch, last_prediction, message=False),
        "modelHealth": _health(drawn, surroundings.epoch, last_prediction),
        "accuracyHealth": _health(drawn, surroundings.epoch, last_prediction),
        "model": _model(drawn, surroundings, subject, created),
        **_packages(drawn, f"{subject.title} ({region})", created),
    }
    if drawn.random() < 0.3:
        body["userProvidedId"] = f"{team}-{subject.title.lower().replace(' ', '-')}-{deployment_id[-6:]}"
    return body


_STATUSES = ("active", "inactive", "errored", "archived")
_STATUS_WEIGHTS = (80, 14, 3, 3)
_OWNER_PERMISSIONS = (
    "CAN_ADD_CHALLENGERS",
    "CAN_CHANGE_STATUS",
    "CAN_DELETE_DEPLOYMENT",
    "CAN_DOWNLOAD_SCORING_CODE",
    "CAN_EDIT_DEPLOYMENT",
    "CAN_GENERATE_PREDICTIONS",
    "CAN_VIEW",
)
_USER_PERMISSIONS = ("CAN_GENERATE_PREDICTIONS", "CAN_VIEW")


def _description(drawn: random.Random, subject: Subject, region: str, team: str) -> str | None:
    monthly = f"Owned by {team}. Retrained monthly."
    return drawn.choice((None, monthly, f"{subject.title} scores for {region}, read by {team}."))


def _state(drawn: random.Random) -> Json:
    status = drawn.choices(_STATUSES, _STATUS_WEIGHTS)[0]
    return {"status": status, "hasError": status == "errored"}


def _governance(drawn: random.Random, created: datetime) -> Json:
    approved = drawn.random() < 0.9
    approval = "APPROVED" if approved else "PENDING"
    return {
        "approvalStatus": approval,
        "governance": {"approvalStatus": approval, "hasOpenedChangeRequests": not approved},
        "openedChangeRequests": [] if approved else [object_id(drawn, created)],
    }


def _people(drawn: random.Random, surroundings: Surroundings) -> Json:
    count = drawn.choices((1, 2, 3), (6, 3, 1))[0]
    preview = drawn.sample(surroundings.people, count)
    permissions = _OWNER_PERMISSIONS if surroundings.me in preview else _USER_PERMISSIONS
    if drawn.random() < 0.02:
        preview[0] = {"id": preview[0]["id"], "email": None, "firstName": None, "lastName": None}
    return {"owners": {"count": count, "preview": preview}, "permissions": list(permissions)}


def _settings(drawn: random.Random, subject: Subject) -> Json:
    return {
        "batchMonitoringEnabled": drawn.random() < 0.1,
        "humbleAiEnabled": drawn.random() < 0.2,
        "predictionIntervalsEnabled": subject.target_type == "Regression" and drawn.random() < 0.5,
        "predictionWarningEnabled": drawn.random() < 0.2,
    }


def _packages(drawn: random.Random, name: str, created: datetime) -> Json:
    downloaded = timestamp(created + timedelta(hours=5)) if drawn.random() < 0.2 else None
    return {
        "modelPackage": {
            "id": object_id(drawn, created),
            "name": name,
            "registeredModelId": object_id(drawn, created) if drawn.random() < 0.9 else None,
        },
        "modelPackageInitialDownload": {"timestamp": None},
        "scoringCodeInitialDownload": {"timestamp": downloaded},
    }


def _tags(drawn: random.Random, team: str, stage: str) -> list[Json]:
    pairs = [("team", team), ("stage", stage), ("cost-center", f"cc-{drawn.randrange(100, 120)}")]
    chosen = pairs[: drawn.randrange(len(pairs) + 1)]
    return [{"id": f"{drawn.getrandbits(96):024x}", "name": name, "value": value} for name, value in chosen]


def _usage(drawn: random.Random, last_prediction: datetime | None) -> Json:
    if last_prediction is None:
        return {"dailyRates": [0] * 7, "lastTimestamp": None}
    scale = 10 ** drawn.randrange(1, 6)
    rates: list[float] = [drawn.randrange(scale) for _ in range(7)]
    return {"dailyRates": rates, "lastTimestamp": timestamp(last_prediction, offset=True)}


def _health(drawn: random.Random, epoch: datetime, last: datetime | None, *, message: bool = True) -> Json:
    if last is None:
        return {"status": "notStarted", "startDate": None, "endDate": None} | (
            {"message": ""} if message else {}
        )
    status = drawn.choices(("passing", "warning", "failing", "unknown", "unavailable"), (70, 12, 6, 8, 4))[0]
    day = epoch.replace(hour=0, minute=0)
    body = {
        "status": status,
        "startDate": timestamp(day - timedelta(days=7)),
        "endDate": timestamp(day),
    }
    return body | ({"message": MESSAGES[status]} if message else {})


MESSAGES = {
    "passing": "Within the configured thresholds.",
    "warning": "One important feature has drifted.",
    "failing": "Several important features have drifted.",
    "unknown": "Not enough data in the period.",
    "unavailable": "Tracking is disabled for this deployment.",
}


def _model(drawn: random.Random, surroundings: Surroundings, subject: Subject, created: datetime) -> Json:
    custom, external = drawn.random() < 0.3, drawn.random() < 0.15
    body: Json = {
        "id": object_id(drawn, created - timedelta(days=2)),
        "type": drawn.choice(MODEL_TYPES),
        "targetType": subject.target_type,
        "projectId": None if custom or external else object_id(drawn, created - timedelta(days=9)),
        "projectName": None if custom or external else f"{subject.title} {created.year}",
        "buildEnvironmentType": "DataRobot",
        "deployedAt": timestamp(created + timedelta(minutes=4)),
        "isDeprecated": drawn.random() < 0.05,
        "unstructuredModelKind": subject.target_type == "TextGeneration",
        "unsupervisedMode": subject.unsupervised is not None,
        "unsupervisedType": subject.unsupervised,
    }
    if subject.target is not None:
        body["targetName"] = subject.target
    if custom:
        body["customModelImage"] = drawn.choice(surroundings.custom_models)
        body["type"] = "Custom Inference Model"
        body["buildEnvironmentType"] = drawn.choice(("Python", "R", "Java"))
    elif external:
        body["type"] = "External Model"
        body["buildEnvironmentType"] = drawn.choice(("Python", "Julia", "Other"))
    return body
