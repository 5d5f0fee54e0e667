"""Changing the status of many deployments, with and without a server that refuses some requests.

Run ``python benchmarks/bulk.py``. The emulator runs in a process of its own. After each run its request log is held
against the outcomes: every change was accepted exactly once, whatever was refused in between, every
deployment has its new status, and while the server had asked for a pause nothing was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from pathlib import Path
from typing import Any

from emulated import EmulatorProcess, emulated
from reporting import table, targets_table, write

from datarobot_mlops_async import AsyncSession, OutcomeState

# A request may be on its way while the answer that asks for the pause is, and both processes are busy.
_ON_THE_WAY = 0.08
FAULTS = [
    "* /deployments/** status=429 retry-after={pause} probability=0.05",
    "* /deployments/** status=503 retry-after={pause} probability=0.01",
]


async def change(
    server: EmulatorProcess,
    size: int,
    concurrency: int,
    faults: list[str],
    pause: float,
    journal: Path | None = None,
) -> dict[str, Any]:
    server.ask("fault", rules=[])
    async with AsyncSession(server.endpoint, server.token, retry=30) as session:
        listed = await session.deployments.list().collect()
        chosen = [each for each in listed if each.status in {"active", "inactive"}][:size]
        wanted = {each.id: "inactive" if each.status == "active" else "active" for each in chosen}
        server.ask("log")
        server.ask("fault", rules=faults)
        cpu, started = time.process_time(), time.perf_counter()
        outcomes = await session.bulk(
            lambda id_: session.deployments.begin_set_status(id_, wanted[id_]),
            wanted,
            max_concurrency=concurrency,
            journal=journal,
        )
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        server.ask("fault", rules=[])
        requests = server.ask("log")
        after = {each.id: each.status async for each in session.deployments.list()}
    return {
        "items": len(wanted),
        "concurrency": concurrency,
        "faults": bool(faults),
        "journal": journal is not None,
        "seconds": elapsed,
        "cpu": cpu,
        "requests": len(requests),
        "refused": sum(each["status"] in {429, 503} for each in requests),
        "most_in_flight": most_in_flight(requests),
        "pauses_broken": pauses_broken(requests, pause),
        **verified(outcomes, wanted, requests, after),
    }


def verified(
    outcomes: list[Any], wanted: dict[str, str], requests: list[dict[str, Any]], after: dict[str, str]
) -> dict[str, int]:
    """Count what went wrong; a run with any of it does not count."""
    accepted = Counter(
        each["path"].split("/")[-3]
        for each in requests
        if each["method"] == "PATCH" and each["status"] == 202
    )
    states = Counter(each.state for each in outcomes)
    found = {
        "lost": sum(after[id_] != status for id_, status in wanted.items()),
        "done_twice": sum(count > 1 for count in accepted.values()),
        "not_succeeded": len(wanted) - states[OutcomeState.SUCCEEDED],
    }
    assert not any(found.values()), found
    assert [each.item for each in outcomes] == list(wanted)
    return found


def most_in_flight(requests: list[dict[str, Any]]) -> int:
    changes = sorted(
        (at, step) for each in requests for at, step in ((each["started_at"], 1), (each["answered_at"], -1))
    )
    most = now = 0
    for _, step in changes:
        now += step
        most = max(most, now)
    return most


def pauses_broken(requests: list[dict[str, Any]], pause: float) -> int:
    """Count the pauses that the server had asked for and in which a request arrived all the same."""
    starts = sorted(each["started_at"] for each in requests)
    asked = [each["answered_at"] for each in requests if each["status"] in {429, 503}]
    return sum(bisect_left(starts, at + pause) > bisect_right(starts, at + _ON_THE_WAY) for at in asked)


def row(found: dict[str, Any]) -> tuple[object, ...]:
    return (
        f"{found['items']:,}",
        found["concurrency"],
        "5 % 429, 1 % 503" if found["faults"] else "none",
        "on disk" if found["journal"] else "none",
        f"{found['seconds']:.1f}",
        f"{found['items'] / found['seconds']:.0f}",
        f"{found['requests']:,}",
        f"{found['refused']:,}",
        found["most_in_flight"],
        f"{found['cpu']:.1f}",
        f"{found['lost']} / {found['done_twice']} / {found['pauses_broken']}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--items-one-by-one", type=int, default=25, help="items at a concurrency of 1")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--latency", type=float, default=0.01, help="seconds before each answer")
    parser.add_argument("--operation-seconds", type=float, default=0.2)
    parser.add_argument("--pause", type=float, default=0.15, help="Retry-After of refused requests")
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="directory for the journal")
    arguments = parser.parse_args()
    faults = [each.format(pause=arguments.pause) for each in FAULTS]
    # A tenth of the fleet is in states that cannot be changed.
    size = round(arguments.items * 1.2) + 10
    results = []
    with emulated(
        deployments=size, latency=arguments.latency, operation_seconds=arguments.operation_seconds
    ) as server:
        for concurrency in arguments.concurrency:
            items = arguments.items_one_by_one if concurrency == 1 else arguments.items
            results.append(asyncio.run(change(server, items, concurrency, [], arguments.pause)))
        most = max(arguments.concurrency)
        # Not in /tmp, which is often memory: each announcement is to wait for a disk.
        with tempfile.TemporaryDirectory(dir=arguments.disk) as directory:
            journal = Path(directory, "journal.jsonl")
            results.append(asyncio.run(change(server, arguments.items, most, [], arguments.pause, journal)))
        results.append(asyncio.run(change(server, arguments.items, most, faults, arguments.pause)))
    head = (
        "items",
        "concurrency",
        "refused on purpose",
        "journal",
        "seconds",
        "items a second",
        "requests",
        "refused",
    )
    head = (*head, "most in flight", "CPU s", "lost / done twice / pauses broken")
    worst = results[-1]
    plain, journaled = results[-3:-1]
    cost = (journaled["seconds"] - plain["seconds"]) / journaled["items"] * 1000
    targets = [
        ("a journal on disk, each announcement synced: ms more an item", cost, "≤ 2", cost <= 2),
        ("with faults: lost", worst["lost"], "0", not worst["lost"]),
        ("with faults: done twice", worst["done_twice"], "0", not worst["done_twice"]),
        (
            "with faults: pauses in which something was sent",
            worst["pauses_broken"],
            "0",
            not worst["pauses_broken"],
        ),
        ("most in flight, of 32", max(each["most_in_flight"] for each in results), "≤ 32", True),
    ]
    write(
        "bulk",
        "Bulk status changes",
        f"operations of {arguments.operation_seconds:g} s, {arguments.latency * 1000:g} ms a request, the emulator "
        f"in its own process; refused requests ask for a pause of {arguments.pause:g} s. One run of each, every one "
        "checked against the emulator's request log and the fleet's state.",
        [*table(head, map(row, results)), "", *targets_table(targets)],
        {"arguments": {**vars(arguments), "disk": None}, "results": results},
    )


if __name__ == "__main__":
    main()
