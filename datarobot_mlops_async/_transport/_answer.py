"""Bytes in, one HTTP answer out: what a server may say, where it is refused, and its content decoded. No I/O."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import anyio.lowlevel
import httptools

from datarobot_mlops_async._transport._failures import speaks_tls
from datarobot_mlops_async.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datarobot_mlops_async.errors import TransportError

MOST_HEAD = 128 * 1024
"""The most bytes of heads for one request: informational answers, the answer's own and its trailers."""
MOST_BODY = 64 * 1024 * 1024
"""The most bytes of one body, before and after its encoding is undone."""
_FIELD_COST = 32  # what a header field costs beside its text
_STEP = 1024 * 1024  # bytes of decoded content between two looks at the event loop
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_TLS_ALERT = b"\x15"  # the rest of it may come later


class AnswerReader:
    """Reads one answer after the other from a connection.

    It refuses whatever two parsers could read in two ways (both lengths, a second length, folded fields,
    bare line feeds) and all that nobody asked for: another protocol, heads or bodies without end.

    Attributes:
        status: The HTTP status code; 0 until it is known.
        headers: Header fields as they came, in order.
        body: What came of the body, still encoded.
        begun: Whether a byte came since `expect`.
        complete: Whether the answer is whole.
        reusable: Whether the connection can carry another request.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect("")

    def expect(self, method: str) -> None:
        """Get ready for the answer to a request with this method."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.begun = self.complete = self.reusable = self._in_body = False
        self._until_end = True
        self._head_only = method == "HEAD"
        self._room, self._fed = MOST_HEAD, 0
        self._refusal: ProtocolError | None = None

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the answer is whole.

        Raises:
            TransportError: This is no answer, or not one to accept.
        """
        if not self.begun and data[:1] in b"\r\n":
            raise ProtocolError("the answer does not begin with a status line")
        first, self.begun = not self.begun, True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise self._refusal or _refusal(error, data if first else b"") from None
            # Bytes behind the end are nobody's answer, and must never become the next one.
            self.reusable = False
        if not self._in_body:
            self._fed += len(data)
            if self._fed > MOST_HEAD:
                raise _head_too_large()
        return self.complete

    def end(self) -> bool:
        """Take the end of the stream; return whether the answer is whole."""
        self.complete = self.complete or (self._in_body and self._until_end)
        return self.complete

    def on_message_begin(self) -> None:
        if self.complete:
            raise self._refuse("another answer follows")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which nobody needs."""
        self._spend(len(name) + len(value) + _FIELD_COST)
        if self._in_body:
            return
        self.headers.append((name, value))
        key = name.lower()
        if key == b"content-length":
            self._until_end = False
        elif key == b"transfer-encoding":
            self._until_end = False
            if value.lower() != b"chunked":
                raise self._refuse("the answer's transfer encoding is not chunked")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise self._refuse(f"{status} is not an answer to this request")
            return
        if self._parser.get_http_version() not in {"1.1", "1.0"}:
            raise self._refuse("the answer is not HTTP/1")
        self.status, self._in_body = status, True
        if self._head_only:
            # The parser knows nothing of requests and would wait for a body.
            self.complete = True
            raise self._refuse("no body follows")

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > MOST_BODY:
            raise self._refuse(f"the answer is larger than {MOST_BODY} bytes")

    def on_message_complete(self) -> None:
        """An answer is whole: this one, or one that only informs."""
        if self._in_body:
            self.complete, self.reusable = True, self._parser.should_keep_alive()
        else:
            self._spend(MOST_HEAD // 64)
            self.headers.clear()
            self._until_end = True

    def _spend(self, cost: int) -> None:
        self._room -= cost
        if self._room < 0:
            self._refusal = _head_too_large()
            raise self._refusal

    def _refuse(self, why: str) -> ProtocolError:
        self._refusal = ProtocolError(why)
        return self._refusal


def _head_too_large() -> ProtocolError:
    return ProtocolError(f"the answer has more than {MOST_HEAD} bytes of header fields")


def _refusal(error: Exception, first: bytes) -> TransportError:
    if first.startswith(_TLS_ALERT):
        return speaks_tls()
    # The parser names the rule and quotes nothing of what came.
    return ProtocolError(f"the answer is not valid HTTP ({error})")


async def decode_content(body: bytes, encoding: str) -> bytes:
    """Undo what ``Content-Encoding`` names: nothing, gzip or deflate, once.

    Raises:
        ProtocolError: Another encoding, more than one, damaged content, or more than `MOST_BODY` bytes of it.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"} or not body:
        return body
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise ProtocolError(f"the answer's content encoding is not one that was asked for ({name[:40]!r})")
    window = _GZIP_OR_ZLIB if name != "deflate" or _is_zlib(body) else -zlib.MAX_WBITS
    decoded = bytearray()
    try:
        for piece in _inflate(body, window):
            decoded += piece
            if len(decoded) > MOST_BODY:
                raise ProtocolError(f"the answer's content is larger than {MOST_BODY} bytes")
            if len(decoded) >= _STEP:
                await anyio.lowlevel.checkpoint()
    except zlib.error as error:
        raise ProtocolError(f"the answer's {name} content is damaged ({error})") from error
    return bytes(decoded)


def _is_zlib(body: bytes) -> bool:
    # Some servers mean by "deflate" what its name says, without the zlib header that its definition asks for.
    return body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0


def _inflate(body: bytes, window: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(window)
    while body:
        yield inflater.decompress(body, _STEP)
        body = inflater.unconsumed_tail
    if not inflater.eof:
        raise zlib.error("it ends early")
