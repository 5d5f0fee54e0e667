"""The object storage: a second origin that serves signed URLs as strictly as S3 does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ._http import Answer
from ._objects import answer_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._http import Request
    from ._state import State

_REFUSALS = {
    412: ("PreconditionFailed", "At least one of the pre-conditions did not hold."),
    416: ("InvalidRange", "The requested range is not satisfiable"),
}


def answer_from_storage(state: State, request: Request) -> Answer:
    """Answer a request to the storage."""
    fault, key = request.fault, unquote(request.path)
    if fault is not None and fault.changed is not None:
        state.apply_change(key, fault.changed)
    refused = _refusal(state, request)
    if refused is not None:
        return storage_error(*refused)
    stored = state.objects.get(key)
    if stored is None:
        return storage_error(404, "NoSuchKey", "The specified key does not exist.")
    answer = answer_range(stored, request)
    if answer.status in _REFUSALS:
        return storage_error(answer.status, *_REFUSALS[answer.status], headers=answer.headers)
    return answer


def storage_error(
    status: int, code: str, message: str = "", *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a refusal in the XML of S3."""
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(
        status=status,
        headers={"content-type": "application/xml", **(headers or {})},
        document=document.encode(),
    )


def _refusal(state: State, request: Request) -> tuple[int, str, str] | None:
    if request.method != "GET":
        # The signature covers the method: a URL signed for GET opens nothing else, HEAD included.
        return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
    if "authorization" in request.headers:
        return 400, "InvalidArgument", "Only one auth mechanism allowed"
    if request.fault is not None and request.fault.expired:
        return 403, "AccessDenied", "Request has expired"
    refused = state.signer.refusal(request.path, request.query)
    return None if refused is None else (403, *refused)
