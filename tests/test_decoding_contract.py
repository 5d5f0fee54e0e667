"""Every property of every schema: right, missing, null, of each wrong type, and beside unknown ones."""

from __future__ import annotations

from enum import StrEnum

import attrs
import pytest

from datarobot_mlops_async import models
from datarobot_mlops_async.models import extra
from tests.bodies import (
    BOTH,
    OPERATION,
    PROPERTIES,
    STRICT,
    attribute_of,
    decode,
    decode_page,
    example,
    failure,
    promised_object,
    same,
)
from tests.schemas import FRACTIONAL, LISTS, RESPONSES, SCHEMA_ENUMS, SCHEMAS


@BOTH
@pytest.mark.parametrize("schema", RESPONSES)
def test_example_decodes_to_every_promised_value(schema, decoder):
    decoded = decode(example(schema), RESPONSES[schema], decoder=decoder)
    assert same(decoded, promised_object(schema, example(schema)))
    assert extra(decoded) == {}


@BOTH
@pytest.mark.parametrize("schema", LISTS)
def test_example_of_a_list_decodes_to_a_page(schema, decoder):
    page = decode_page(example(schema), LISTS[schema], decoder=decoder)
    (item_schema,) = (name for name, cls in RESPONSES.items() if cls is LISTS[schema])
    assert same(page.items, (promised_object(item_schema, example(item_schema)),))
    promises = SCHEMAS[schema]["properties"]
    assert page.count == (0 if "count" in promises else None)
    assert page.total_count == (0 if "totalCount" in promises else None)
    assert page.next == page.previous == ("http://example.com" if "next" in promises else None)


@pytest.mark.parametrize(("schema", "name"), PROPERTIES)
def test_property_that_is_missing_reads_none(schema, name):
    body = example(schema)
    del body[name]
    assert getattr(decode(body, RESPONSES[schema]), attribute_of(schema, name)) is None


@pytest.mark.parametrize(("schema", "name"), PROPERTIES)
def test_property_that_is_missing_fails_strictly_if_required(schema, name):
    body = example(schema)
    del body[name]
    if SCHEMAS[schema]["properties"][name]["required"]:
        error = failure(body, RESPONSES[schema], decoder=STRICT)
        assert (error.path, error.expected, error.actual) == (f"$.{name}", "a required field", "nothing")
    else:
        assert getattr(decode(body, RESPONSES[schema], decoder=STRICT), attribute_of(schema, name)) is None


@pytest.mark.parametrize(("schema", "name"), PROPERTIES)
def test_property_that_is_null_reads_none_and_fails_strictly_unless_promised(schema, name):
    body = example(schema, **{name: None})
    assert getattr(decode(body, RESPONSES[schema]), attribute_of(schema, name)) is None
    if ",null" in SCHEMAS[schema]["properties"][name]["type"]:
        assert getattr(decode(body, RESPONSES[schema], decoder=STRICT), attribute_of(schema, name)) is None
    else:
        error = failure(body, RESPONSES[schema], decoder=STRICT)
        assert (error.path, error.expected, error.actual) == (f"$.{name}", "a value", "null")


def wrong_values(schema, name):
    """Yield a value of each JSON type that the property may not have."""
    kind = SCHEMAS[schema]["properties"][name]["type"]
    array = kind.startswith("[")
    if kind in RESPONSES or kind.strip("[]") in RESPONSES:
        right = dict
    elif "string" in kind:
        right = str
    elif "boolean" in kind:
        right = bool
    else:
        right = int
    for wrong in ("true", 1, 2.5, True, [[]], {"a": {}}):
        fraction = isinstance(wrong, float) and ("number" in kind or (schema, name) in FRACTIONAL)
        if not (type(wrong) is right or fraction):
            yield [wrong] if array else wrong
        if array and not isinstance(wrong, list):
            yield wrong


@BOTH
@pytest.mark.parametrize(("schema", "name"), PROPERTIES)
def test_property_of_a_wrong_type_is_named(schema, name, decoder):
    for wrong in wrong_values(schema, name):
        error = failure(example(schema, **{name: wrong}), RESPONSES[schema], decoder=decoder)
        assert error.path.startswith(f"$.{name}")
        assert error.operation == OPERATION
        assert error.expected.startswith(("a", "one of"))
        assert error.message == f"{OPERATION}: expected {error.expected} at {error.path}, got {error.actual}"


@pytest.mark.parametrize("schema", RESPONSES)
def test_unknown_field_is_kept_and_changes_nothing_else(schema):
    body = example(schema, brandNew={"deep": [1, None]}, id_2="x")
    decoded = decode(body, RESPONSES[schema])
    assert extra(decoded) == {"brandNew": {"deep": [1, None]}, "id_2": "x"}
    assert same(attrs.evolve(decoded, extra=None), promised_object(schema, example(schema)))


@pytest.mark.parametrize("schema", RESPONSES)
def test_unknown_field_fails_strictly(schema):
    error = failure(example(schema, brandNew=1), RESPONSES[schema], decoder=STRICT)
    assert (error.path, error.expected, error.actual) == (
        "$.brandNew",
        "no field of this name",
        "the number 1",
    )


def test_unknown_field_is_found_although_a_documented_one_is_missing_or_null():
    assert extra(decode({"id": "1", "role": "x", "email": None}, models.DeploymentOwner)) == {"role": "x"}
    assert extra(decode({"id": "1", "first": "x", "email": "", "lastName": ""}, models.DeploymentOwner)) == {
        "first": "x"
    }


def test_unknown_fields_of_nested_objects_stay_with_them():
    body = example("DeploymentRetrieveResponse")
    body["model"]["framework"] = "xgboost"
    body["owners"]["preview"][0]["role"] = "OWNER"
    deployment = decode(body)
    assert extra(deployment) == {}
    assert extra(deployment.model) == {"framework": "xgboost"}
    assert extra(deployment.owners.preview[0]) == {"role": "OWNER"}
    assert failure(body, decoder=STRICT).path == "$.model.framework"


def test_unknown_field_named_as_an_attribute_is_unknown():
    decoded = decode(example("DeletedDeploymentResponse", deleted_at="x", _extra=1), models.DeletedDeployment)
    assert decoded.deleted_at.year == 2019
    assert extra(decoded) == {"deleted_at": "x", "_extra": 1}


# Enumerations.

ENUM_VALUES = [
    pytest.param(schema, name, value, id=f"{schema}.{name}-{value}")
    for (schema, name) in SCHEMA_ENUMS
    if schema in RESPONSES
    for value in SCHEMAS[schema]["properties"][name]["enum"]
]


@BOTH
@pytest.mark.parametrize(("schema", "name", "value"), ENUM_VALUES)
def test_known_enum_value_is_the_member(schema, name, value, decoder):
    decoded = decode(example(schema, **{name: value}), RESPONSES[schema], decoder=decoder)
    member = getattr(decoded, attribute_of(schema, name))
    assert member is SCHEMA_ENUMS[schema, name](value)
    assert member == value


@pytest.mark.parametrize(("schema", "name"), [key for key in SCHEMA_ENUMS if key[0] in RESPONSES])
def test_unknown_enum_value_stays_a_string_and_fails_strictly(schema, name):
    body = example(schema, **{name: "brandNew"})
    value = getattr(decode(body, RESPONSES[schema]), attribute_of(schema, name))
    assert value == "brandNew"
    assert not isinstance(value, StrEnum)
    error = failure(body, RESPONSES[schema], decoder=STRICT)
    assert error.path == f"$.{name}"
    assert error.expected == "one of " + ", ".join(SCHEMA_ENUMS[schema, name])
    assert error.actual == "the string 'brandNew'"
