"""The way back: a response object as the JSON that it was decoded from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from datarobot_mlops_async._decoding._records import json_name
from datarobot_mlops_async._record import Record, extra


def encode(value: Any) -> Any:
    """Return plain data in the API page's names. What is ``None`` is left out, unknown fields are kept."""
    if isinstance(value, Record):
        known = {
            json_name(field.name): encode(content)
            for field in attrs.fields(type(value))
            if field.name != "_extra" and (content := getattr(value, field.name)) is not None
        }
        return known | dict(extra(value))
    if isinstance(value, tuple):
        return [encode(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
