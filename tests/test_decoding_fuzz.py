"""Nothing but a DecodeError comes out, whatever comes in."""

from __future__ import annotations

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
