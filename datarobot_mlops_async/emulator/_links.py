"""The URLs that answers carry: `Location`, `next` and `previous`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from starlette.requests import Request


@frozen(kw_only=True)
class Links:
    """Words URLs as this request's answer shall carry them.

    Attributes:
        origin: Scheme, host, port and prefix.
    """

    origin: str

    def absolute(self, path: str) -> str:
        """Return the URL of a path that starts at the root, such as `/api/v2/status/x/`."""
        return f"{self.origin}{path}"


def links_of(request: Request) -> Links:
    """Return the links of this request."""
    links: Links = request.scope["emulator.links"]
    return links
