"""The routes of what can be downloaded: the image, scoring code, and files that a test has put there."""

from __future__ import annotations

import asyncio
import io
import zipfile
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

from ._api_deployments import has_scoring_code
from ._http import Answer, Problem, attachment, json_answer, not_found
from ._inputs import Body, Parameters
from ._objects import answer_range
from ._operations import answer_operation
from ._routing import route
from ._samples import seeded

if TYPE_CHECKING:
    from ._fleet import Row
    from ._http import Request
    from ._image import Image
    from ._state import State

_IMAGE = "/mlops/portablePredictionServerImage/"
_OPTIONS = ("includeAgent", "includePredictionExplanations", "includePredictionIntervals")
_JAR_MANIFEST = "Manifest-Version: 1.0\nMain-Class: com.datarobot.prediction.Main\nBuilt-By: emulator\n"
_WHEN = (2024, 1, 1, 0, 0, 0)


@route(f"GET {_IMAGE}")
def _image(state: State, request: Request) -> Answer:
    image = _latest(state, request)
    return _download(state, request, image.key, state.settings.image_redirect)


@route(f"GET {_IMAGE}metadata/")
async def _metadata(state: State, request: Request) -> Answer:
    image = _latest(state, request)
    # A digest takes seconds a GiB: never on the event loop, and only once for an image.
    return json_answer(await asyncio.to_thread(image.metadata, state.stopping))


@route("GET /files/**")
def _given_file(state: State, request: Request) -> Answer:
    key = unquote(request.path.removeprefix(state.api_root))
    stored = state.objects.get(key)
    if stored is None:
        raise not_found("File")
    return _download(state, request, key, None if stored.direct else 302)


def _latest(state: State, request: Request) -> Image:
    if state.image is None:
        raise Problem(404, "No PPS images found in the system")
    if request.fault.changed is not None:
        state.apply_change(state.image.key, request.fault.changed)
    return state.image


def _download(state: State, request: Request, key: str, redirect: int | None) -> Answer:
    """Serve an object, or send the client to the storage with status `redirect`."""
    stored = state.objects[key]
    if redirect is None:
        return answer_range(stored, request)
    path = quote(key)
    seconds = 0.0 if request.fault.expired else state.settings.signature_seconds
    query = state.signer.sign(path, filename=stored.filename, seconds=seconds)
    # Set as it is: the signature covers these very bytes.
    location = f"{state.storage_origin}{path}?{query}"
    return Answer(
        status=redirect, headers={"location": stored.location(location) if stored.location else location}
    )


@route("GET /deployments/{deployment_id}/scoringCode/")
def _scoring_code(state: State, request: Request) -> Answer:
    row = _scored(state, request)
    parameters = Parameters(request)
    is_source = parameters.boolean("sourceCode") or False
    options = {name for name in _OPTIONS if parameters.boolean(name)}
    if parameters.boolean("includePe"):
        options.add("includePredictionExplanations")
    if is_source and "includeAgent" in options:
        raise Problem(422, "Cannot retrieve source code if agent is included.")
    if options and (row.deployment_id, frozenset(options)) not in state.built:
        raise Problem(404, "This Scoring Code has not been built: POST scoringCodeBuilds first.")
    kind = "-source" if is_source else ""
    archive = _build_archive(f"{row.deployment_id}{kind}", sorted(options), state.settings.scoring_code_size)
    return attachment(archive, "application/java-archive", f"{row.body['model']['id']}{kind}.jar")


@route("POST /deployments/{deployment_id}/scoringCodeBuilds/")
def _build(state: State, request: Request) -> Answer:
    row = _scored(state, request)
    body = Body(request)
    options = [name for name in _OPTIONS if body.boolean(name)]
    query = urlencode(dict.fromkeys(options, "true"))
    return answer_operation(
        state,
        request,
        "Scoring Code build",
        resource=f"deployments/{row.deployment_id}/scoringCode/{'?' * bool(query)}{query}",
        done=partial(state.built.add, (row.deployment_id, frozenset(options))),
    )


def _scored(state: State, request: Request) -> Row:
    row = state.deployment(request)
    if not has_scoring_code(row.body):
        raise Problem(404, "Scoring Code is not available for the model of this deployment.")
    return row


def _build_archive(name: str, options: list[str], size: int) -> bytes:
    """Return a JAR of about `size` bytes, the same one every time for the same arguments."""
    packed = io.BytesIO()
    payload = seeded(f"{name} {options}").randbytes(size)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _WHEN), _JAR_MANIFEST)
        for option in options:
            archive.writestr(zipfile.ZipInfo(f"com/datarobot/options/{option}", _WHEN), "true\n")
        archive.writestr(zipfile.ZipInfo("com/datarobot/prediction/model.bin", _WHEN), payload)
    return packed.getvalue()
