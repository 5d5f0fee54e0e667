"""Bodies made from the page's examples, and what they must decode to."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import attrs
import pytest

from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._decoding._records import json_name
from datarobot_mlops_async.errors import DecodeError
from datarobot_mlops_async.models import Deployment
from tests.schemas import RESPONSES, SCHEMA_ENUMS, SCHEMAS

OPERATION = "GET /deployments/"
TOLERANT, STRICT = Decoder(), Decoder(strict=True)
BOTH = pytest.mark.parametrize("decoder", [TOLERANT, STRICT], ids=["tolerant", "strict"])

PROPERTIES = [
    pytest.param(schema, name, id=f"{schema}.{name}")
    for schema in RESPONSES
    for name in SCHEMAS[schema]["properties"]
]
PROMISED = SCHEMAS["DeploymentRetrieveResponse"]["example"]


def example(schema, **changes):
    return copy.deepcopy(SCHEMAS[schema]["example"]) | changes


def to_bytes(value):
    return json.dumps(value).encode()


def decode(value, type_=Deployment, *, decoder=TOLERANT):
    body = value if isinstance(value, bytes) else to_bytes(value)
    return decoder.decode(body, type_, operation=OPERATION)


def decode_page(value, item_type=Deployment, *, decoder=TOLERANT):
    body = value if isinstance(value, bytes) else to_bytes(value)
    return decoder.decode_page(body, item_type, operation=OPERATION)


def failure(value, type_=Deployment, *, decoder=TOLERANT, read=decode):
    with pytest.raises(DecodeError) as caught:
        read(value, type_, decoder=decoder)
    return caught.value


def attribute_of(schema, name):
    (field,) = (field for field in attrs.fields(RESPONSES[schema]) if json_name(field.name) == name)
    return field.name


def promised_value(schema, name, value):
    """Return what a value of the schema's example decodes to."""
    kind = SCHEMAS[schema]["properties"][name]["type"]
    if (schema, name) in SCHEMA_ENUMS:
        return SCHEMA_ENUMS[schema, name](value)
    if "date-time" in kind:
        return datetime(2019, 8, 24, 14, 15, 22, tzinfo=UTC)
    if kind.startswith("["):
        item = kind.strip("[]")
        return tuple(promised_object(item, part) if item in RESPONSES else part for part in value)
    return promised_object(kind, value) if kind in RESPONSES else float(value) if "number" in kind else value


def promised_object(schema, value):
    parts = {attribute_of(schema, name): promised_value(schema, name, part) for name, part in value.items()}
    return RESPONSES[schema](**parts)


def same(one, other):
    """Tell whether two decoded values are equal and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if attrs.has(type(one)):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in attrs.fields(type(one)))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and same(list(one.values()), list(other.values()))
    # NaN is no other NaN's equal, -0.0 is 0.0's, and timestamps of different offsets may be equal.
    return repr(one) == repr(other)
