"""From raw bytes to typed objects: the only room that knows JSON names, and the only one with cattrs.

A `Decoder` is tolerant: fields may be missing or ``null`` and read ``None``, unknown fields
and enum values are kept, fractions pass where servers send them for integers. A strict one
tolerates none of that. Whatever the bytes are, nothing but a `DecodeError` comes out.
"""

from __future__ import annotations

import json
from typing import Any, Generic, NoReturn, TypeVar

from attrs import frozen

from datarobot_mlops_async._decoding._converter import converter
from datarobot_mlops_async._decoding._mismatch import Mismatch
from datarobot_mlops_async._decoding._records import array_hook
from datarobot_mlops_async.errors import DecodeError
from datarobot_mlops_async.models import DeletedDeployment, DeploymentCapability
from datarobot_mlops_async.models._record import REQUIRED

__all__ = ["Decoder", "RawPage"]

T = TypeVar("T")

_TEXT_LIMIT = 2000


@frozen(kw_only=True)
class RawPage(Generic[T]):
    """One page of a list.

    Attributes:
        items: The page's items, in the server's order.
        count: How many items the server says this page has.
        total_count: How many items all pages have; ``None`` for lists that do not say.
        next: The URL of the next page as the server wrote it; ``None`` on the last page.
        previous: The URL of the previous page; ``None`` on the first page.
    """

    items: tuple[T, ...]
    count: int | None = None
    total_count: int | None = None
    next: str | None = None
    previous: str | None = None


@frozen(kw_only=True)
class _Envelope:
    data: list = REQUIRED
    count: int | None = None
    next: str | None = REQUIRED
    previous: str | None = REQUIRED
    total_count: int = REQUIRED


@frozen(kw_only=True)
class _EnvelopeWithoutTotal:
    data: list = REQUIRED
    count: int | None = None
    next: str | None = REQUIRED
    previous: str | None = REQUIRED
    total_count: int | None = None


@frozen(kw_only=True)
class _BareEnvelope:
    data: list = REQUIRED
    count: int | None = None
    next: str | None = None
    previous: str | None = None
    total_count: int | None = None


_ENVELOPES: dict[type, type] = {DeletedDeployment: _EnvelopeWithoutTotal, DeploymentCapability: _BareEnvelope}


class Decoder:
    """Turns answers into objects. Safe to share between tasks and threads.

    Args:
        strict: Whether everything that is tolerated by default is an error.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict

    def decode(self, body: bytes, type_: type[T], *, operation: str) -> T:
        """Decode one object.

        Args:
            body: The answer's body.
            type_: A class of `models`, or any attrs class whose fields all have defaults.
            operation: The request that was answered, for the error message.

        Raises:
            DecodeError: The body is not JSON, or not what the API page promises.
        """
        try:
            return self._structure(_parse(body, strict=self._strict), type_)
        except Mismatch as mismatch:
            error = _decode_error(mismatch, body, operation)
        raise error

    def decode_page(self, body: bytes, item_type: type[T], *, operation: str) -> RawPage[T]:
        """Decode one page of a list.

        Args:
            body: The answer's body.
            item_type: The class of the items.
            operation: The request that was answered, for the error message.

        Raises:
            DecodeError: The body is not JSON, or not what the API page promises.
        """
        try:
            return self._page(_parse(body, strict=self._strict), item_type)
        except Mismatch as mismatch:
            error = _decode_error(mismatch, body, operation)
        raise error

    def _structure(self, parsed: object, type_: Any) -> Any:
        return converter(strict=self._strict).get_structure_hook(type_)(parsed, type_)

    def _page(self, parsed: object, item_type: type[T]) -> RawPage[T]:
        envelope = self._structure(parsed, _ENVELOPES.get(item_type, _Envelope))
        if envelope.data is None:
            raise Mismatch("an array", None).under("data")
        items = array_hook(item_type, converter(strict=self._strict).get_structure_hook, nulls=False)
        try:
            decoded = items(envelope.data, None)
        except Mismatch as mismatch:
            raise mismatch.under("data")
        return RawPage(
            items=decoded,
            count=envelope.count,
            total_count=envelope.total_count,
            next=envelope.next or None,
            previous=envelope.previous or None,
        )


def _parse(body: bytes, *, strict: bool) -> object:
    try:
        return json.loads(body, parse_constant=_refuse) if strict else json.loads(body)
    except (ValueError, RecursionError) as error:
        actual = str(error)
    raise Mismatch("JSON", actual)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _decode_error(mismatch: Mismatch, body: bytes, operation: str) -> DecodeError:
    path, expected, actual = mismatch.path, mismatch.expected, mismatch.actual
    # Four bytes a character at most, so that a large body is not decoded to be cut.
    text = body[: 4 * _TEXT_LIMIT].decode("utf-8", "replace")[:_TEXT_LIMIT]
    return DecodeError(
        f"{operation}: expected {expected} at {path}, got {actual}",
        operation=operation,
        path=path,
        expected=expected,
        actual=actual,
        text=text,
    )
