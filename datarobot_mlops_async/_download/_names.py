"""File names from outside, made safe. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes, urlsplit

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
