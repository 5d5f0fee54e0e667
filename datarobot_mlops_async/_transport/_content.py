"""Undo a content encoding, in steps and within bounds."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import anyio.lowlevel

from datarobot_mlops_async._transport._answer import MOST_BODY
from datarobot_mlops_async.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = 1024 * 1024  # bytes between two looks at the event loop
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


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
