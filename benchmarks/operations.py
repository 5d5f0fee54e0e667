"""Waiting for many operations at a time, beside a loop of one timer for each wait.

Run ``python benchmarks/operations.py``. The emulator runs in a process of its own and decides beforehand when each
operation will be over; each contender waits for all of them in a process of its own. Lateness is the time
from then until the waiting task goes on. The polls are counted by the emulator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from emulated import EmulatorProcess, emulated
from reporting import table, targets_table, write

from datarobot_mlops_async import AsyncSession

OURS = "datarobot_mlops_async"
NAIVE = "httpx, one timer for each wait, every second"
SIZES = [1, 100, 1000, 10_000]


async def wait_with_ours(endpoint: str, token: str, locations: list[str]) -> list[float]:
    async with AsyncSession(endpoint, token) as session:

        async def wait(location: str) -> float:
            await session.operation(location)
            return time.monotonic()

        return await asyncio.gather(*map(wait, locations))


async def wait_naively(endpoint: str, token: str, locations: list[str]) -> list[float]:
    import httpx  # not to be counted with ours

    headers = {"authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=None) as client:

        async def wait(location: str) -> float:
            while True:
                await asyncio.sleep(1.0)
                answer = await client.get(f"{endpoint}/{location}")
                if answer.json()["status"] == "COMPLETED":
                    return time.monotonic()

        return await asyncio.gather(*map(wait, locations))


def child(contender: str, endpoint: str, token: str) -> None:
    """Wait in this process, once it is told for what; report what it took."""
    wait = wait_with_ours if contender == OURS else wait_naively
    asyncio.run(wait(endpoint, token, []))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = set(threading.enumerate())
    print("ready", flush=True)
    operations = json.loads(sys.stdin.readline())
    cpu, started = time.process_time(), time.monotonic()
    over = asyncio.run(wait(endpoint, token, [location for location, _ in operations]))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    result = {
        "lateness": [at - ends for at, (_, ends) in zip(over, operations, strict=True)],
        "waited": sum(at - started for at in over),
        "cpu": time.process_time() - cpu,
        "elapsed": time.monotonic() - started,
        "memory_kib": used,
        "threads": len(set(threading.enumerate()) - threads),
    }
    print(json.dumps(result))


def run(server: EmulatorProcess, contender: str, durations: list[float]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", contender, server.endpoint, server.token]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        server.ask("log")
        operations = server.ask("begin", seconds=durations)
        output, _ = process.communicate(json.dumps(operations) + "\n")
    result = json.loads(output)
    polls = [each["started_at"] for each in server.ask("log")]
    asked = len(polls)
    assert asked >= len(durations)
    # Answered too early, or never: the emulator's word is the measure.
    assert min(result["lateness"]) >= 0
    lateness = sorted(result.pop("lateness"))
    return {
        **result,
        "operations": len(durations),
        "polls": asked,
        "polls_per_operation_second": asked / result["waited"],
        "most_polls_in_a_second": most_in_a_second(polls),
        "lateness_mean": statistics.fmean(lateness),
        "lateness_p95": lateness[int(len(lateness) * 0.95)],
        "lateness_worst": lateness[-1],
    }


def most_in_a_second(moments: list[float]) -> int:
    first = most = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def row(contender: str, found: dict[str, Any]) -> tuple[object, ...]:
    return (
        f"{found['operations']:,}",
        contender,
        f"{found['lateness_mean']:.2f} / {found['lateness_p95']:.2f} / {found['lateness_worst']:.2f}",
        f"{found['polls']:,}",
        f"{found['polls_per_operation_second']:.2f}",
        found["most_polls_in_a_second"],
        f"{found['cpu']:.1f} of {found['elapsed']:.0f}",
        f"{found['memory_kib'] / found['operations']:.1f}" if found["operations"] >= 100 else "-",
        found["threads"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--naive", type=int, nargs="*", default=[1000], help="sizes for the naive loop")
    parser.add_argument("--shortest", type=float, default=1.0, help="seconds")
    parser.add_argument("--longest", type=float, default=15.0, help="seconds")
    parser.add_argument("--latency", type=float, default=0.005, help="seconds before each answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    results: list[tuple[str, dict[str, Any]]] = []
    with emulated(deployments=1, latency=arguments.latency) as server:
        for size in sorted({*arguments.sizes, *arguments.naive}):
            draw = random.Random(arguments.seed)
            durations = [draw.uniform(arguments.shortest, arguments.longest) for _ in range(size)]
            for contender, sizes in ((OURS, arguments.sizes), (NAIVE, arguments.naive)):
                if size in sizes:
                    results.append((contender, run(server, contender, durations)))
    head = ("operations", "", "lateness, s: mean / p95 / worst", "polls", "polls per operation-second")
    head = (*head, "most polls in a second", "CPU s", "KiB an operation", "threads")
    targets = []
    for contender, found in results:
        if contender == OURS and found["operations"] >= 1000:
            words, mean, share = (
                f"{found['operations']:,} operations: ",
                found["lateness_mean"],
                found["cpu"] / found["elapsed"],
            )
            limit = 1.0 if found["operations"] < 10_000 else 2.0
            targets += [
                (f"{words}mean lateness, s", mean, f"≤ {limit:g}", mean <= limit),
                (f"{words}share of a core", share, "≤ 0.5", share <= 0.5),
                (f"{words}threads", found["threads"], "0", found["threads"] == 0),
            ]
    write(
        "operations",
        "Waiting for operations",
        f"operations of {arguments.shortest:g} to {arguments.longest:g} s awaited together, the emulator in its own "
        f"process with {arguments.latency * 1000:g} ms a request, one run of each.",
        [*table(head, [row(*each) for each in results]), "", *targets_table(targets)],
        {"arguments": vars(arguments), "results": results},
    )


if __name__ == "__main__":
    main()
