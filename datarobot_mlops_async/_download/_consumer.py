"""The hash, which is the only stage of a download that is sequential: nothing else runs in its thread."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from attrs import evolve

from datarobot_mlops_async._download._resume_state import Checkpoint
from datarobot_mlops_async.errors import DownloadError

if TYPE_CHECKING:
    from datarobot_mlops_async._download._expectation import Expectation
    from datarobot_mlops_async._download._partial import Partial
    from datarobot_mlops_async._download._reorder_buffer import Block, ReorderBuffer
    from datarobot_mlops_async._download._resume_state import ResumeState

_MAGIC = 4


class PrefixError(Exception):
    """What an earlier download left is not what its resume state says.

    Attributes:
        good: Bytes, from the first, that are.
    """

    def __init__(self, good: int) -> None:
        super().__init__(good)
        self.good = good


class Hasher:
    """The digest of bytes in order, and a look at the first of them."""

    def __init__(self, expectation: Expectation) -> None:
        self._sha256 = hashlib.sha256()
        self._expectation = expectation
        self._start = b""
        self.size = 0

    def update(self, view: memoryview) -> None:
        """Take the next bytes.

        Raises:
            IntegrityError: They are the first, and of the wrong kind.
        """
        self._sha256.update(view)
        self.size += len(view)
        if len(self._start) < _MAGIC:
            self._start += bytes(view[: _MAGIC - len(self._start)])
            if len(self._start) == _MAGIC:
                self._expectation.check_start(self._start)

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""
        return self._sha256.hexdigest()

    def verify(self) -> tuple[str, ...]:
        """Check everything at the end, and return whose digests agree.

        Raises:
            IntegrityError: The bytes are not the expected ones.
        """
        if self.size < _MAGIC:
            self._expectation.check_start(self._start)
        return self._expectation.check(size=self.size, sha256=self.hexdigest())


class FileConsumer:
    """Hashes the blocks of a file that is being written, in a thread."""

    def __init__(
        self, buffers: ReorderBuffer, partial: Partial, hasher: Hasher, *, state: ResumeState
    ) -> None:
        self._buffers = buffers
        self._partial = partial
        self._hasher = hasher
        self._found = state.checkpoints
        self._scratch = memoryview(bytearray(buffers.block))
        self._reached: Checkpoint | None = None
        self.state = evolve(state, checkpoints=())
        """What is certain, as far as it was noted."""
        self.recorded = state.verified
        """How many bytes from the first the state on the disk speaks of."""
        self.recorded_at = time.monotonic()
        """When that was last seen to, on the monotonic clock."""
        self.read_back = 0
        """Bytes that had left memory before they were hashed."""

    def run(self) -> None:
        """Hash what was found, then blocks until the end.

        Raises:
            PrefixError: What was left by an earlier download is damaged.
        """
        self._buffers.catching_up = bool(self._found)
        for claim in self._found:
            self._rehash(claim)
        self._buffers.catching_up = False
        while (block := self._buffers.take()) is not None:
            self._hasher.update(self._bytes_of(block))
            self._reached = Checkpoint(offset=self._hasher.size, sha256=self._hasher.hexdigest())
            self._buffers.release(block)

    def note(self) -> ResumeState:
        """Return how far everything is written and hashed."""
        reached = self._reached
        if reached is not None and reached.offset > self.state.verified:
            self.state = self.state.with_checkpoint(reached)
        return self.state

    def record(self, *, cached: int) -> None:
        """Write down how far everything is written and hashed, if that has grown; not in the thread that hashes."""
        certain = self.note()
        if certain.verified > self.recorded:
            self._partial.record(certain, cached=cached)
            self.recorded = certain.verified
        self.recorded_at = time.monotonic()

    def _rehash(self, claim: Checkpoint) -> None:
        while (at := self._hasher.size) < claim.offset:
            self._buffers.check()
            count = self._partial.read_found(self._scratch[: claim.offset - at], at)
            if not count:
                break
            self._hasher.update(self._scratch[:count])
        if (self._hasher.size, self._hasher.hexdigest()) != (claim.offset, claim.sha256):
            raise PrefixError(self.state.verified)
        self.state = self.state.with_checkpoint(claim)

    def _bytes_of(self, block: Block) -> memoryview:
        if block.buffer is not None:
            return block.buffer[: block.length]
        filled = 0
        while filled < block.length:
            count = self._partial.read_at(self._scratch[filled : block.length], block.start + filled)
            if not count:
                raise DownloadError("the partial file was cut short by somebody else")
            filled += count
        self.read_back += filled
        return self._scratch[:filled]
