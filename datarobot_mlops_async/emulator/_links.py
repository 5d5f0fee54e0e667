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
        origin: Scheme, host and port of the API.
        root: Path of the API, such as `/api/v2`.
        form: `None`: absolute; `none`: no link at all; `relative`: below the endpoint, without a
            slash at the front; `path`: from the root of the host; anything else stands in for the origin.
    """

    origin: str
    root: str
    form: str | None = None

    def to(self, path: str) -> str | None:
        """Return the URL of a path below the endpoint, such as `status/x/`; `None`: leave it out."""
        match self.form:
            case None:
                return f"{self.origin}{self.root}/{path}"
            case "none":
                return None
            case "relative":
                return path
            case "path":
                return f"{self.root}/{path}"
            case other:
                return f"{other}{self.root}/{path}"

    def headers(self, path: str) -> dict[str, str]:
        """Return the `Location` header for a path, or nothing."""
        url = self.to(path)
        return {} if url is None else {"location": url}


def links_of(request: Request) -> Links:
    """Return the links of this request."""
    links: Links = request.scope["emulator.links"]
    return links
