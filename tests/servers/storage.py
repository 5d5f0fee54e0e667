"""The emulator as a store of the tests' own objects, with faults told as keyword arguments.

Its API wants the token and redirects ``files/NAME`` to a signed URL on its storage, which answers 400 to a request
that has both signature and ``Authorization``, as S3 does; ``files/direct/NAME`` is served by the API itself.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING

import attrs
import pytest

from datarobot_mlops_async.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "storage-test-token"


@attrs.frozen
class Request:
    """One request as it came."""

    server: str
    target: str
    headers: dict[str, str]

    @property
    def range(self) -> tuple[int, int | None] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) + 1 if match[2] else None) if match else None


@attrs.define(kw_only=True, eq=False)
class Fault:
    """What goes wrong, and with which requests.

    Attributes:
        status: Answer with this status, and no body to speak of.
        after: Bytes of the body that go out before the following happens.
        stall: Send nothing more.
        trickle: Seconds between single bytes from there on.
        reset: Break the connection with a TCP reset.
        close: End the connection in an orderly way.
        corrupt: Falsify the first byte of the body.
        whole: Answer 200 with everything, whatever the range.
        shift: Answer with a range that begins so many bytes later.
        headers: Header fields to add or replace.
        encode: Encode the body with gzip.
        chunked: Send the body chunked, without a length.
        endless: Send neither length nor chunks: the body ends with the connection.
        before: Called before anything is sent.
        server: Which of the two servers does it.
        times: How often.
        when: Which requests.
    """

    status: int | None = None
    after: int = 0
    stall: bool = False
    trickle: float | None = None
    reset: bool = False
    close: bool = False
    corrupt: bool = False
    whole: bool = False
    shift: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    encode: bool = False
    chunked: bool = False
    endless: bool = False
    before: Callable[[], object] = lambda: None
    server: str = "store"
    times: int = 1
    when: Callable[[Request], bool] = lambda request: True

    @property
    def words(self) -> dict[str, object]:
        """The same in the emulator's vocabulary."""
        flags = {
            "ignore_range": self.whole,
            "gzip": self.encode,
            "chunked": self.chunked,
            "unsized": self.endless,
        }
        words = {name: True for name, value in flags.items() if value}
        endings = {
            "stall": self.stall,
            "reset": self.reset,
            "truncate": self.close,
            "trickle": self.trickle is not None,
        }
        words |= {name: self.after for name, value in endings.items() if value}
        words["header"] = [f"{name}: {value}" for name, value in self.headers.items()]
        words["status"] = self.status
        words["body"] = None if self.status is None else '{"message": "as asked"}'
        words["corrupt"] = "first" if self.corrupt else None
        words["shift"] = self.shift or None
        words["rate"] = None if self.trickle is None else 1 / self.trickle
        return words


@attrs.define(eq=False)
class Stored:
    data: bytes
    etag: str | None
    modified: str
    headers: dict[str, str] = attrs.field(factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class _Headers(Mapping):
    """The headers of an object as they are now: tests change them."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def _now(self) -> dict[str, str]:
        etag = {"etag": self._stored.etag} if self._stored.etag else {}
        given = {name.lower(): value for name, value in self._stored.headers.items()}
        return {"last-modified": self._stored.modified, **etag, **given}

    def __getitem__(self, name):
        return self._now()[name]

    def __iter__(self):
        return iter(self._now())

    def __len__(self):
        return len(self._now())


class Storage:
    """Both servers. Objects are at ``files/NAME`` of the API."""

    def __init__(self, context=None) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.redirect: Callable[[str], str] | None = None
        self._emulator = Emulator(deployments=0, image_size=None, token=TOKEN, tls=context)
        self._emulator.start()
        self.endpoint = self._emulator.endpoint
        for route in ("* *", "* storage"):
            self._emulator.fault(route, when=self._record, before=lambda: None)

    @property
    def bytes_sent(self) -> int:
        return self._emulator.bytes_sent

    def put(self, name: str, size: int | bytes, *, etag: bool = True, **headers: str) -> Stored:
        """Store random bytes, or the given ones, under a name."""
        data = size if isinstance(size, bytes) else random.Random(f"{name}{size}").randbytes(size)
        stored = Stored(
            data,
            f'"{hashlib.md5(data).hexdigest()}"' if etag else None,
            formatdate(1_700_000_000, usegmt=True),
            {key.replace("_", "-").lower(): value for key, value in headers.items()},
        )
        options = {"has_etag": False, "extra_headers": _Headers(stored)}
        self._emulator.add_file(name, data, location=self._redirected, **options)
        self._emulator.add_file(f"direct/{name}", data, direct=True, **options)
        return stored

    def fault(self, **fields) -> Fault:
        made = Fault(**fields)

        def fires(request) -> bool:
            if made not in self.faults or not made.times or not made.when(_request(request)):
                return False
            made.times -= 1
            return True

        route = "* storage" if made.server == "store" else "* *"
        self._emulator.fault(route, when=fires, before=made.before, **made.words)
        self.faults.append(made)
        return made

    def expire(self) -> None:
        """Make every signed URL that was handed out useless."""
        self._emulator.expire_signatures()

    def of(self, server: str) -> list[Request]:
        return [each for each in self.requests if each.server == server]

    def close(self) -> None:
        self._emulator.stop()

    def _record(self, request) -> bool:
        self.requests.append(_request(request))
        return False

    def _redirected(self, location: str) -> str:
        return location if self.redirect is None else self.redirect(location)


def _request(request) -> Request:
    server = "api" if request.origin == "api" else "store"
    target = f"{request.path}?{request.query}" if request.query else request.path
    return Request(server, target, request.headers)


@pytest.fixture
def storage():
    made = Storage()
    yield made
    made.close()


@pytest.fixture
def tls_storage(tls):
    made = Storage(tls.server_context())
    yield made
    made.close()
