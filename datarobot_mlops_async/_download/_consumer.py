"""The end of the line: bytes in order are hashed, written, and noted in the state."""

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

_SCRATCH = 1024 * 1024
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
    """The digest of bytes in order, and a look at the first of them.

    Args:
        expectation: Judges the first bytes.
    """

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
        """Check everything at the end, and return who had promised it.

        Raises:
            IntegrityError: An expectation was not kept.
        """
        if self.size < _MAGIC:
            self._expectation.check_start(self._start)
        return self._expectation.check(size=self.size, sha256=self.hexdigest())


class FileConsumer:
    """Takes blocks from a reorder buffer, in a thread: hashes them, writes them to a partial file, records the state.

    Args:
        buffers: Where blocks come from.
        partial: Where they go, and where early ones are already.
        hasher: The digest.
        state: What to write of the object; its checkpoints describe what an earlier download left.
        interval: Seconds between two records.
    """

    def __init__(
        self, buffers: ReorderBuffer, partial: Partial, hasher: Hasher, *, state: ResumeState, interval: float
    ) -> None:
        self._buffers = buffers
        self._partial = partial
        self._hasher = hasher
        self._claimed = {each.offset: each.sha256 for each in state.checkpoints}
        self._present = state.verified
        self.state = evolve(state, checkpoints=())
        """What is certain by now."""
        self._interval = interval
        self._saved_at = time.monotonic()
        self._scratch = memoryview(bytearray(_SCRATCH))

    def run(self) -> None:
        """Consume until the end.

        Raises:
            PrefixError: What was left by an earlier download is damaged.
            InsufficientSpaceError: The disk is full.
        """
        try:
            while (block := self._buffers.take()) is not None:
                self._consume(block)
                if time.monotonic() - self._saved_at >= self._interval:
                    self.save()
        finally:
            self.save()

    def save(self) -> None:
        """Write down how far everything is hashed and written."""
        self._saved_at = time.monotonic()
        # Before that, the state that was found says more.
        if self._hasher.size > max(self._present - 1, self.state.verified):
            self.state = self.state.with_checkpoint(self._checkpoint())
            self._partial.record(self.state)

    def _consume(self, block: Block) -> None:
        if block.buffer is None:
            self._buffers.done(self._consume_written(block))
            return
        view = memoryview(block.buffer)[: block.length]
        # In this order: what is hashed is on disk, and the state may say so.
        self._partial.write_at(view, block.start)
        self._hasher.update(view)
        self._buffers.done(block)

    def _consume_written(self, block: Block) -> Block:
        found = block.start < self._present
        end = min(block.start + block.length, block.start + len(self._scratch))
        if found:
            end = min([end, *(offset for offset in self._claimed if offset > block.start)])
        view = self._scratch[: end - block.start]
        count = (self._partial.read_found if found else self._partial.read_at)(view, block.start)
        if not count and not found:
            raise DownloadError("the partial file was cut short by somebody else")
        self._hasher.update(view[:count])
        if found:
            self._check_claim(block.start, block.start + count, end)
        return evolve(block, length=count)

    def _check_claim(self, start: int, reached: int, end: int) -> None:
        claimed = self._claimed.get(reached)
        if reached == start or (reached == end and claimed not in {None, self._hasher.hexdigest()}):
            raise PrefixError(self.state.verified)
        if claimed is not None:
            self.state = self.state.with_checkpoint(Checkpoint(offset=reached, sha256=claimed))

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(offset=self._hasher.size, sha256=self._hasher.hexdigest())
