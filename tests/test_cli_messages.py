"""What is printed: numbers as people read them, and text from outside that a terminal must not obey."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._messages import clean
from datarobot_mlops_async.cli._printing import cell, cell_of, field_text, to_json, value_at
from datarobot_mlops_async.cli._views import VIEWS, Column
from datarobot_mlops_async.models import (
    Deployment,
    DeploymentModel,
    DeploymentStatus,
    DeploymentTag,
    ModelHistory,
    ResourceBundle,
    ServiceHealth,
)

DEPLOYMENTS, HISTORY, BUNDLES = (
    VIEWS[each] for each in ("deployments.list", "deployments.model_history", "resource_bundles.list")
)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.00 KiB"),
        (14 * 2**30, "14.0 GiB"),
        (150 * 2**20, "150 MiB"),
        (5 * 2**50, "5120 TiB"),
    ],
)
def test_size_is_worded_in_binary_units(count, words):
    assert messages.size(count) == words


@pytest.mark.parametrize(
    ("speed", "words"),
    [(256, "0.26 kB/s"), (5e5, "500 kB/s"), (4.5e7, "45.0 MB/s"), (1e8, "0.10 GB/s"), (1.25e9, "1.25 GB/s")],
)
def test_rate_is_worded_in_decimal_units(speed, words):
    assert messages.rate(speed) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0.40 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_duration_is_worded_for_people(seconds, words):
    assert messages.duration(seconds) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=30), "1 d ago"),
        (timedelta(days=800), "2 y ago"),
        (timedelta(hours=-3), "in 3 h"),
    ],
)
def test_moment_is_worded_from_now(before, words):
    assert messages.ago(NOW - before, NOW) == words


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "bundle", "1 bundle"),
        (2000, "deployment", "2,000 deployments"),
        (0, "capability", "0 capabilities"),
    ],
)
def test_count_has_the_right_plural(number, noun, words):
    assert messages.count(number, noun) == words


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07label", "label"),
        ("\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x9b2Jgone", "gone"),
        ("\x1bPdevice control\x1b\\after", "after"),
        ("one\r\ntwo\tthree", "one two three"),
        ("abc\u202egpj.exe", "abc gpj.exe"),
        ("half\x1b", "half"),
        ("one\x85two\x8dthree\x7f", "one two three"),
        ("[bold]brackets[/]", "[bold]brackets[/]"),
    ],
)
def test_text_from_outside_cannot_steer_the_terminal(text, harmless):
    assert clean(text) == harmless


@given(st.text())
def test_no_text_steers_the_terminal_whatever_it_holds(text):
    assert not any(map(_steers, clean(text)))
    assert not any(map(_steers, to_json(text)))
    assert json.loads(to_json(text)) == text


def _steers(char):
    """Tell by Unicode's own data whether a terminal may obey a character, or change the order of others for it."""
    orders = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in orders


def test_blanks_are_kept_where_they_mean_something():
    assert clean("  indented\tby a tab \x1b[1m", keep_blanks=True) == "  indented\tby a tab"


def test_markup_in_a_label_is_shown_as_it_is():
    assert (
        str(cell_of(Column("Label", "label"), Deployment(label="[red]not markup[/]"))) == "[red]not markup[/]"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (0.5, "0.5"),
        (DeploymentStatus.ACTIVE, "active"),
        (NOW, "2026-01-31T12:00:00+00:00"),
        (("a", "b"), "a,b"),
        ((DeploymentTag(name="team", value="x"),), '[{"id": null, "name": "team", "value": "x"}]'),
        ("two\tfields\n", "two fields"),
    ],
)
def test_field_is_one_cell_of_a_tab_separated_line(value, text):
    assert field_text(value) == text


def test_cell_of_nothing_is_a_dash():
    assert str(cell(None)) == str(cell(())) == "-"


def test_path_through_something_missing_is_none():
    assert value_at(Deployment(), "model.type") is None
    assert value_at(Deployment(model=DeploymentModel(type="X")), "model.type") == "X"


@pytest.mark.parametrize("path", ["nope", "model.nope", "_extra", "label.upper", "label.__class__"])
def test_path_to_no_attribute_is_refused(path):
    with pytest.raises(ValueError, match="--columns"):
        value_at(Deployment(label="a", model=DeploymentModel()), path)


def test_json_has_unknown_fields_under_their_own_names():
    deployment = Deployment(id="1", extra={"fairnessHealth": {"status": "passing"}})
    assert json.loads(to_json(deployment))["fairnessHealth"] == {"status": "passing"}
    assert json.loads(to_json(deployment))["id"] == "1"


def test_every_column_takes_a_thing_of_which_nothing_is_known():
    for view, thing in ((DEPLOYMENTS, Deployment()), (HISTORY, ModelHistory()), (BUNDLES, ResourceBundle())):
        assert all(str(cell_of(column, thing)) for column in view.columns)


def test_health_is_told_by_shape_and_not_by_colour_alone():
    (health,) = [column for column in DEPLOYMENTS.columns if column.heading == "Health"]
    signs = {
        str(cell_of(health, Deployment(service_health=ServiceHealth(status=status))))[0]
        for status in ("passing", "warning", "failing", "notStarted", "unavailable")
    }
    assert len(signs) == 5


def test_bundle_names_its_gpus():
    (gpus,) = [column for column in BUNDLES.columns if column.heading == "GPUs"]
    assert str(cell_of(gpus, ResourceBundle(has_gpu=True, gpu_count=0.5, gpu_maker="amd"))) == "0.5 x amd"
    assert str(cell_of(gpus, ResourceBundle(has_gpu=True))) == "? x GPU"
