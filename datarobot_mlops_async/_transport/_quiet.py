"""Keep the transport's own debug log from printing what must stay secret.

httpcore logs the headers of every response at DEBUG, and the ``Location`` of an artifact's redirect is a
signed URL. Inside `quiet` such records are dropped; other users of httpx in the process are not touched.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_ours: ContextVar[bool] = ContextVar("datarobot_mlops_async_request", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what httpx and httpcore log in this context."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def _is_foreign(_record: logging.LogRecord) -> bool:
    return not _ours.get()


# Named and not imported: httpx itself loads httpcore, and with it trio, with the first connection only.
_HTTPCORE = httpx.__name__.replace("httpx", "httpcore")
for _name in (
    httpx.__name__,
    *(f"{_HTTPCORE}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
):
    logging.getLogger(_name).addFilter(_is_foreign)
