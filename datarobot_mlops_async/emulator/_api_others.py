"""The routes of deleted deployments, custom models, resource bundles, operations and the version."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from ._http import Answer, Problem, attachment, encode, invalid_field, json_answer, not_found
from ._inputs import Body, Parameters, path_id
from ._operations import answer_list, answer_operation, location
from ._routing import route
from ._samples import SAMPLES, Json, Sampler, seeded, seeded_by, timestamp

if TYPE_CHECKING:
    from ._fleet import Row
    from ._http import Request
    from ._state import State

_CUSTOM = "/customModelDeployments/"
_LOGS = f"{_CUSTOM}{{deployment_id}}/logs/"
_BUNDLES = "/mlops/compute/bundles/"
_LOG_LINES = 40


@route("GET /deletedDeployments/")
def _deleted(state: State, request: Request) -> Answer:
    _check_may_erase(state)
    page = Parameters(request).page()
    newest_first = list(reversed(state.deleted.values()))
    return answer_list(state, request, newest_first, page, show_total=False, last="")


@route("PATCH /deletedDeployments/")
def _erase(state: State, request: Request) -> Answer:
    _check_may_erase(state)
    body = Body(request)
    body.text("action", allowed=("PermanentlyErase",), required=True)
    deployment_ids = body.texts("deploymentIds", fewest=1, most=100)
    unknown = [name for name in deployment_ids if name not in state.deleted]
    if unknown:
        raise invalid_field("deploymentIds", f"not deleted deployments: {', '.join(unknown)}")
    return answer_operation(state, request, "Permanent erasure", done=partial(state.erase, deployment_ids))


def _check_may_erase(state: State) -> None:
    if not state.settings.can_erase:
        raise Problem(403, "You need the CAN_DELETE_APP_PROJECTS permission.")


@route(f"GET {_CUSTOM}")
def _custom_models(state: State, request: Request) -> Answer:
    parameters = Parameters(request, status=400)
    page = parameters.page(maximum=1000)
    models, environments = parameters.repeated("customModelIds"), parameters.repeated("environmentIds")

    def choose() -> list[Row]:
        images = ((row, row.body["model"].get("customModelImage")) for row in state.fleet)
        chosen = [
            row
            for row, image in images
            if image is not None
            and (models is None or image["customModelId"] in models)
            and (environments is None or image["executionEnvironmentId"] in environments)
        ]
        return sorted(chosen, key=lambda row: row.created, reverse=True)

    rows = state.fleet.select(("custom models", models, environments), choose)
    return answer_list(state, request, rows, page, encoded=_encode_custom, last="")


def _encode_custom(row: Row) -> bytes:
    model, owner = row.body["model"], row.body["owners"]["preview"][0]
    person = f"{owner['firstName']} {owner['lastName']}" if owner["lastName"] else owner["id"]
    values = {
        **row.body,
        **model,
        **model["customModelImage"],
        "deployment_id": row.deployment_id,
        "person": person,
    }
    sampler = Sampler(seeded_by("testing", row.deployment_id), row.created, values)
    return encode(sampler.fill(SAMPLES["customModelDeployment"]))


@route(f"GET {_LOGS}")
def _deployment_log(state: State, request: Request) -> Answer:
    row = _custom(state, request)
    values = row.body["model"]["customModelImage"] | {"deployment_id": row.deployment_id}
    steps = Sampler(seeded(""), row.created, values).fill(SAMPLES["deploymentLog"])
    begun = datetime.fromisoformat(row.body["model"]["deployedAt"])
    lines = [f"{timestamp(begun + timedelta(seconds=9 * i))} INFO {step}" for i, step in enumerate(steps)]
    return _log(lines, f"deployment-{row.deployment_id}.log")


@route(f"POST {_LOGS}")
def _request_log(state: State, request: Request) -> Answer:
    row = _custom(state, request)
    log_id = state.fleet.new_id()
    return answer_operation(
        state,
        request,
        "Prediction log request",
        resource=f"customModelDeployments/{row.deployment_id}/logs/{log_id}/",
        done=partial(state.prediction_logs.update, {log_id: row.deployment_id}),
        body=lambda operation: {"statusId": operation.status_id},
    )


@route(f"GET {_LOGS}{{log_id}}/")
def _prediction_log(state: State, request: Request) -> Answer:
    row = _custom(state, request)
    log_id = path_id(request, "log_id")
    if state.prediction_logs.get(log_id) != row.deployment_id:
        raise not_found("Log")
    drawn = seeded_by("log", log_id)
    moment = datetime.fromisoformat(row.body["model"]["deployedAt"])
    lines = []
    for _ in range(_LOG_LINES):
        moment += timedelta(seconds=drawn.expovariate(1 / 30))
        rows, took = drawn.randrange(1, 2000), drawn.uniform(4, 90)
        lines.append(f"{timestamp(moment, fraction=True)} INFO POST /predict/ 200 rows={rows} {took:.1f}ms")
    return _log(lines, f"predictions-{log_id}.log")


def _custom(state: State, request: Request) -> Row:
    row = state.deployment(request)
    if "customModelImage" not in row.body["model"]:
        raise Problem(422, "Deployed model is not a Custom Model.")
    return row


def _log(lines: list[str], filename: str) -> Answer:
    return attachment("".join(f"{line}\n" for line in lines).encode(), "text/plain; charset=utf-8", filename)


@route(f"GET {_BUNDLES}")
def _bundles(state: State, request: Request) -> Answer:
    parameters = Parameters(request)
    page = parameters.page()
    wanted = parameters.repeated("useCases", SAMPLES["useCases"])
    bundles = _all_bundles(state)
    found = [each for each in bundles if wanted is None or not wanted.isdisjoint(each["useCases"])]
    return answer_list(state, request, found, page)


@route(f"GET {_BUNDLES}{{bundle_id}}/")
def _bundle(state: State, request: Request) -> Answer:
    bundle_id = path_id(request, "bundle_id")
    found = [bundle for bundle in _all_bundles(state) if bundle["id"] == bundle_id]
    if not found:
        raise not_found("Resource bundle")
    return json_answer(found[0])


def _all_bundles(state: State) -> list[Json]:
    if not state.settings.resource_bundles:
        raise Problem(403, "Resource bundles are not enabled.")
    # Outside the page, null has been seen in the description.
    varied = {} if state.settings.dialect == "page" else {"description": None}
    return [bundle | varied for bundle in SAMPLES["bundles"]]


@route("GET /status/{status_id}/")
def _status(state: State, request: Request) -> Answer:
    operation = state.operations.get(path_id(request, "status_id"))
    if operation is None:
        raise not_found("Status")
    body = operation.describe(time.monotonic())
    if body["status"] == "COMPLETED" and operation.resource is not None:
        return json_answer(body, 303, location(state, request, operation.resource))
    return json_answer(body)


@route("GET /version/")
def _version(state: State, _request: Request) -> Answer:
    text = state.settings.version
    major, minor, *_ = [*text.split("."), "0", "0"]
    return json_answer(
        {"versionString": text, "major": int(major), "minor": int(minor), "releasedVersion": text}
    )
