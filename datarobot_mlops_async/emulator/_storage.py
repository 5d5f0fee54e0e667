"""The object storage: a second origin that serves signed URLs as strictly as S3 does."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ._http import Answer
from ._objects import answer_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._http import Request
    from ._state import State


_SIGNATURE = "&X-Amz-Signature="


class Signer:
    """Issues queries and checks them byte for byte: a client that re-encodes a URL gets a 403."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._revoked_until = 0.0

    def sign(self, path: str, *, filename: str, seconds: float) -> str:
        """Return the query that opens `path` for a `GET` during `seconds`."""
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        disposition = quote(f'attachment; filename="{filename}"', safe="")
        query = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential=ASIAEMULATOR%2F{stamp[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={math.ceil(seconds)}"
            # The true limits, in fractions of a second. With temporary credentials it is the same at
            # S3: a URL ends with its signer's own token, which can be earlier than its stamp says.
            f"&X-Amz-Security-Token={now:.6f}%2B{now + seconds:.6f}"
            f"&X-Amz-SignedHeaders=host&response-content-disposition={disposition}"
            # Escapes that a client must not touch: the signature covers them.
            "&x-id=a%2Fb%7E+c~%c3%a9&empty="
        )
        return query + _SIGNATURE + self._signature(path, query)

    def refusal(self, path: str, query: str) -> tuple[str, str] | None:
        """Return S3's error code and message when the query does not open `path`, else `None`."""
        if "X-Amz-Signature=" not in query:
            return "AccessDenied", "Access Denied"
        signed, _, signature = query.partition(_SIGNATURE)
        if not hmac.compare_digest(self._signature(path, signed).encode(), signature.encode()):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match."
        issued, expires = signed.partition("X-Amz-Security-Token=")[2].partition("&")[0].split("%2B")
        if time.time() >= float(expires) or float(issued) < self._revoked_until:
            return "AccessDenied", "Request has expired"
        return None

    def revoke(self) -> None:
        """Let every query issued so far count as expired."""
        self._revoked_until = time.time()

    def _signature(self, path: str, query: str) -> str:
        message = f"GET\n{path}\n{query}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


_REFUSALS = {
    412: ("PreconditionFailed", "At least one of the pre-conditions did not hold."),
    416: ("InvalidRange", "The requested range is not satisfiable"),
}


def answer_from_storage(state: State, request: Request) -> Answer:
    """Answer a request to the storage."""
    fault, key = request.fault, unquote(request.path)
    if fault.changed is not None:
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
    if request.fault.expired:
        return 403, "AccessDenied", "Request has expired"
    refused = state.signer.refusal(request.path, request.query)
    return None if refused is None else (403, *refused)
