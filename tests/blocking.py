"""Calls of the library that block the event loop fail the test that makes them.

Watched are asyncio's loops, uvloop's among them, and what the library itself calls: a test may read a
file where it likes. The emulator has a loop of its own in another thread and is not watched.
"""

from __future__ import annotations

import pytest
from blockbuster import blockbuster_ctx

# Where the library may block the loop, and why.
_MAY_BLOCK = (
    # Settings are read when a session is made, from files of a few lines; nothing is on its way yet.
    ("datarobot_mlops_async/_config/_settings.py", {"load"}),
    # Trusted authorities are looked at and read then too, once for a process and a set of them.
    ("datarobot_mlops_async/_transport/_certificates.py", {"tls_context"}),
    # Not the library: the measuring of its coverage, when several threads run a line for the first time.
    ("coverage/collector.py", {"lock_data"}),
)
_UNWATCHED = ["datarobot_mlops_async.emulator", "datarobot_mlops_async.cli"]


@pytest.fixture(scope="module", autouse=True)
def no_call_blocks_the_event_loop():
    """Raise `blockbuster.BlockingError` where a call would block."""
    with blockbuster_ctx("datarobot_mlops_async", excluded_modules=_UNWATCHED) as watch:
        for function in watch.functions.values():
            for filename, names in _MAY_BLOCK:
                function.can_block_in(filename, names)
        yield
