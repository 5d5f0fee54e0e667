"""One request, from its first attempt to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._counting import RequestCounter
    from datarobot_mlops_async._retry import Retries
    from datarobot_mlops_async.errors import MLOpsError


@define(kw_only=True, eq=False)
class Call:
    """A request on its way: what each attempt sends, and what is known after those before."""

    method: str
    url: str
    operation: str
    headers: Mapping[str, str]
    content: bytes
    retries: Retries
    counter: RequestCounter | None
    authorization: str
    answer_lost: bool = False
    renewed: bool = False

    @property
    def number(self) -> int:
        """Number of the attempt, from 1."""
        return self.retries.failures + 1

    def failed(self, error: MLOpsError, *, answer_lost: bool) -> None:
        """Note that an attempt failed after it was sent, or on the way."""
        self.answer_lost = self.answer_lost or answer_lost
        if self.counter is not None:
            self.counter.failed(self.method, error)
