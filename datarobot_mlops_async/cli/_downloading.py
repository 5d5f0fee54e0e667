"""Downloading an artifact to where the user says: a file, a directory, or stdout."""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.artifacts import verify_file
from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._exits import ExitCode, Failure, usage
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._progress import DownloadView, verdict
from datarobot_mlops_async.cli._terminal import can_redraw
from datarobot_mlops_async.errors import IntegrityError, ObjectChangedError

if TYPE_CHECKING:
    from pathlib import Path

    from datarobot_mlops_async.artifacts import Artifact, DownloadResult, VerifiedFile
    from datarobot_mlops_async.cli._terminal import Terminal

GO_ON = "what is here was kept: the same command goes on from there"


async def download_to(terminal: Terminal, artifact: Artifact, destination: str, **how: Any) -> DownloadResult:
    """Download to a file or a directory, show how far it is, and print the file's path as the result."""
    if artifact.filename:
        terminal.say(artifact.filename + (f", {messages.size(artifact.size)}" if artifact.size else ""))
    with DownloadView(terminal.err, live=terminal.live) as view:
        result = await artifact.download(destination, on_progress=view.show, **how)
        view.finish(result)
    terminal.say(verdict(result))
    # A pipe or a device has the bytes, and no path worth telling.
    if result.path is not None:
        terminal.write_path(result.path)
    return result


async def verify_here(terminal: Terminal, path: Path, **what: Any) -> VerifiedFile:
    """Check a file again, show how far it is, and print its path as the result."""
    with DownloadView(terminal.err, live=terminal.live) as view:
        verified = await verify_file(path, on_progress=view.show, **what)
        view.finish(verified)
    terminal.say(f"SHA-256 verified by {', '.join(verified.verified_by)}: {verified.sha256}")
    terminal.write_path(path)
    return verified


async def stream_to_stdout(terminal: Terminal, artifact: Artifact, **how: Any) -> None:
    """Write an artifact's bytes to stdout, in order, and show on stderr how far it is.

    Verification comes with the last byte: the exit code tells the reader whether to keep what it got.

    Raises:
        Failure: Stdout is a terminal or closed, or the bytes are wrong.
    """
    if terminal.is_closed:
        raise usage("stdout is closed: redirect it, or name a file")
    if terminal.for_people:
        raise usage("stdout is a terminal: redirect it, or name a file")
    with DownloadView(terminal.err, live=can_redraw(terminal.err)) as view:
        try:
            result = await artifact.download(sys.stdout.buffer, on_progress=view.show, **how)
        except (IntegrityError, ObjectChangedError) as error:
            raise Failure(
                f"{error.summary}; what was written to stdout is wrong: throw it away", ExitCode.DOWNLOAD
            ) from error
        sys.stdout.buffer.flush()
        view.finish(result)
    terminal.say(verdict(result))


async def print_log(terminal: Terminal, artifact: Artifact) -> None:
    """Write a log to stdout: as it is into a file or pipe, and made harmless on a terminal."""
    if not terminal.for_people:
        await artifact.download(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    lines = CleanLines(terminal)
    await artifact.download(lines)
    lines.finish()


class CleanLines:
    """A binary file object that shows text on a terminal which obeys nothing in it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def write(self, data: bytes, /) -> None:
        """Show the lines that are whole."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._terminal.write(clean(line, keep_blanks=True))

    def finish(self) -> None:
        """Show what stands behind the last line's end."""
        self._rest += self._decoder.decode(b"", final=True)
        if self._rest:
            self._terminal.write(clean(self._rest, keep_blanks=True))
