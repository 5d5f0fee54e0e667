"""How hard the fuzz tests try: for about a minute in the suite, as long as told in ``nox -s fuzz``."""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# About a minute of tests where coverage is measured, and half of it in a round of ``nox -s fuzz``.
_FACTOR = int(os.environ.get("FUZZ_FACTOR", "4"))

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**30, -1, "", "\ud800", "\u2028"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def fuzzed(examples):
    """Run a test with so many examples, however long one takes; a failing one is printed to be run again."""
    return settings(
        max_examples=examples * _FACTOR,
        deadline=None,
        print_blob=True,
        # Fixtures set the backend and give a session or a server, which all examples are meant to share.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def damage(content, seed):
    """Return what may have become of a file: cut, overwritten, with something in between, or another one."""
    draw = random.Random(seed)
    for _ in range(draw.randint(1, 3)):
        at, end = sorted(draw.randint(0, len(content)) for _ in range(2))
        piece = draw.choice(
            [b"", b"\n", b"\x00" * 9, b"{", b"[" * 2000, b"9" * 5000, b"null", draw.randbytes(5)]
        )
        content = draw.choice(
            [
                content[:at],
                content[:at] + piece + content[end:],
                content[:at] + piece + content[at:],
                content * 2,
                piece,
            ]
        )
    return content


SEEDS = st.integers(0, 2**32)


def damaged(content):
    """Return a strategy for what may have become of a file."""
    return SEEDS.map(lambda seed: damage(content, seed))
