"""The response classes against the API page, and how they behave as values."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import sys
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import get_args, get_type_hints

import attrs
import pytest

from datarobot_mlops_async import models
from datarobot_mlops_async._decoding._records import json_name
from datarobot_mlops_async.models import Deployment, DeploymentOwner, Record, enums, extra
from tests.schemas import (
    BOOLEAN_WORDS,
    CONSTANTS,
    CONTRACT,
    FRACTIONAL,
    LISTS,
    PARAMETER_ENUMS,
    REQUESTS,
    RESPONSES,
    SCHEMA_ENUMS,
    SCHEMAS,
    TIMESTAMP_IN_WORDS,
)

CLASSES = [
    cls
    for cls in vars(models).values()
    if isinstance(cls, type) and issubclass(cls, Record) and cls is not Record
]
ENUMS = [
    cls
    for cls in vars(enums).values()
    if isinstance(cls, type) and issubclass(cls, StrEnum) and cls is not StrEnum
]

RESPONSE_PROPERTIES = [
    pytest.param(schema, name, id=f"{schema}.{name}")
    for schema in RESPONSES
    for name in SCHEMAS[schema]["properties"]
]


def documented_fields(cls):
    return {json_name(field.name): field for field in attrs.fields(cls) if field.name != "_extra"}


def promised_type(schema, name):
    """Return the annotation that the contract asks for, without ``None``."""
    kind = SCHEMAS[schema]["properties"][name]["type"]
    if (schema, name) in SCHEMA_ENUMS:
        return SCHEMA_ENUMS[schema, name] | str
    if (schema, name) in TIMESTAMP_IN_WORDS:
        return datetime | str
    number = int | float if (schema, name) in FRACTIONAL else int
    word = re.sub(r",null|[\[\]]", "", kind)
    words = {
        "string": str,
        "string(date-time)": datetime,
        "integer": number,
        "number": float,
        "boolean": bool,
        **RESPONSES,
    }
    return tuple[words[word], ...] if kind.startswith("[") else words[word]


def test_every_schema_of_the_page_is_a_response_a_list_or_a_request():
    assert RESPONSES.keys() | LISTS.keys() | REQUESTS == SCHEMAS.keys()
    assert len(RESPONSES) + len(LISTS) + len(REQUESTS) == len(SCHEMAS)


def test_every_class_implements_one_schema():
    assert sorted(CLASSES, key=repr) == sorted(RESPONSES.values(), key=repr)


@pytest.mark.parametrize("schema", RESPONSES)
def test_attributes_are_the_properties_of_the_schema(schema):
    assert documented_fields(RESPONSES[schema]).keys() == SCHEMAS[schema]["properties"].keys()


@pytest.mark.parametrize(("schema", "name"), RESPONSE_PROPERTIES)
def test_attribute_has_the_documented_type(schema, name):
    cls = RESPONSES[schema]
    promise = SCHEMAS[schema]["properties"][name]
    field = documented_fields(cls)[name]
    hint = get_type_hints(cls)[field.name]
    nullable = ",null" in promise["type"]
    absent = NoneType in get_args(hint)

    assert field.default is None
    assert bool(field.metadata.get("required")) is promise["required"]
    assert absent is (nullable or not promise["required"])
    assert promise["required"] or bool(field.metadata.get("nullable")) is nullable
    wanted = promised_type(schema, name)
    assert hint == (wanted | None if absent else wanted)


@pytest.mark.parametrize("cls", CLASSES)
def test_docstring_names_the_schema_and_explains_each_attribute(cls):
    docstring = inspect.cleandoc(cls.__doc__)
    (schema,) = re.findall(r"Implements ``(\w+)``\.", docstring)
    assert RESPONSES[schema] is cls
    _, attributes = docstring.split("\n\nAttributes:\n")
    explained = re.findall(r"^    (\w+): \S", attributes, re.MULTILINE)
    assert explained == [field.name for field in documented_fields(cls).values()]


@pytest.mark.parametrize("cls", CLASSES)
def test_class_is_frozen_slotted_and_keyword_only(cls):
    instance = cls()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(instance, attrs.fields(cls)[1].name, "x")
    assert not hasattr(instance, "__dict__")
    assert all(field.kw_only for field in attrs.fields(cls))


def test_every_enum_of_the_schemas_is_one_of_ours_with_the_same_values():
    listed = {
        (schema, name): promise["enum"]
        for schema, body in SCHEMAS.items()
        for name, promise in body["properties"].items()
        if "enum" in promise
    }
    assert listed.keys() == SCHEMA_ENUMS.keys() | CONSTANTS
    for place, enum in SCHEMA_ENUMS.items():
        assert list(enum) == listed[place]


def test_every_enum_of_the_parameters_is_one_of_ours_with_the_same_values():
    listed = {
        (operation["path"], parameter["name"]): parameter["enum"]
        for operation in CONTRACT["operations"]
        for parameter in operation["parameters"]
        if "enum" in parameter and parameter["enum"] != BOOLEAN_WORDS
    }
    assert listed.keys() == PARAMETER_ENUMS.keys()
    for place, enum in PARAMETER_ENUMS.items():
        assert list(enum) == listed[place]


def test_every_enum_of_ours_is_on_the_page():
    assert set(ENUMS) == {*SCHEMA_ENUMS.values(), *PARAMETER_ENUMS.values()}
    assert all(enum.__doc__ for enum in ENUMS)


def test_enum_member_is_its_string():
    assert models.DeploymentStatus.REPLACING_MODEL == "replacingModel"
    assert str(models.DeploymentStatus.REPLACING_MODEL) == "replacingModel"
    assert {"replacingModel": 1}[models.DeploymentStatus.REPLACING_MODEL] == 1


def test_exports_are_sorted_and_complete():
    public = {cls.__name__ for cls in [*CLASSES, *ENUMS]} | {"Record", "extra"}
    assert set(models.__all__) == public
    assert models.__all__ == sorted(models.__all__)


def owner(**fields):
    return DeploymentOwner(id="1", email="a@example.com", **fields)


def test_instance_is_made_by_hand_with_what_the_test_needs():
    deployment = Deployment(
        id="1", label="Churn", owners=models.DeploymentOwners(count=1, preview=(owner(),))
    )
    assert deployment.label == "Churn"
    assert deployment.owners.preview[0].email == "a@example.com"
    assert deployment.created_at is None
    assert extra(deployment) == {}


def test_equality_and_hash_follow_the_documented_fields():
    assert owner() == owner()
    assert hash(owner()) == hash(owner())
    assert owner() != owner(first_name="Ada")
    assert owner(extra={"role": "x"}) == owner()
    assert hash(owner(extra={"role": ["x"]})) == hash(owner())
    assert models.ServiceHealth(status="passing") != models.ModelHealth(status="passing")


def test_repr_shows_the_documented_fields():
    assert repr(owner(extra={"role": "x"})) == (
        "DeploymentOwner(id='1', email='a@example.com', first_name=None, last_name=None)"
    )


@pytest.mark.parametrize("cls", [models.Deployment, models.CustomModelDeployment, models.ResourceBundle])
@pytest.mark.parametrize("name", ["Churn", "x" * 512, "two\nlines", None])
def test_repr_of_what_comes_in_lists_fits_a_line(cls, name):
    status = {} if cls is models.ResourceBundle else {"status": models.DeploymentStatus.REPLACING_MODEL}
    naming = {"name" if cls is models.ResourceBundle else "label": name}
    shown = repr(cls(id="6561eae8a83b5835a3e502a2", **naming, **status))
    assert "6561eae8a83b5835a3e502a2" in shown
    assert all(each in shown for each in status.values())
    assert (name or "")[:7].encode("unicode_escape").decode() in shown
    assert "\n" not in shown
    assert len(shown) <= (80 if cls is not models.CustomModelDeployment else 91)


def test_unknown_fields_are_read_only():
    unknown = extra(owner(extra={"role": "x"}))
    assert dict(unknown) == {"role": "x"}
    with pytest.raises(TypeError):
        unknown["role"] = "y"
    with pytest.raises(TypeError):
        extra(owner())["role"] = "y"


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
        lambda value: attrs.evolve(value, description=value.description),
    ],
    ids=["copy", "deepcopy", "pickle", "evolve"],
)
def test_duplicate_equals_and_keeps_unknown_fields(duplicate):
    deployment = Deployment(
        id="1",
        status=models.DeploymentStatus.ACTIVE,
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        owners=models.DeploymentOwners(count=1, preview=(owner(extra={"role": "x"}),)),
        extra={"creator": {"id": "2"}},
    )
    again = duplicate(deployment)
    assert again == deployment
    assert again.status is models.DeploymentStatus.ACTIVE
    assert extra(again) == {"creator": {"id": "2"}}
    assert extra(again.owners.preview[0]) == {"role": "x"}


def test_evolve_changes_one_field():
    assert attrs.evolve(owner(), first_name="Ada") == owner(first_name="Ada")


def test_unknown_fields_cost_nothing_where_there_are_none():
    plain = attrs.make_class("Plain", {"a": attrs.field(default=None)}, frozen=True, slots=True)
    kept = attrs.make_class(
        "Kept", {"a": attrs.field(default=None)}, bases=(Record,), frozen=True, slots=True, weakref_slot=False
    )
    assert sys.getsizeof(kept()) <= sys.getsizeof(plain())
    assert extra(owner()) is extra(Deployment())
