"""What the download tests do with the servers."""

from __future__ import annotations

from contextlib import asynccontextmanager

from attrs import evolve

from datarobot_mlops_async import AsyncSession
from datarobot_mlops_async._download._context import Tuning
from datarobot_mlops_async._download._controller import LowSpeedLimit
from datarobot_mlops_async._retry import RetryPolicy
from tests.servers.storage import TOKEN

KIB = 1024
MIB = 1024 * KIB

# Everything a thousand times smaller than in production, so that a few MiB make many pieces.
SMALL = Tuning(
    block=32 * KIB,
    blocks=8,
    shortest_piece=128 * KIB,
    longest_piece=256 * KIB,
    window=2 * MIB,
    tick=0.01,
    checkpoint=0.02,
    lock_poll=0.02,
    low_speed=LowSpeedLimit(window=0.2, fraction=0.2, floor=1000.0, floor_window=0.4),
)
QUICK = RetryPolicy(max_retries=3, budget=20.0, initial_backoff=0.01, max_backoff=0.02)


@asynccontextmanager
async def session_for(endpoint, *, timeout=5.0, retry=QUICK, **options):
    async with AsyncSession(endpoint, TOKEN, timeout=timeout, retry=retry, **options) as session:
        yield session


@asynccontextmanager
async def artifact_at(endpoint, path, *, tuning=SMALL, session_options=None, **fields):
    """Give an artifact on a server, in a session of its own."""
    async with session_for(endpoint, **(session_options or {})) as session:
        yield evolve(session.artifact(path), tuning=tuning, **{"filename": "image.tar", **fields})


async def path_of(session, artifact):
    """Return what a download of the artifact would ask for first."""
    (planned,) = await session.bulk(lambda each: each.download("x"), [artifact], dry_run=True)
    return planned.path


def leftovers(directory):
    """Return the names of partial files and resume states in a directory."""
    return sorted(each.name for each in directory.iterdir() if each.name.startswith("."))
