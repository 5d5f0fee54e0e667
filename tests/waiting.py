"""Waiting for what happens, instead of for how long it takes on a quiet machine."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def cancelled_when(condition):
    """Cancel the block as soon as a condition holds, as a caller would who goes away at that moment."""

    async def watch():
        await wait_until(condition)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.CancelScope() as scope:
            yield scope
        group.cancel_scope.cancel()


async def wait_until(condition):
    """Wait for what happens on a server, in another thread."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.002)
