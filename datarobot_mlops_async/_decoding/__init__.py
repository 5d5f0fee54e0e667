"""From raw bytes to typed objects: the only room that knows JSON names, and the only one with cattrs.

A `Decoder` is tolerant: fields may be missing or ``null`` and read ``None``, unknown fields
and enum values are kept, fractions pass where servers send them for integers. A strict one
tolerates none of that. Whatever the bytes are, nothing but a `DecodeError` comes out.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from attrs import frozen

from datarobot_mlops_async._decoding._converter import hooks
from datarobot_mlops_async._decoding._records import array_hook, encode, json_name
from datarobot_mlops_async._decoding._values import ABSENT, Mismatch, describe
from datarobot_mlops_async._record import REQUIRED, Record
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async.errors import DecodeError, Hint

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Decoder", "RawPage", "encode", "json_name"]

T = TypeVar("T")

_TEXT_LIMIT = 2000
_HTML = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


@frozen(kw_only=True)
class RawPage(Generic[T]):
    """One page of a list.

    Attributes:
        items: The page's items, in the server's order.
        count: How many items the server says this page has; ``None`` if it does not say.
        total_count: How many items all pages have; ``None`` for lists that do not say.
        next: The next page's URL as the server wrote it; ``None`` on the last page.
        previous: The previous page's URL as the server wrote it; ``None`` on the first page.
    """

    items: tuple[T, ...]
    count: int | None = None
    total_count: int | None = None
    next: str | None = None
    previous: str | None = None


@frozen(kw_only=True, weakref_slot=False)
class _BareEnvelope(Record):
    """What surrounds ``data`` in a list that is always whole. The rest is for servers that page it."""

    count: int | None = None
    total_count: int | None = None
    next: str | None = None
    previous: str | None = None


@frozen(kw_only=True, weakref_slot=False)
class _EnvelopeWithoutTotal(_BareEnvelope):
    next: str | None = REQUIRED
    previous: str | None = REQUIRED


@frozen(kw_only=True, weakref_slot=False)
class _Envelope(_EnvelopeWithoutTotal):
    total_count: int = REQUIRED


def _envelope_of(item_type: object) -> Any:
    from datarobot_mlops_async.models import DeletedDeployment, DeploymentCapability  # there by now

    special = {DeletedDeployment: _EnvelopeWithoutTotal, DeploymentCapability: _BareEnvelope}
    return special.get(item_type, _Envelope)  # type: ignore[call-overload] # any type may be asked for


@frozen
class _FastParser:
    """A parser that gives what the standard library's gives, or raises one of `failures`.

    Those are raised for bytes that are not JSON, for some that only the standard library takes, and by the hooks for
    what was not promised. `members` and `items` stop at the members of an object and the items of an array.
    """

    value: Callable[[Any], Any]
    members: Callable[[bytes], dict[str, Any]]
    items: Callable[[Any], list[Any]]
    failures: tuple[type[Exception], ...]


@cache
def _fast_parser() -> _FastParser | None:
    """Return msgspec's parser where it is installed: it takes half the time of the standard library's."""
    try:
        import msgspec  # not installed everywhere
    except ImportError:
        return None
    return _FastParser(
        value=msgspec.json.Decoder().decode,
        members=msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
        items=msgspec.json.Decoder(list[msgspec.Raw]).decode,
        failures=(Mismatch, msgspec.MsgspecError, ValueError, RecursionError),
    )


class Decoder:
    """Turns answers into objects. It keeps no state: tasks and threads may share one.

    Args:
        strict: Whether everything that is tolerated by default is an error.
        redactor: Takes out what no error may show, for servers that echo what they were sent.
    """

    def __init__(self, *, strict: bool = False, redactor: Redactor | None = None) -> None:
        self._strict = strict
        self._redactor = redactor or Redactor()
        self._find_hook = hooks(strict=strict)
        self._fast = _fast_parser()

    def decode(self, body: bytes, type_: type[T], *, operation: str) -> T:
        """Decode one object.

        Args:
            body: The answer's body.
            type_: A class of `models`; ``Any`` for the parsed JSON as it is; or another type that cattrs knows.
            operation: The request that was answered, for the error message.

        Raises:
            DecodeError: The body is not JSON, or not what the API page promises.
        """
        hook = self._find_hook(type_)
        if fast := self._fast:
            try:
                return hook(fast.value(body), None)  # type: ignore[no-any-return] # of type_
            except fast.failures:
                pass  # the standard library takes more, and knows what is wrong with the rest
        return self._decode_slowly(lambda parsed: hook(parsed, None), body, operation)  # type: ignore[no-any-return] # of type_

    def decode_page(self, body: bytes, item_type: type[T], *, operation: str) -> RawPage[T]:
        """Decode one page of a list, as `decode` does."""
        if fast := self._fast:
            try:
                return self._page_by_rows(fast, body, item_type)
            except fast.failures:
                pass
        return self._decode_slowly(lambda parsed: self._page(parsed, item_type), body, operation)

    def _decode_slowly(self, make: Callable[[object], T], body: bytes, operation: str) -> T:
        try:
            return make(_parse(body, strict=self._strict))
        except Mismatch as mismatch:
            error = self._error(mismatch, body, operation)
        # Outside the handler, so that the error does not drag the whole parsed body along.
        raise error

    def _page_by_rows(self, fast: _FastParser, body: bytes, item_type: type[T]) -> RawPage[T]:
        """Parse and decode row by row, so that no page stands in memory as dictionaries."""
        members = fast.members(body)
        rows = fast.items(members.pop("data", b""))
        hook, parsed, memo = self._find_hook(item_type), fast.value, dict[object, Any]()
        items = tuple([hook(parsed(row), memo) for row in rows])
        return self._enveloped(items, {name: parsed(member) for name, member in members.items()}, item_type)

    def _page(self, parsed: object, item_type: type[T]) -> RawPage[T]:
        if type(parsed) is not dict:
            raise Mismatch("an object", describe(parsed))
        data = parsed.pop("data", ABSENT)
        try:
            items = array_hook(item_type, self._find_hook, nulls=False)(data, None)
        except Mismatch as mismatch:
            mismatch.under("data")
            raise
        return self._enveloped(items, parsed, item_type)

    def _enveloped(self, items: tuple[T, ...], rest: dict[str, Any], item_type: type[T]) -> RawPage[T]:
        envelope = self._find_hook(_envelope_of(item_type))(rest, None)
        return RawPage(
            items=items,
            count=envelope.count,
            total_count=envelope.total_count,
            # Some routes end with an empty string instead of null.
            next=envelope.next or None,
            previous=envelope.previous or None,
        )

    def _error(self, mismatch: Mismatch, body: bytes, operation: str) -> DecodeError:
        # At most four bytes make a character: there is no need to decode all of a large body.
        text = self._redactor.text(body[: 4 * _TEXT_LIMIT].decode("utf-8", "replace"))[:_TEXT_LIMIT]
        path, actual = self._redactor.text(mismatch.path), self._redactor.text(mismatch.actual)
        place = "" if path == "$" else f" at {path}"
        return DecodeError(
            f"{operation}: expected {mismatch.expected}{place}, got {actual}",
            operation=operation,
            path=path,
            expected=mismatch.expected,
            actual=actual,
            text=text,
            hint=Hint.WRONG_SERVER if path == "$" and text.lstrip().startswith("<") else None,
        )


def _parse(body: bytes, *, strict: bool) -> object:
    """Parse a JSON body; a strict one holds no ``NaN`` and ``Infinity``, which Python servers write."""
    try:
        return json.loads(body, parse_constant=_refuse) if strict else json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Mismatch("JSON", _diagnose(body, error)) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _diagnose(body: bytes, error: ValueError | RecursionError) -> str:
    if not body.strip():
        return "an empty body"
    if _HTML.match(body):
        return "an HTML page"
    match error:
        case RecursionError():
            return "JSON nested too deeply"
        case UnicodeDecodeError():
            return "bytes that are not UTF-8"
        case json.JSONDecodeError():
            return _locate(error)
    return "a number that is not JSON or has too many digits"


def _locate(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].strip()
    ends_early = any(word.startswith(rest) for word in ("true", "false", "null"))
    if ends_early or error.msg.startswith("Unterminated string"):
        return "JSON that is cut short"
    return f"text that is not JSON (line {error.lineno}, column {error.colno})"
