"""Sample data: deployments that look like a real fleet, each varied from a template by a seed of its own."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import frozen

Json = dict[str, Any]

SAMPLES: Json = json.loads(Path(__file__).with_name("samples.json").read_bytes())
MESSAGES: dict[str, str] = SAMPLES["healthMessages"]
HEALTHS = ("serviceHealth", "modelHealth", "accuracyHealth")
_SUBJECTS: list[Json] = SAMPLES["subjects"]


def seeded(seed: object) -> random.Random:
    """Return a generator of test data: the same seed is the same data, in every process."""
    return random.Random(str(seed))  # noqa: S311 - test data, not a secret


def seeded_by(purpose: str, drawn_id: str) -> random.Random:
    """Return a generator by the part of an id that is chance: its data is the same whenever the emulator runs."""
    return seeded(f"{purpose} {drawn_id[8:]}")


def object_id(drawn: random.Random, moment: datetime) -> str:
    """Draw an id in the form of the service's: seconds since 1970, then chance, in 24 hexadecimal digits."""
    return f"{int(moment.timestamp()):08x}{drawn.getrandbits(64):016x}"


def timestamp(moment: datetime, *, fraction: bool = False, offset: bool = False) -> str:
    """Word a moment. The service is not consistent about fractions and about `Z` against an offset."""
    text = moment.isoformat(timespec="microseconds" if fraction else "seconds")
    return text if offset else text.replace("+00:00", "Z")


def subject_of(label: str) -> Json:
    """Return what a deployment predicts, by its label."""
    return next((subject for subject in _SUBJECTS if label.startswith(subject["title"])), _SUBJECTS[0])


def _weighed(drawn: random.Random, weights: dict[str, int]) -> str:
    return drawn.choices(list(weights), list(weights.values()))[0]


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
    drawn = seeded(f"surroundings {seed}")

    def new_id() -> str:
        return object_id(drawn, epoch - timedelta(days=900) + timedelta(seconds=drawn.randrange(10**7)))

    return Surroundings(
        epoch=epoch,
        people=tuple(_person(new_id(), *names) for names in SAMPLES["people"]),
        environments=tuple(_environment(new_id(), *words) for words in SAMPLES["platforms"]),
        servers=tuple(
            {
                "id": new_id(),
                "url": f"https://prediction-{number}.example.com",
                "datarobot-key": f"{drawn.getrandbits(96):024x}",
            }
            for number in (1, 2, 3)
        ),
        custom_models=tuple(_custom_model(drawn, new_id) for _ in range(9)),
    )


def _person(person_id: str, first: str, last: str) -> Json:
    email = f"{first}.{last}@example.com".lower().replace("á", "a")
    return {"id": person_id, "email": email, "firstName": first, "lastName": last}


def _environment(environment_id: str, name: str, platform: str) -> Json:
    is_managed = platform in ("aws", "onPremise")
    own = platform.startswith("datarobot")
    return {
        "id": environment_id,
        "name": name,
        "platform": platform,
        "isManagedByManagementAgent": is_managed,
        "plugin": "k8s-agent" if is_managed else None,
        "supportedModelFormats": ["datarobot", "customModel" if own else "datarobotScoringCode"],
    }


def _custom_model(drawn: random.Random, new_id: Any) -> Json:
    major = drawn.randrange(1, 5)
    return {
        "customModelId": new_id(),
        "customModelName": f"{drawn.choice(_SUBJECTS)['title']} ({drawn.choice(('sklearn', 'PyTorch', 'R'))})",
        "customModelVersionId": new_id(),
        "customModelVersionLabel": f"v{major}.{drawn.randrange(10)}",
        "executionEnvironmentId": new_id(),
        "executionEnvironmentName": drawn.choice(SAMPLES["environments"]),
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
    subject = drawn.choice(_SUBJECTS)
    title = subject["title"]
    region, stage, team = (drawn.choice(SAMPLES[name]) for name in ("regions", "stages", "teams"))
    status = _weighed(drawn, SAMPLES["statuses"])
    monthly, prose = f"Owned by {team}. Retrained monthly.", f"{title} scores for {region}, read by {team}."
    body: Json = {
        "id": deployment_id,
        "label": f"{title} · {region} · {stage} v{drawn.randrange(1, 12)}",
        "description": drawn.choice((None, monthly, prose)),
        "createdAt": timestamp(created, fraction=True),
        "importance": _weighed(drawn, SAMPLES["importances"]),
        "status": status,
        "hasError": status == "errored",
        **_governance(drawn, created),
        **_people(drawn, surroundings),
        "tags": _tags(drawn, team, stage),
        "settings": {
            "batchMonitoringEnabled": drawn.random() < 0.1,
            "humbleAiEnabled": drawn.random() < 0.2,
            "predictionIntervalsEnabled": subject["targetType"] == "Regression" and drawn.random() < 0.5,
            "predictionWarningEnabled": drawn.random() < 0.2,
        },
        "predictionEnvironment": drawn.choice(surroundings.environments),
        "defaultPredictionServer": drawn.choice(surroundings.servers),
        "predictionUsage": _usage(drawn, last_prediction),
        "serviceHealth": _health(drawn, surroundings.epoch, last_prediction, message=False),
        "modelHealth": _health(drawn, surroundings.epoch, last_prediction),
        "accuracyHealth": _health(drawn, surroundings.epoch, last_prediction),
        "model": _model(drawn, surroundings, subject, created),
        **_packages(drawn, f"{title} ({region})", created),
    }
    if drawn.random() < 0.3:
        body["userProvidedId"] = f"{team}-{title.lower().replace(' ', '-')}-{deployment_id[-6:]}"
    return body


def _governance(drawn: random.Random, created: datetime) -> Json:
    is_approved = drawn.random() < 0.9
    approval = "APPROVED" if is_approved else "PENDING"
    return {
        "approvalStatus": approval,
        "governance": {"approvalStatus": approval, "hasOpenedChangeRequests": not is_approved},
        "openedChangeRequests": [] if is_approved else [object_id(drawn, created)],
    }


def _people(drawn: random.Random, surroundings: Surroundings) -> Json:
    count = drawn.choices((1, 2, 3), (6, 3, 1))[0]
    preview = drawn.sample(surroundings.people, count)
    permissions = SAMPLES["ownerPermissions" if surroundings.me in preview else "userPermissions"]
    if drawn.random() < 0.02:
        preview[0] = {"id": preview[0]["id"], "email": None, "firstName": None, "lastName": None}
    return {"owners": {"count": count, "preview": preview}, "permissions": permissions}


def _tags(drawn: random.Random, team: str, stage: str) -> list[Json]:
    pairs = [("team", team), ("stage", stage), ("cost-center", f"cc-{drawn.randrange(100, 120)}")]
    chosen = pairs[: drawn.randrange(len(pairs) + 1)]
    return [{"id": f"{drawn.getrandbits(96):024x}", "name": name, "value": value} for name, value in chosen]


def _usage(drawn: random.Random, last_prediction: datetime | None) -> Json:
    if last_prediction is None:
        return {"dailyRates": [0] * 7, "lastTimestamp": None}
    scale = 10 ** drawn.randrange(1, 6)
    rates = [drawn.randrange(scale) for _ in range(7)]
    return {"dailyRates": rates, "lastTimestamp": timestamp(last_prediction, offset=True)}


def _health(drawn: random.Random, epoch: datetime, last: datetime | None, *, message: bool = True) -> Json:
    day = epoch.replace(hour=0, minute=0)
    body = {"status": "notStarted", "startDate": None, "endDate": None, "message": ""}
    if last is not None:
        status = _weighed(drawn, SAMPLES["healths"])
        start, end = timestamp(day - timedelta(days=7)), timestamp(day)
        body = {"status": status, "startDate": start, "endDate": end, "message": MESSAGES[status]}
    if not message:
        del body["message"]
    return body


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


def _model(drawn: random.Random, surroundings: Surroundings, subject: Json, created: datetime) -> Json:
    is_custom, is_external = drawn.random() < 0.3, drawn.random() < 0.15
    from_project = not (is_custom or is_external)
    body: Json = {
        "id": object_id(drawn, created - timedelta(days=2)),
        "type": drawn.choice(SAMPLES["modelTypes"]),
        "targetType": subject["targetType"],
        "projectId": object_id(drawn, created - timedelta(days=9)) if from_project else None,
        "projectName": f"{subject['title']} {created.year}" if from_project else None,
        "buildEnvironmentType": "DataRobot",
        "deployedAt": timestamp(created + timedelta(minutes=4)),
        "isDeprecated": drawn.random() < 0.05,
        "unstructuredModelKind": subject["targetType"] == "TextGeneration",
        "unsupervisedMode": subject["unsupervised"] is not None,
        "unsupervisedType": subject["unsupervised"],
    }
    if subject["target"] is not None:
        body["targetName"] = subject["target"]
    if is_custom:
        body["customModelImage"] = drawn.choice(surroundings.custom_models)
        body |= {
            "type": "Custom Inference Model",
            "buildEnvironmentType": drawn.choice(("Python", "R", "Java")),
        }
    elif is_external:
        body |= {"type": "External Model", "buildEnvironmentType": drawn.choice(("Python", "Julia", "Other"))}
    return body
