"""Files as the operating system has them: named safely, opened with distrust, written by position.

What a system lacks (`pwrite`, owners, links that are not followed, syncing directories) is made up for or left
out here, so that nothing else needs to know which system it runs on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import threading
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from datarobot_mlops_async.errors import DestinationError, FileError, Hint, InsufficientSpaceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ANOTHER_PATH = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.EFBIG,
        errno.ENXIO,
    }
)
_WORDS = {
    errno.EFBIG: "the file system, or a limit of this process (ulimit -f), takes no file of this size",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.EEXIST: "there is a file where a directory would have to be",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.ENOENT: "nothing can be created there",
    errno.ENXIO: "nothing can be written there",
}


def destination_error(
    error: OSError, destination: Path, *, required: int = 0, available: int = 0
) -> DestinationError:
    """Return the error of ours for one of the system's; both numbers are bytes, for a full disk."""
    if error.errno in _FULL:
        quota = error.errno == errno.EDQUOT
        return InsufficientSpaceError(
            f"{'your quota' if quota else 'the disk'} of {destination.parent} is full: {available} bytes are "
            f"free and {required} more are needed",
            required=required,
            available=available,
            errno=error.errno,
            destination=destination,
        )
    return DestinationError(
        f"cannot write {destination}: {_WORDS.get(error.errno or 0, error.strerror or error)}",
        errno=error.errno,
        destination=destination,
        hint=Hint.CHOOSE_WRITABLE if error.errno in _ANOTHER_PATH else None,
    )


@contextmanager
def system_errors(path: Path, *, required: int = 0, reading: bool = False) -> Iterator[None]:
    """Turn what the system raises into an error of ours; `required` are bytes, for a full disk."""
    try:
        yield
    except OSError as error:
        if reading:
            raise FileError(
                f"cannot read {path}: {error.strerror or error}", path=path, errno=error.errno
            ) from error
        raise destination_error(error, path, required=required) from error


def flags(*names: str) -> int:
    """Return those of the flags for probe that the system has."""
    return sum(getattr(os, name, 0) for name in names)


# A link is not followed, a pipe is not waited for, and no program that is started inherits the file.
_CAREFULLY = flags("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")


def create(path: Path) -> int:
    """Create a file that is not there, and open it for reading and writing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CAREFULLY, 0o666)


def open_own(path: Path, owner: int, *, write: bool = False) -> int | None:
    """Open a file that only its owner has: a regular one, with one name and the right user id.

    Returns:
        A descriptor; ``None`` when it is something else, or cannot be opened.
    """
    try:
        descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _CAREFULLY)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == owner and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    return None


def replace_file(path: Path, content: bytes, *, durable: bool) -> None:
    """Replace a file in one step: a reader sees the old one or the new one."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(create(fresh), "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file still has its name: its last owner may have moved it into place."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def keep_mode(descriptor: int, replaced: Path) -> None:
    """Give an open file the permissions of the one that it will replace, if there is one."""
    # Some file systems have no permissions, and Windows has them not on open files.
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, replaced.stat().st_mode & 0o777)


class PositionedFile:
    """An open file that any number of threads read and write at offsets."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._seeking = threading.Lock()

    def write_at(self, view: memoryview, offset: int) -> int:
        """Write at an offset, and return how many bytes the system took."""
        if hasattr(os, "pwrite"):
            return os.pwrite(self.descriptor, view, offset)
        with self._seeking:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.write(self.descriptor, view)

    def give_back(self, end: int) -> None:
        """Let the system use the memory of what is on the disk up to an offset, and write the rest of that."""
        with contextlib.suppress(OSError, AttributeError):
            os.posix_fadvise(self.descriptor, 0, end, os.POSIX_FADV_DONTNEED)

    def read_at(self, view: memoryview, offset: int) -> int:
        """Read from an offset into a buffer, and return how many bytes there were."""
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [view], offset)
        with self._seeking:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            data = os.read(self.descriptor, len(view))
        view[: len(data)] = data
        return len(data)


_LIMIT = 200
# RFC 6266, section 4.1: token or quoted-string; parameters in any order.
_PARAMETER = re.compile(
    r";\s*(?P<name>filename\*?)\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^;\"\s]+))",
    re.IGNORECASE,
)
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in "123456789¹²³"}
)
# What Windows refuses; what reorders text on a screen is not printable, and goes with the control characters.
_FORBIDDEN = re.compile('[<>:"|?*]')


def filename_from_disposition(value: str) -> str | None:
    """Return the safe file name in a ``Content-Disposition``; ``None`` without one.

    ``filename*`` wins over ``filename`` (RFC 6266, section 4.3).
    """
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(value[:4096]):
        text = match["token"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
        found.setdefault(match["name"].lower(), text)
    extended = _decode_extended(found.get("filename*", ""))
    return safe_filename(extended or "") or safe_filename(_undo_latin1(found.get("filename", "")))


def _decode_extended(value: str) -> str | None:
    charset, _, rest = value.partition("'")
    _, separator, encoded = rest.partition("'")
    if not separator or charset.lower() not in {"utf-8", "iso-8859-1"}:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except UnicodeDecodeError:
        return None


def _undo_latin1(value: str) -> str:
    """Read as UTF-8 what servers send raw and HTTP reads as ISO 8859-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def filename_from_url(url: str) -> str | None:
    """Return the safe last component of a URL's path; ``None`` without one."""
    path = urlsplit(url).path.rstrip("/")
    return safe_filename(unquote_to_bytes(path.rpartition("/")[2]).decode("utf-8", "replace"))


def safe_filename(name: str) -> str | None:
    """Reduce a name from outside to one safe path component; ``None`` when nothing is left.

    No separators of any system, no control characters, no leading or trailing dots and blanks, no name
    that Windows gives a device, and at most 200 bytes, so that a partial file's name beside it fits too.
    """
    text = unicodedata.normalize("NFC", name)
    text = re.split(r"[/\\]", text.partition("\x00")[0])[-1]
    text = re.sub(r"^[A-Za-z]:", "", text)
    text = "".join(char for char in text if char.isprintable())
    text = _FORBIDDEN.sub("_", text).strip(" .")
    if not text.strip("_ ."):
        return None
    if text.partition(".")[0].strip().lower() in _RESERVED:
        text = f"_{text}"
    return _shorten(text)


def _shorten(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) <= _LIMIT:
        return text
    stem, dot, extension = text.rpartition(".")
    if not stem or len(extension) > 16:
        stem, dot, extension = text, "", ""
    keep = _LIMIT - len((dot + extension).encode())
    return stem.encode()[:keep].decode("utf-8", "ignore").rstrip(" .") + dot + extension
