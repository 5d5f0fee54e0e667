"""Fixtures that every test may use."""

from __future__ import annotations

import pytest

BACKENDS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=BACKENDS)
def anyio_backend(request):
    """Run each async test on every event loop."""
    return BACKENDS[request.param]
