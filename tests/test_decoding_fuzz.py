"""Nothing but a DecodeError comes out, whatever comes in."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st

from datarobot_mlops_async.errors import DecodeError
from tests.bodies import (
    STRICT,
    TOLERANT,
    decode,
    decode_page,
    example,
    same,
    to_bytes,
)
from tests.schemas import RESPONSES

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ANY_CLASS = st.sampled_from([*RESPONSES.values()])


def attempt(body, cls, decoder, read=decode):
    """Return what was decoded, or why not."""
    try:
        return read(body, cls, decoder=decoder)
    except DecodeError as error:
        return error


@settings(deadline=None)  # how fast it decodes is for the benchmark to say
@case(body=to_bytes("\U00010000" * 50), cls=next(iter(RESPONSES.values())))
@given(
    body=st.binary() | ANY_JSON.map(to_bytes) | ANY_JSON.map(lambda v: to_bytes({"data": [v]})), cls=ANY_CLASS
)
def test_nothing_but_a_decode_error_comes_out_of_any_bytes(body, cls):
    for decoder in (TOLERANT, STRICT):
        for read in (decode, decode_page):
            outcome = attempt(body, cls, decoder, read)
            if isinstance(outcome, DecodeError):
                assert len(outcome.message) < 300
                assert outcome.message.isascii()


def places(value, path="$"):
    """Yield every place in a JSON value: its path, what holds it, and under which key."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        below = f"{path}.{key}" if isinstance(value, dict) else f"{path}[{key}]"
        yield below, value, key
        yield from places(part, below)


@settings(deadline=None)
@given(data=st.data(), schema=st.sampled_from([*RESPONSES]), wrong=ANY_JSON)
def test_failure_is_named_wherever_one_value_is_replaced(data, schema, wrong):
    body = example(schema)
    path, holder, key = data.draw(st.sampled_from(list(places(body))))
    holder[key] = wrong
    tolerant, strict = (attempt(body, RESPONSES[schema], decoder) for decoder in (TOLERANT, STRICT))
    for outcome in (tolerant, strict):
        if isinstance(outcome, DecodeError):
            assert outcome.path.startswith(path) or (outcome.path, outcome.expected) == ("$", "JSON")
    assert isinstance(strict, DecodeError) or same(tolerant, strict), (
        "what is right strictly is so tolerantly"
    )


LITERALS = [
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"-0",
    b"-0.0",
    b"01",
    b"1.",
    b"2.5e-324",
    b"0.1e-7",
    b"%d" % 2**64,
]
STRINGS = [
    rb'"\ud800"',
    rb'"\ud83d\ude00"',
    rb'"\u0000"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"a\x01b"',
    b'"\xc3\xa9"',
]
SCALARS = st.sampled_from([*LITERALS, *STRINGS, b"9" * 5000, b"null", b"true", b"1", b'"a"', b""])
ODD_JSON = st.recursive(
    SCALARS
    | st.integers().map(lambda number: b"%d" % number)
    | st.floats().map(lambda each: repr(each).encode()),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda parts: b"[" + b", ".join(parts) + b"]")
        # The names repeat: of duplicates the last one counts.
        | st.lists(
            st.tuples(st.sampled_from([b'"a"', b'"b"', b'"\\u0061"', b'"\xff"']), inner), max_size=4
        ).map(lambda pairs: b"{" + b",".join(name + b":" + part for name, part in pairs) + b"}")
    ),
    max_leaves=10,
)
NESTED = b"[" * 900 + b"]" * 900


@settings(deadline=None, max_examples=300)
@given(body=ODD_JSON | ODD_JSON.map(lambda body: body[:-1]) | st.binary())
@case(b"\xef\xbb\xbf[1]")
@case("[1]".encode("utf-16"))
@case(NESTED * 1000)
def test_any_bytes_are_what_the_standard_library_says(body):
    page = b'{"data": [' + body + b'], "totalCount": 1, "next": null}'
    for whole, read in ((body, decode), (page, decode_page)):
        found = attempt(whole, Any, TOLERANT, read)
        try:
            expected = json.loads(whole)
        except (ValueError, RecursionError):
            assert isinstance(found, DecodeError)
        else:
            assert same(list(found.items), expected["data"]) if read is decode_page else same(found, expected)


@settings(deadline=None)
@given(data=st.data(), schema=st.sampled_from([*RESPONSES]), wrong=ANY_JSON)
def test_row_is_the_same_in_a_page_of_its_likes_and_alone(data, schema, wrong):
    rows = [example(schema) for _ in range(3)]
    _, holder, key = data.draw(st.sampled_from(list(places(rows[1]))))
    holder[key] = wrong
    alone = [attempt(to_bytes(row), RESPONSES[schema], TOLERANT) for row in rows]
    page = attempt(to_bytes({"data": rows, "totalCount": 3}), RESPONSES[schema], TOLERANT, decode_page)
    if isinstance(alone[1], DecodeError):
        assert page.path == alone[1].path.replace("$", "$.data[1]", 1)
    else:
        assert same(list(page.items), alone)
