"""One bulk job over Dask workers that each own a session and share one server's limit of requests a second.

Run ``python benchmarks/distributed.py`` (dependency group ``distributed``). The settings travel to the workers without
the token, which those read from their environment; ids go out and outcomes come back as plain data. The emulator runs
in a process of its own, answers 429 beyond its limit, and its request log is held against the outcomes after each run.
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
from distributed import Client, LocalCluster  # noqa: E402 - see above

sys.path.insert(0, str(Path(__file__).resolve().parent))
from emulated import EmulatorProcess, emulated  # noqa: E402 - see above
from reporting import table, write  # noqa: E402 - see above

from datarobot_mlops_async import AsyncSession, Outcome  # noqa: E402 - see above

if TYPE_CHECKING:
    from datarobot_mlops_async import Settings


def set_status(settings: Settings, wanted: dict[str, str], concurrency: int) -> tuple[float, list[str]]:
    """Do one worker's share: a session of its own, outcomes as lines of JSON, and the seconds it took."""

    async def run() -> list[str]:
        async with AsyncSession.from_settings(settings) as session:
            outcomes = await session.bulk(
                lambda id_: session.deployments.begin_set_status(id_, wanted[id_]),
                wanted,
                max_concurrency=concurrency,
            )
            return [each.to_json() for each in outcomes]

    started = time.perf_counter()
    lines = asyncio.run(run())
    return time.perf_counter() - started, lines


async def fleet(settings: Settings) -> dict[str, str]:
    async with AsyncSession.from_settings(settings) as session:
        listed = await session.deployments.list().collect()
        return {each.id: each.status for each in listed if each.status in {"active", "inactive"}}


def spread_over(client: Client, settings: Settings, wanted: dict[str, str], concurrency: int) -> list[Any]:
    """Give each worker an equal share, and return what each has done."""
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    ids = list(wanted)
    futures = [
        client.submit(
            set_status,
            settings,
            {id_: wanted[id_] for id_ in ids[number :: len(workers)]},
            concurrency,
            workers=[worker],
            pure=False,
        )
        for number, worker in enumerate(workers)
    ]
    return client.gather(futures)


def time_run(
    server: EmulatorProcess, settings: Settings, arguments: argparse.Namespace, client: Client
) -> Any:
    """Run once, check that all was done and nothing twice, and return the figures."""
    before = asyncio.run(fleet(settings))
    wanted = {
        id_: "inactive" if status == "active" else "active"
        for id_, status in list(before.items())[: arguments.items]
    }
    server.ask("limit", per_second=arguments.limit)
    server.ask("log")
    started = time.perf_counter()
    done = spread_over(client, settings, wanted, arguments.concurrency)
    seconds = time.perf_counter() - started
    log = server.ask("log")
    server.ask("fault", rules=[])
    outcomes = [Outcome.from_json(line) for _, lines in done for line in lines]
    changes = Counter(each["path"] for each in log if each["method"] == "PATCH" and each["status"] == 202)
    after = asyncio.run(fleet(settings))
    assert sorted(each.item for each in outcomes) == sorted(wanted)
    assert {each.state for each in outcomes} == {"succeeded"}
    assert len(changes) == len(wanted)
    assert set(changes.values()) == {1}
    assert all(after[id_] == status for id_, status in wanted.items())
    served = [each for each in log if each["status"] != 429]
    times = [seconds for seconds, _ in done]
    return {
        "seconds": seconds,
        "served": len(served) / seconds,
        "refused": 1 - len(served) / len(log),
        "slowest": max(times) / min(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--concurrency", type=int, default=32, help="items on their way in each process")
    parser.add_argument("--limit", type=float, default=200, help="requests a second that the server admits")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.01)
    parser.add_argument("--operation-seconds", type=float, default=0.2)
    arguments = parser.parse_args()
    found: dict[int, list[Any]] = {}
    with emulated(
        deployments=round(arguments.items * 1.2) + 10,
        latency=arguments.latency,
        operation_seconds=arguments.operation_seconds,
    ) as server:
        os.environ |= {"DATAROBOT_ENDPOINT": server.endpoint, "DATAROBOT_API_TOKEN": server.token}
        settings = AsyncSession().settings
        for workers in arguments.workers:
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
                ) as cluster,
                Client(cluster) as client,
            ):
                client.wait_for_workers(workers)
                found[workers] = [
                    time_run(server, settings, arguments, client) for _ in range(arguments.rounds)
                ]
    rows = [
        (
            f"{workers}",
            *(
                form.format(statistics.median(each[name] for each in rounds))
                for name, form in (
                    ("seconds", "{:.1f} s"),
                    ("served", "{:.0f}"),
                    ("refused", "{:.1%}"),
                    ("slowest", "{:.2f}x"),
                )
            ),
        )
        for workers, rounds in found.items()
    ]
    write(
        "distributed",
        "One bulk job over several processes, at a server with a limit",
        f"{arguments.items:,} status changes in equal shares, operations of {arguments.operation_seconds:g} s, "
        f"{arguments.latency * 1000:g} ms a request, {arguments.concurrency} items on their way in each process, "
        f"{arguments.limit:g} requests a second for all of them together. Medians of {arguments.rounds} rounds.",
        [
            *table(
                ("Dask workers", "time", "requests a second served", "refused", "slowest to quickest worker"),
                rows,
            ),
            "",
            "Sessions know nothing of one another: each goes on with fewer requests when it is refused.",
            "In every run each change was accepted exactly once, and nothing was lost.",
        ],
        {"arguments": vars(arguments), "found": {str(workers): each for workers, each in found.items()}},
    )


if __name__ == "__main__":
    main()
