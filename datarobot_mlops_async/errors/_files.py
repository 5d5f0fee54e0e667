"""A file that the system refuses: a bulk run's journal, or what a download needs. And downloads themselves."""

from __future__ import annotations

import builtins
import os
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._hints import Hint
from datarobot_mlops_async.errors._base import MLOpsError

if TYPE_CHECKING:
    from pathlib import Path


class FileError(MLOpsError, OSError):
    """The operating system refused a file or directory.

    Attributes:
        errno: Why, as a number that the module ``errno`` names.
        strerror: Why, in the system's words.
        path: What it refused.
    """

    def __init__(
        self, message: str, *, path: Path | None = None, errno: int | None = None, hint: Hint | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.strerror = os.strerror(errno) if errno is not None else None
        self.path = path


class JournalError(MLOpsError):
    """A bulk run's journal cannot be used.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str, *, path: Path, **more: Any) -> None:
        super().__init__(message, **more)
        self.path: Path | None = path


class JournalFileError(JournalError, FileError):
    """The journal cannot be opened, read or written, or another run is writing it.

    When it is raised in the middle of a run, nothing more was begun: free the disk, for example, and resume.
    """


class JournalFormatError(JournalError, ValueError):
    """The file is no journal, is of a newer format, or belongs to another action or endpoint."""


class DownloadError(MLOpsError):
    """An artifact could not be downloaded.

    Attributes:
        filename: The artifact's file name.
        destination: Where it was to go; ``None`` when streaming.
    """

    def __init__(
        self,
        message: str,
        *,
        filename: str | None = None,
        destination: Path | None = None,
        hint: Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.filename = filename
        self.destination = destination


class IntegrityError(DownloadError):
    """The bytes that came are not the promised ones; nothing was put at the destination.

    Attributes:
        expected: What was promised: a SHA-256 in lower-case hexadecimal, a size, or a kind of file.
        actual: What came.
        size: How many bytes came.
        object_changed: Whether the metadata changed while the artifact was fetched; ``None`` if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: str,
        actual: str,
        size: int,
        object_changed: bool | None = None,
        filename: str | None = None,
        destination: Path | None = None,
    ) -> None:
        super().__init__(message, filename=filename, destination=destination)
        self.expected = expected
        self.actual = actual
        self.size = size
        self.object_changed = object_changed


class DestinationError(DownloadError, FileError):
    """The operating system refused what a download needs: to look at, write or replace its destination."""

    def __init__(
        self,
        message: str,
        *,
        errno: int | None = None,
        filename: str | None = None,
        destination: Path | None = None,
        hint: Hint | None = None,
    ) -> None:
        FileError.__init__(self, message, path=destination, errno=errno, hint=hint)
        self.filename = filename
        self.destination = destination


class InsufficientSpaceError(DestinationError):
    """The disk cannot hold the artifact. What can be resumed was kept.

    Attributes:
        required: Bytes still needed for the whole artifact; for the next write where its size is unknown.
        available: Bytes free.
        missing: Bytes to be freed before the download can end.
    """

    hint = Hint.FREE_SPACE

    def __init__(
        self,
        message: str,
        *,
        required: int,
        available: int,
        errno: int | None = None,
        filename: str | None = None,
        destination: Path | None = None,
    ) -> None:
        super().__init__(message, errno=errno, filename=filename, destination=destination)
        self.required = required
        self.available = available
        self.missing = max(0, required - available)


class DestinationExistsError(DestinationError, FileExistsError):
    """Another file is at the destination and ``overwrite=True`` was not given."""

    hint = Hint.OVERWRITE


class ObjectChangedError(DownloadError):
    """The object on the server kept changing while it was fetched. Nothing of two objects was mixed."""


class StalledError(DownloadError, builtins.TimeoutError):
    """Bytes stopped coming, or came too slowly, on every fresh connection that was tried."""
