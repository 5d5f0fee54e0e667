"""The other routes: deleted deployments, custom models, bundles, operations, the version, and what is downloaded."""

from __future__ import annotations

import asyncio
import io
import zipfile
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

from ._api_deployments import has_scoring_code
from ._http import Answer, Problem, encode, invalid_field, json_answer, not_found
from ._objects import answer_range
from ._routing import Call, route
from ._samples import SAMPLES, Json, Sampler, fill, seeded, seeded_by, timestamp

if TYPE_CHECKING:
    from ._fleet import Row
    from ._samples import Image
    from ._state import State

_CUSTOM = "/customModelDeployments/"
_LOGS = f"{_CUSTOM}{{deployment_id}}/logs/"
_BUNDLES = "/mlops/compute/bundles/"
_IMAGE = "/mlops/portablePredictionServerImage/"
_SCORING_CODE = "/deployments/{deployment_id}/scoringCode"
_LOG_LINES = 40
_OPTIONS = ("includeAgent", "includePredictionExplanations", "includePredictionIntervals")
_JAR_MANIFEST = "Manifest-Version: 1.0\nMain-Class: com.datarobot.prediction.Main\nBuilt-By: emulator\n"
_WHEN = (2024, 1, 1, 0, 0, 0)


@route("GET /deletedDeployments/")
def _deleted(call: Call) -> Answer:
    _check_may_erase(call.state)
    return call.page_of(list(reversed(call.state.deleted.values())), show_total=False, last="")


@route("PATCH /deletedDeployments/")
def _erase(call: Call) -> Answer:
    state, body = call.state, call.body
    _check_may_erase(state)
    body.text("action", allowed=("PermanentlyErase",), required=True)
    deployment_ids = body.texts("deploymentIds", fewest=1, most=100)
    unknown = [name for name in deployment_ids if name not in state.deleted]
    if unknown:
        raise invalid_field("deploymentIds", f"not deleted deployments: {', '.join(unknown)}")
    gone = state.deleted
    return call.begin("Permanent erasure", done=lambda: [gone.pop(each, None) for each in deployment_ids])


def _check_may_erase(state: State) -> None:
    if not state.settings.can_erase:
        raise Problem(403, "You need the CAN_DELETE_APP_PROJECTS permission.")


@route(f"GET {_CUSTOM}")
def _custom_models(call: Call) -> Answer:
    fleet, query = call.state.fleet, call.query
    query.status = 400
    wanted = {
        "customModelId": query.repeated("customModelIds"),
        "executionEnvironmentId": query.repeated("environmentIds"),
    }

    def is_asked_for(row: Row) -> bool:
        image = row.body["model"].get("customModelImage")
        return image is not None and all(ids is None or image[name] in ids for name, ids in wanted.items())

    rows = fleet.select(
        ("custom models", *wanted.values()),
        lambda: sorted(filter(is_asked_for, fleet), key=lambda row: row.created, reverse=True),
    )
    return call.page_of(rows, maximum=1000, encoded=_encode_custom, last="")


def _encode_custom(row: Row) -> bytes:
    model, owner = row.body["model"], row.body["owners"]["preview"][0]
    person = f"{owner['firstName']} {owner['lastName']}" if owner["lastName"] else owner["id"]
    own = {"deployment_id": row.deployment_id, "person": person}
    values = row.body | model | model["customModelImage"] | own
    sampler = Sampler(seeded_by("testing", row.deployment_id), row.created, values)
    return encode(sampler.fill(SAMPLES["customModelDeployment"]))


@route(f"GET {_LOGS}")
def _deployment_log(call: Call) -> Answer:
    row = _custom(call)
    steps = fill("deploymentLog", deployment_id=row.deployment_id, **row.body["model"]["customModelImage"])
    begun = datetime.fromisoformat(row.body["model"]["deployedAt"])
    lines = [f"{timestamp(begun + timedelta(seconds=9 * i))} INFO {step}" for i, step in enumerate(steps)]
    return _log(lines, f"deployment-{row.deployment_id}.log")


@route(f"POST {_LOGS}")
def _request_log(call: Call) -> Answer:
    row, log_id = _custom(call), call.state.fleet.new_id()
    return call.begin(
        "Prediction log request",
        resource=f"customModelDeployments/{row.deployment_id}/logs/{log_id}/",
        done=partial(call.state.prediction_logs.update, {log_id: row.deployment_id}),
        body=lambda operation: {"statusId": operation.status_id},
    )


@route(f"GET {_LOGS}{{log_id}}/")
def _prediction_log(call: Call) -> Answer:
    row, log_id = _custom(call), call.name("log_id")
    if call.state.prediction_logs.get(log_id) != row.deployment_id:
        raise not_found("Log")
    drawn = seeded_by("log", log_id)
    moment = datetime.fromisoformat(row.body["model"]["deployedAt"])
    lines = []
    for _ in range(_LOG_LINES):
        moment += timedelta(seconds=drawn.expovariate(1 / 30))
        rows, took = drawn.randrange(1, 2000), drawn.uniform(4, 90)
        lines.append(f"{timestamp(moment, fraction=True)} INFO POST /predict/ 200 rows={rows} {took:.1f}ms")
    return _log(lines, f"predictions-{log_id}.log")


def _custom(call: Call) -> Row:
    row = call.row
    if "customModelImage" not in row.body["model"]:
        raise Problem(422, "Deployed model is not a Custom Model.")
    return row


def _log(lines: list[str], filename: str) -> Answer:
    return _attachment("".join(f"{line}\n" for line in lines).encode(), "text/plain; charset=utf-8", filename)


def _attachment(document: bytes, media_type: str, filename: str) -> Answer:
    disposition = f'attachment; filename="{filename}"'
    return Answer(headers={"content-type": media_type, "content-disposition": disposition}, document=document)


@route(f"GET {_BUNDLES}")
def _bundles(call: Call) -> Answer:
    wanted = call.query.repeated("useCases", SAMPLES["useCases"])
    bundles = _all_bundles(call.state)
    return call.page_of([each for each in bundles if wanted is None or wanted & {*each["useCases"]}])


@route(f"GET {_BUNDLES}{{bundle_id}}/")
def _bundle(call: Call) -> Answer:
    for bundle in _all_bundles(call.state):
        if bundle["id"] == call.name("bundle_id"):
            return json_answer(bundle)
    raise not_found("Resource bundle")


def _all_bundles(state: State) -> list[Json]:
    if not state.settings.resource_bundles:
        raise Problem(403, "Resource bundles are not enabled.")
    # Outside the page, null has been seen in the description.
    varied = {} if state.settings.dialect == "page" else {"description": None}
    return [bundle | varied for bundle in SAMPLES["bundles"]]


@route("GET /status/{status_id}/")
def _status(call: Call) -> Answer:
    operation = call.state.operations.get(call.name("status_id"))
    if operation is None:
        raise not_found("Status")
    body = operation.describe()
    if body["status"] == "COMPLETED" and operation.resource is not None:
        return json_answer(body, 303, call.location(operation.resource))
    return json_answer(body)


@route("GET /version/")
def _version(call: Call) -> Answer:
    text = call.state.settings.version
    major, minor, *_ = [*map(int, text.split(".")), 0, 0]
    return json_answer({"versionString": text, "major": major, "minor": minor, "releasedVersion": text})


@route(f"GET {_IMAGE}")
def _image(call: Call) -> Answer:
    return _download(call, _latest(call).key, call.state.settings.image_redirect)


@route(f"GET {_IMAGE}metadata/")
async def _metadata(call: Call) -> Answer:
    image = _latest(call)
    # A digest takes seconds a GiB: never on the event loop, and only once for an image.
    return json_answer(await asyncio.to_thread(image.metadata, call.state.stopping))


@route("GET /files/**")
def _given_file(call: Call) -> Answer:
    key = unquote(call.request.path.removeprefix(call.state.api_root))
    stored = call.state.objects.get(key)
    if stored is None:
        raise not_found("File")
    return _download(call, key, None if stored.direct else 302)


def _latest(call: Call) -> Image:
    if call.state.image is None:
        raise Problem(404, "No PPS images found in the system")
    if call.request.fault.changed is not None:
        call.state.apply_change(call.state.image.key, call.request.fault.changed)
    return call.state.image


def _download(call: Call, key: str, redirect: int | None) -> Answer:
    """Serve an object, or send the client to the storage with status `redirect`."""
    state, path = call.state, quote(key)
    stored = state.objects[key]
    if redirect is None:
        return answer_range(stored, call.request)
    seconds = 0.0 if call.request.fault.expired else state.settings.signature_seconds
    # Set as it is: the signature covers these very bytes.
    query = state.signer.sign(path, filename=stored.filename, seconds=seconds)
    location = f"{state.storage_origin}{path}?{query}"
    elsewhere = location if stored.location is None else stored.location(location)
    return Answer(status=redirect, headers={"location": elsewhere})


@route(f"GET {_SCORING_CODE}/")
def _scoring_code(call: Call) -> Answer:
    row, query = _scored(call), call.query
    is_source = query.boolean("sourceCode")
    options = {name for name in _OPTIONS if query.boolean(name)}
    if query.boolean("includePe"):
        options.add("includePredictionExplanations")
    if is_source and "includeAgent" in options:
        raise Problem(422, "Cannot retrieve source code if agent is included.")
    if options and (row.deployment_id, frozenset(options)) not in call.state.built:
        raise Problem(404, "This Scoring Code has not been built: POST scoringCodeBuilds first.")
    kind = "-source" if is_source else ""
    size = call.state.settings.scoring_code_size
    archive = _build_archive(f"{row.deployment_id}{kind}", sorted(options), size)
    return _attachment(archive, "application/java-archive", f"{row.body['model']['id']}{kind}.jar")


@route(f"POST {_SCORING_CODE}Builds/")
def _build(call: Call) -> Answer:
    row = _scored(call)
    options = [name for name in _OPTIONS if call.body.boolean(name)]
    query = urlencode(dict.fromkeys(options, "true"))
    return call.begin(
        "Scoring Code build",
        resource=f"deployments/{row.deployment_id}/scoringCode/{'?' * bool(query)}{query}",
        done=partial(call.state.built.add, (row.deployment_id, frozenset(options))),
    )


def _scored(call: Call) -> Row:
    row = call.row
    if not has_scoring_code(row.body):
        raise Problem(404, "Scoring Code is not available for the model of this deployment.")
    return row


def _build_archive(name: str, options: list[str], size: int) -> bytes:
    """Return a JAR of about `size` bytes, the same one every time for the same arguments."""
    contents: dict[str, str | bytes] = {
        "META-INF/MANIFEST.MF": _JAR_MANIFEST,
        **{f"com/datarobot/options/{option}": "true\n" for option in options},
        "com/datarobot/prediction/model.bin": seeded(f"{name} {options}").randbytes(size),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in contents.items():
            archive.writestr(zipfile.ZipInfo(path, _WHEN), content)
    return packed.getvalue()
