from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest

from datarobot_mlops_async._redaction import Redactor, secrets_of_url

SECRET = "c4n4ry+T/ok=n&"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        html.escape(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        SECRET.replace("/", "\\/"),
        "".join(f"\\u{ord(each):04x}" for each in SECRET),
        "".join(f"&#{ord(each)};" for each in SECRET),
        "".join(f"&#x{ord(each):X};" for each in SECRET),
    ],
)
def test_secret_is_taken_out_in_every_form(form):
    assert Redactor([SECRET]).text(f"<{form}>") == "<[secret]>"


def test_json_is_redacted_everywhere():
    data = {"a": [SECRET, 1, None], SECRET: {"b": f"x{SECRET}"}}
    assert Redactor([SECRET]).data(data) == {"a": ["[secret]", 1, None], "[secret]": {"b": "x[secret]"}}


def test_short_or_missing_secrets_leave_texts_alone():
    assert Redactor([None, "", "t", "creator"]).text("creator") == "creator"


def test_longer_secret_goes_first():
    assert Redactor(["abcdefgh", "abcdefghijkl"]).text("abcdefghijkl") == "[secret]"


def test_secrets_of_a_signed_url_are_the_values_of_its_query_and_its_password():
    secrets = secrets_of_url("https://u:passw0rd@s3/x?X-Amz-Signature=a%2Fb&flag&Expires=1")
    assert {"passw0rd", "a%2Fb", "a/b", "1"} <= set(secrets)
    assert Redactor(secrets_of_url("https://h/x")).text("text") == "text"


def test_secret_is_not_cut_in_two_where_a_text_ends():
    for length in range(30):
        assert SECRET[:4] not in Redactor([SECRET]).start(f"0123456789{SECRET}0123456789", length)


def test_secret_that_is_added_later_is_taken_out_as_well():
    redactor = Redactor([SECRET])
    redactor.add("another-secret", None, "short")
    assert redactor.text(f"{SECRET} another-secret short") == "[secret] [secret] short"


def test_json_nested_deeper_than_anybody_reads_is_cut():
    value = redacted = Redactor([SECRET]).data(json.loads("[" * 500 + "]" * 500))
    while isinstance(redacted, list):
        (redacted,) = redacted
    assert redacted == "…"
    assert len(json.dumps(value)) < 100
