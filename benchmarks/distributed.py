"""One bulk job over Dask workers that each own a session, beside one process.

Run ``python benchmarks/distributed.py`` (dependency group ``distributed``). The settings travel to the workers without
the token, which those read from their environment; ids go out and outcomes come back as plain data. The emulator runs
in a process of its own, and its request log is held against the outcomes after each run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

# This file has the name of the package that it measures.
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
from distributed import Client, LocalCluster, as_completed  # noqa: E402 - see above

sys.path.insert(0, str(Path(__file__).resolve().parent))
from emulated import EmulatorProcess, emulated  # noqa: E402 - see above
from reporting import spread, table, write  # noqa: E402 - see above

from datarobot_mlops_async import AsyncSession, Outcome  # noqa: E402 - see above

if TYPE_CHECKING:
    from datarobot_mlops_async import Settings

ONE = "one process"
BATCH = 100


def deactivate_or_activate(settings: Settings, wanted: dict[str, str], concurrency: int) -> list[str]:
    """Do one batch in a worker: a session of its own, outcomes as lines of JSON."""

    async def run() -> list[str]:
        async with AsyncSession.from_settings(settings) as session:
            outcomes = await session.bulk(
                lambda id_: session.deployments.begin_set_status(id_, wanted[id_]),
                wanted,
                max_concurrency=concurrency,
            )
            return [each.to_json() for each in outcomes]

    return asyncio.run(run())


def run_distributed(
    client: Client, settings: Settings, wanted: dict[str, str], concurrency: int
) -> list[str]:
    ids = list(wanted)
    batches = [{id_: wanted[id_] for id_ in ids[at : at + BATCH]} for at in range(0, len(ids), BATCH)]
    futures = client.map(
        lambda batch: deactivate_or_activate(settings, batch, concurrency), batches, pure=False
    )
    return [line for _, lines in as_completed(futures, with_results=True) for line in lines]


async def fleet(settings: Settings) -> dict[str, str]:
    async with AsyncSession.from_settings(settings) as session:
        listed = await session.deployments.list().collect()
        return {each.id: each.status for each in listed if each.status in {"active", "inactive"}}


def time_run(server: EmulatorProcess, settings: Settings, size: int, work: Any) -> dict[str, float]:
    before = asyncio.run(fleet(settings))
    wanted = {
        id_: "inactive" if status == "active" else "active" for id_, status in list(before.items())[:size]
    }
    server.ask("log")
    started = time.perf_counter()
    outcomes = [Outcome.from_json(line) for line in work(wanted)]
    seconds = time.perf_counter() - started
    accepted = Counter(
        each["path"] for each in server.ask("log") if each["method"] == "PATCH" and each["status"] == 202
    )
    after = asyncio.run(fleet(settings))
    assert sorted(each.item for each in outcomes) == sorted(wanted)
    assert {each.state for each in outcomes} == {"succeeded"}
    assert set(accepted.values()) == {1}
    assert all(after[id_] == status for id_, status in wanted.items())
    return {"items": len(wanted), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=32, help="items on their way in each process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.01)
    parser.add_argument("--operation-seconds", type=float, default=0.2)
    arguments = parser.parse_args()
    many = f"{arguments.workers} Dask workers"
    found: dict[str, list[float]] = {ONE: [], many: []}
    with emulated(
        deployments=round(arguments.items * 1.2) + 10,
        latency=arguments.latency,
        operation_seconds=arguments.operation_seconds,
    ) as server:
        os.environ |= {"DATAROBOT_ENDPOINT": server.endpoint, "DATAROBOT_API_TOKEN": server.token}
        settings = AsyncSession().settings
        started = time.perf_counter()
        with (
            LocalCluster(
                n_workers=arguments.workers, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            client.wait_for_workers(arguments.workers)
            start = time.perf_counter() - started
            ways = {
                ONE: lambda wanted: deactivate_or_activate(settings, wanted, arguments.concurrency),
                many: lambda wanted: run_distributed(client, settings, wanted, arguments.concurrency),
            }
            for _ in range(arguments.rounds):
                for way, work in ways.items():
                    result = time_run(server, settings, arguments.items, work)
                    found[way].append(result["seconds"])
    ratio = statistics.median(one / other for one, other in zip(found[ONE], found[many], strict=True))
    rows = [
        (way, spread(times, "s", 1), f"{arguments.items / statistics.median(times):.0f}")
        for way, times in found.items()
    ]
    write(
        "distributed",
        "One bulk job over several processes",
        f"{arguments.items:,} status changes, operations of {arguments.operation_seconds:g} s, "
        f"{arguments.latency * 1000:g} ms a request, {arguments.concurrency} items on their way in each process, "
        f"{arguments.rounds} rounds.",
        [
            *table(("", "time", "items a second"), rows),
            "",
            f"The cluster took {start:.1f} s to start, which is not counted. {many} finish {ratio:.2f} times as fast.",
            "",
            "In every run each change was accepted exactly once.",
        ],
        {"arguments": vars(arguments), "seconds": found, "cluster_start": start},
    )


if __name__ == "__main__":
    main()
