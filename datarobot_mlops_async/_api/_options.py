"""What a caller may set for some calls only, and the header fields that come of it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

import datarobot_mlops_async
from datarobot_mlops_async._api._addresses import Query, query_pairs
from datarobot_mlops_async._retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT = 60.0
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What this library decides: whom a request is from, how it is framed, and how its answer is read.
_OURS = re.compile(
    "accept-encoding|authorization|connection|content-(encoding|length|type)|expect|host|range|te|trailer"
    "|transfer-encoding|upgrade"
)
_HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
USER_AGENT = "datarobot-mlops-async/{} Python/{}.{}.{}".format(
    datarobot_mlops_async.__version__, *sys.version_info[:3]
)


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's own header fields by lower-case name.

    Raises:
        ValueError: A field is no header field, or one that the library sets itself. Values are not shown.
        TypeError: A name or a value is not a string.
    """
    checked = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers must be strings by name")
        if not _NAME.fullmatch(name) or _OURS.fullmatch(name.lower()):
            raise ValueError(f"headers: {name!r} is no name of a header field that can be set here")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"headers: the value of {name} holds control or non-ASCII characters")
        checked[name.lower()] = value.strip()
    return checked


def secrets_of(headers: Mapping[str, str]) -> list[str]:
    """Return the values that may be secrets, such as a gateway's key."""
    return [value for name, value in headers.items() if name not in _HARMLESS]


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


class RequestHeaders:
    """The fields of all requests. The same ones are the same object: the transport renders them once."""

    def __init__(self, own: Mapping[str, str]) -> None:
        agent = f"{own['user-agent']} {USER_AGENT}" if "user-agent" in own else USER_AGENT
        self._fields = {"accept": "application/json", **own, "user-agent": agent}
        self._authorization = ""
        self._without_body: Mapping[str, str] = {}
        self._with_body: Mapping[str, str] = {}

    def get(self, authorization: str, *, has_body: bool) -> Mapping[str, str]:
        """Return the fields of a request for JSON."""
        if authorization != self._authorization:
            self._authorization = authorization
            self._without_body = {
                **self._fields,
                "authorization": authorization,
                "accept-encoding": "gzip, deflate",
            }
            self._with_body = {**self._without_body, "content-type": "application/json"}
        return self._with_body if has_body else self._without_body

    def for_bytes(self, authorization: str) -> dict[str, str]:
        """Return the fields of a request for an artifact from our own origin."""
        return {**self._fields, "accept": "*/*", "authorization": authorization}
