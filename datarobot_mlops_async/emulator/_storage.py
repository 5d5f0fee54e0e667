"""The object storage: a second origin that serves signed URLs as strictly as S3 does."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ._http import Problem
from ._objects import answer_range

if TYPE_CHECKING:
    from ._http import Answer, Request
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

    def check(self, request: Request) -> None:
        """Refuse a request that its query does not allow; the signature covers the method, too."""
        if "X-Amz-Signature=" not in request.query:
            raise Problem(403, "Access Denied", code="AccessDenied")
        signed, _, given = request.query.partition(_SIGNATURE)
        expected = self._signature(request.path, signed, method=request.method)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            reason = "The request signature we calculated does not match."
            raise Problem(403, reason, code="SignatureDoesNotMatch")
        issued, expires = signed.partition("X-Amz-Security-Token=")[2].partition("&")[0].split("%2B")
        is_over = time.time() >= float(expires) or float(issued) < self._revoked_until
        if is_over or request.fault.expired:
            raise Problem(403, "Request has expired", code="AccessDenied")

    def revoke(self) -> None:
        """Let every query issued so far count as expired."""
        self._revoked_until = time.time()

    def _signature(self, path: str, query: str, *, method: str = "GET") -> str:
        message = f"{method}\n{path}\n{query}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def answer_from_storage(state: State, request: Request) -> Answer:
    """Answer a request to the storage."""
    fault, key = request.fault, unquote(request.path)
    if fault.changed is not None:
        state.apply_change(key, fault.changed)
    if "authorization" in request.headers:
        raise Problem(400, "Only one auth mechanism allowed", code="InvalidArgument")
    state.signer.check(request)
    stored = state.objects.get(key)
    if stored is None:
        raise Problem(404, "The specified key does not exist.", code="NoSuchKey")
    return answer_range(stored, request)
