"""Where a redirect leads."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from datarobot_mlops_async._transport import Address
from datarobot_mlops_async.errors import ProtocolError

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)


def resolve_location(base: str, location: str) -> str:
    """Return the absolute URL that a ``Location`` means; an absolute one comes back as it is.

    Raises:
        ProtocolError: It means no http(s) URL.
    """
    location = location.strip()
    try:
        target = location if _ABSOLUTE.match(location) else urljoin(base, location)
    except ValueError:
        raise ProtocolError("the server sent a Location that is not a URL") from None
    Address.parse(target)
    return target
