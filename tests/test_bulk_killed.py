from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter

import anyio

from datarobot_mlops_async import AsyncSession, OutcomeState, read_journal
from datarobot_mlops_async.emulator import Emulator

SUCCEEDED, _, UNKNOWN = OutcomeState

CHILD = """
import sys, anyio
from datarobot_mlops_async import AsyncSession

async def main(endpoint, token, journal):
    async with AsyncSession(endpoint, token) as session:
        ids = [line.strip() for line in sys.stdin]
        await session.bulk(
            session.deployments.begin_deactivate, ids, resume_from=journal, max_concurrency=8
        )

anyio.run(main, *sys.argv[1:])
"""


def test_killed_runs_are_continued_and_nothing_is_begun_twice(tmp_path):
    journal = tmp_path / "journal.jsonl"
    draw = random.Random(5)
    with Emulator(deployments=80, operation_seconds=0.1, latency=0.01, image_size=None) as emulator:
        ids = anyio.run(active_ids, emulator)
        for _ in range(4):
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, emulator.endpoint, emulator.token, str(journal)],
                stdin=subprocess.PIPE,
            )
            child.stdin.write("\n".join(ids).encode())
            child.stdin.close()
            sent = len(emulator.requests)
            deadline = time.monotonic() + 20
            while len(emulator.requests) < sent + draw.randrange(10, 60) and child.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
            child.wait()
        outcomes = anyio.run(finish, emulator, ids, journal)
        patches = Counter(each.path.split("/")[-3] for each in emulator.requests if each.method == "PATCH")
        statuses = anyio.run(statuses_of, emulator)
    # Every item is accounted for, and none was sent twice.
    assert [each.item for each in outcomes] == ids
    assert max(patches.values()) == 1
    states = Counter(each.state for each in outcomes)
    # Unknown are at most those that were on their way in each of the processes.
    assert states[UNKNOWN] <= 4 * 8
    assert states[SUCCEEDED] + states[UNKNOWN] == len(ids)
    for each in outcomes:
        if each.state is SUCCEEDED:
            assert statuses[each.item] == "inactive"
        else:
            # Its answer was lost with the process; whether it was ever sent is what nobody knows.
            assert each.location is None
    assert read_journal(journal).counts == states


NIGHTLY = """
import os, signal, sys, anyio
from datarobot_mlops_async import AsyncSession, read_journal

async def killed_when_begun(ids, journal):
    for each in ids:
        yield each
    while sum(each.location is not None for each in read_journal(journal).outcomes) < len(ids):
        await anyio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

async def main(endpoint, token, journal, *ids):
    async with AsyncSession(endpoint, token) as session:
        await session.bulk(session.deployments.begin_deactivate, killed_when_begun(ids, journal), resume_from=journal)

anyio.run(main, *sys.argv[1:])
"""


def test_nightly_run_that_was_killed_finishes_what_its_filter_no_longer_finds(tmp_path):
    journal = tmp_path / "journal.jsonl"
    with Emulator(deployments=30, operation_seconds=0.3, image_size=None) as emulator:
        ids = anyio.run(active_ids, emulator)
        first, left = ids[:8], ids[8:]
        arguments = (emulator.endpoint, emulator.token, str(journal), *first)
        child = subprocess.run([sys.executable, "-c", NIGHTLY, *arguments], check=False)
        assert child.returncode == -signal.SIGKILL
        # By now the filter finds the others only.
        outcomes = anyio.run(finish, emulator, left, journal)
        patches = Counter(each.path.split("/")[-3] for each in emulator.requests if each.method == "PATCH")
    assert [each.item for each in outcomes[: len(left)]] == left
    assert {each.item for each in outcomes[len(left) :]} == set(first)
    assert {each.state for each in outcomes} == {SUCCEEDED}
    assert patches == dict.fromkeys(ids, 1)


async def active_ids(emulator):
    async with AsyncSession(emulator.endpoint, emulator.token) as session:
        return [each.id async for each in session.deployments.list(status="active")]


async def statuses_of(emulator):
    async with AsyncSession(emulator.endpoint, emulator.token) as session:
        return {each.id: each.status async for each in session.deployments.list()}


async def finish(emulator, ids, journal):
    async with AsyncSession(emulator.endpoint, emulator.token) as session:
        return await session.bulk(session.deployments.begin_deactivate, ids, resume_from=journal)
