"""Taking secrets out of texts that servers sent, before they become part of an exception or a log.

Gateways' error pages echo the request that they refuse, token and all, and object stores quote the
signature they disagree with; some of them escape it for HTML, JSON or URLs first.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern

_PLACEHOLDER = "[secret]"
# Shorter ones are no secrets, and taking them out would take words apart.
_SHORTEST = 8
# What JSON, HTML or a URL makes of one character.
_LONGEST_FORM = 6
# Nobody reads deeper, and what goes deeper by hundreds neither prints nor pickles.
_DEEPEST = 32


class Redactor:
    """Replaces secrets by a placeholder, however they are escaped.

    Args:
        secrets: Texts to take out; ``None`` and those of fewer than 8 characters are passed over.
    """

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._longest = 0
        self._pattern: Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str | None) -> None:
        """Take out these as well, from now on."""
        known = self._secrets | {each for each in secrets if each and len(each) >= _SHORTEST}
        if known == self._secrets:
            return
        self._secrets = known
        # The longest first: one may hold another.
        in_order = sorted(known, key=len, reverse=True)
        self._longest = len(in_order[0])
        self._pattern = re.compile("|".join("".join(map(_any_form, each)) for each in in_order))

    def with_secrets(self, secrets: Iterable[str | None]) -> Redactor:
        """Return one that takes out these as well."""
        return Redactor([*self._secrets, *secrets])

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return text if self._pattern is None else self._pattern.sub(_PLACEHOLDER, text)

    def start(self, text: str, length: int) -> str:
        """Return at most so many characters of a text, without secrets and without a part of one at the end."""
        return self.text(text[: length + _LONGEST_FORM * self._longest])[:length]

    def data(self, value: Any, depth: int = 0) -> Any:
        """Return decoded JSON without secrets; what is nested too deep becomes an ellipsis."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, dict)) and depth == _DEEPEST:
            return "…"
        if isinstance(value, list):
            return [self.data(each, depth + 1) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.data(each, depth + 1) for key, each in value.items()}
        return value


def secrets_of_url(url: str) -> list[str]:
    """Return what must not be shown of a URL that may be signed: the values of its query, and its password."""
    parts = urlsplit(url)
    values = [each.partition("=")[2] for each in parts.query.split("&")]
    return [*values, *(unquote_plus(each) for each in values), *([parts.password] if parts.password else [])]


def _any_form(char: str) -> str:
    code, escaped = ord(char), quote(char, safe="")
    forms = {char, html.escape(char), f"\\{char}", f"\\u{code:04x}", f"\\u{code:04X}"}
    forms |= {f"&#{code};", f"&#x{code:x};", f"&#x{code:X};", escaped, escaped.lower()}
    return f"(?:{'|'.join(map(re.escape, sorted(forms, key=len, reverse=True)))})"
