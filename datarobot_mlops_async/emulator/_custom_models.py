"""How the routes for custom models see a deployment, and what such a deployment logs."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from ._drawing import Json, chance_of, timestamp

_TESTING = (
    "succeeded",
    "succeeded",
    "succeeded",
    "not_tested",
    "warning",
    "failed",
    "in_progress",
    "skipped",
)
_LINES = 40


def describe_custom_model_deployment(body: Json) -> Json:
    """Return the row of `customModelDeployments/` for a deployment of a custom model."""
    image = body["model"]["customModelImage"]
    owner = body["owners"]["preview"][0]
    drawn = random.Random(f"testing {chance_of(body['id'])}")  # noqa: S311 - test data, not a secret
    return {
        "id": body["id"],
        "label": body["label"],
        "status": body["status"],
        "deployed": body["model"]["deployedAt"],
        "deployedBy": f"{owner['firstName']} {owner['lastName']}" if owner["lastName"] else owner["id"],
        "customModel": {"id": image["customModelId"], "name": image["customModelName"]},
        "customModelVersion": {
            "id": image["customModelVersionId"],
            "label": image["customModelVersionLabel"],
        },
        "customModelImageId": f"{drawn.getrandbits(96):024x}",
        "executionEnvironment": {
            "id": image["executionEnvironmentId"],
            "name": image["executionEnvironmentName"],
        },
        "executionEnvironmentVersion": {
            "id": image["executionEnvironmentVersionId"],
            "label": image["executionEnvironmentVersionLabel"],
        },
        "imageType": drawn.choice(("customModelImage", "customModelVersion")),
        "testingStatus": drawn.choice(_TESTING),
    }


def write_deployment_log(body: Json) -> str:
    """Return what was logged while the model was brought up."""
    image = body["model"]["customModelImage"]
    steps = (
        f"Pulling execution environment {image['executionEnvironmentName']}",
        f"Installing dependencies of {image['customModelName']} {image['customModelVersionLabel']}",
        "Starting the prediction server",
        "Readiness probe passed",
        f"Deployment {body['id']} is ready",
    )
    begun = datetime.fromisoformat(body["model"]["deployedAt"])
    lines = [f"{timestamp(begun + timedelta(seconds=9 * i))} INFO {step}" for i, step in enumerate(steps)]
    return "\n".join(lines) + "\n"


def write_prediction_log(body: Json, log_id: str) -> str:
    """Return what the model has logged while it predicted."""
    drawn = random.Random(f"log {chance_of(log_id)}")  # noqa: S311 - test data, not a secret
    moment = datetime.fromisoformat(body["model"]["deployedAt"])
    lines = []
    for _ in range(_LINES):
        moment += timedelta(seconds=drawn.expovariate(1 / 30))
        rows, took = drawn.randrange(1, 2000), drawn.uniform(4, 90)
        lines.append(f"{timestamp(moment, fraction=True)} INFO POST /predict/ 200 rows={rows} {took:.1f}ms")
    return "\n".join(lines) + "\n"
