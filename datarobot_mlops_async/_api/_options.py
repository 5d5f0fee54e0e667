"""What a caller may set for some calls only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from datarobot_mlops_async._api._addresses import Query, query_pairs
from datarobot_mlops_async._api._headers import check_headers
from datarobot_mlops_async._retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT = 60.0


@frozen(kw_only=True)
class Options:
    """What a caller may set for some calls only.

    Attributes:
        timeout: Seconds for one attempt of a request, connecting included.
        retry: How a failed request is tried again.
        headers: The caller's own header fields, checked.
        query: Names and values that stand in every query, besides a request's own.
    """

    timeout: float = DEFAULT_TIMEOUT
    retry: RetryPolicy = field(factory=RetryPolicy)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    query: Query = field(default=(), repr=False)

    def but(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | int | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Options:
        """Return these options with others in their place; header fields and queries come on top.

        Args:
            timeout: Seconds; ``None`` for these options' own, as for the others.
            retry: How a failed request is tried again, or just how often.
            headers: More header fields.
            query: More names and values.

        Raises:
            ValueError: A value is out of bounds.
        """
        # Not "timeout <= 0": that lets NaN through.
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
        if not isinstance(retry, RetryPolicy):
            retry = self.retry if retry is None else evolve(self.retry, max_retries=retry)
        return Options(
            timeout=self.timeout if timeout is None else timeout,
            retry=retry,
            headers={**self.headers, **check_headers(headers or {})},
            query=(*self.query, *query_pairs(query)),
        )
