"""Reading whole lists from a server that takes its time, beside the official SDK.

Run ``python benchmarks/listing.py``. The emulator runs in a process of its own and answers each request after 50 ms.
All ways must give the same deployments in the same order before their times count. The official SDK
reads its pages one after the other; it is run once, and on the longer lists only with ``--sdk-everywhere``. Memory is
what the process held at its peak beyond what it holds with the result.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from emulated import EmulatorProcess, emulated
from reporting import spread, table, targets_table, write

from datarobot_mlops_async import AsyncSession

SDK = "official SDK, Deployment.list()"
COLLECT = "collect()"
PREFETCH = "async with prefetch(8)"
PLAIN = "async for"
# The last one takes its time, and is run once on the longest lists.
OURS = (COLLECT, PREFETCH, PLAIN)


async def read(session: AsyncSession, way: str) -> list[Any]:
    paginator = session.deployments.list()
    if way == COLLECT:
        return await paginator.collect()
    if way == PLAIN:
        return [each async for each in paginator]
    async with paginator.prefetch(8) as items:
        return [each async for each in items]


def memory(name: str) -> float:
    """Return a figure of this process in MiB; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def digest(deployments: list[Any]) -> str:
    # The SDK asks in the server's own order, by last prediction.
    rows = sorted((each.id, each.label, each.status) for each in deployments)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


async def time_ours(endpoint: str, token: str, way: str) -> dict[str, Any]:
    async with AsyncSession(endpoint, token) as session:
        # As the official SDK does when its client is made: one request, and the connection is there.
        await session.deployments.list(limit=1).first_page()
        cpu, started = time.process_time(), time.perf_counter()
        deployments = await read(session, way)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        gc.collect()
        return {
            "seconds": seconds,
            "cpu": cpu,
            "above": memory("VmHWM") - memory("VmRSS"),
            "rows": len(deployments),
            "digest": digest(deployments),
        }


def time_sdk(endpoint: str, token: str) -> dict[str, Any]:
    import datarobot  # a peer that need not be installed

    datarobot.Client(endpoint=endpoint, token=token)
    cpu, started = time.process_time(), time.perf_counter()
    deployments = datarobot.Deployment.list()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "above": 0.0,
        "rows": len(deployments),
        "digest": digest(deployments),
    }


def run_alone(server: EmulatorProcess, way: str) -> dict[str, Any]:
    """Time one way in a process of its own."""
    command = [sys.executable, __file__, "--child", way, server.endpoint, server.token]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def child(way: str, endpoint: str, token: str) -> None:
    result = time_sdk(endpoint, token) if way == SDK else asyncio.run(time_ours(endpoint, token, way))
    print(json.dumps(result))


def measure(size: int, latency: float, rounds: int, *, sdk: bool) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    with emulated(deployments=size) as server:
        expected = run_alone(server, PLAIN)["digest"]
        server.ask("change", latency=latency)
        ways = [*OURS, SDK] if sdk else OURS
        for turn in range(rounds):
            for way in ways if turn == 0 else OURS[:2] if size > 20_000 else OURS:
                result = run_alone(server, way)
                assert result["rows"] == size, (way, result)
                assert result["digest"] == expected, way
                found.setdefault(way, []).append(result)
    return found


def seconds(found: list[dict[str, Any]]) -> list[float]:
    return [each["seconds"] for each in found]


def report(results: dict[int, dict[str, list[dict[str, Any]]]]) -> list[str]:
    lines: list[str] = []
    for size, found in results.items():
        reference = statistics.median(seconds(found[SDK])) if SDK in found else None
        rows = []
        for way, runs in found.items():
            ratio = f"{reference / statistics.median(seconds(runs)):.1f}x" if reference else "-"
            cpu = statistics.median(each["cpu"] for each in runs)
            above = max(each["above"] for each in runs)
            rows.append(
                (
                    way,
                    spread(seconds(runs), "s"),
                    f"{cpu:.2f} s",
                    f"{cpu / size * 1e6:.0f} µs",
                    f"{above:.0f} MiB",
                    ratio,
                )
            )
        lines += [
            f"## {size:,} deployments",
            "",
            *table(("", "time", "CPU", "CPU a row", "peak above the result", "faster than the SDK"), rows),
            "",
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 20_000, 50_000, 100_000])
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sdk-everywhere", action="store_true", help="run the official SDK on every size")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    smallest = min(arguments.sizes)
    results = {
        size: measure(
            size, arguments.latency, arguments.rounds, sdk=arguments.sdk_everywhere or size == smallest
        )
        for size in arguments.sizes
    }
    found = results[smallest]
    ratio = statistics.median(seconds(found[SDK])) / statistics.median(seconds(found[COLLECT]))
    targets = [
        (f"collect() of {smallest:,} deployments against the official SDK", ratio, "≥ 20x", ratio >= 20)
    ]
    if 20_000 in results:
        runs = results[20_000][COLLECT]
        cpu, above = statistics.median(each["cpu"] for each in runs), max(each["above"] for each in runs)
        targets += [
            ("collect() of 20,000 deployments, CPU s", cpu, "≤ 1.0", cpu <= 1.0),
            ("the same, MiB at the peak above the result", above, "≤ 20", above <= 20),
        ]
    write(
        "listing",
        "Reading lists",
        f"the emulator in its own process, {arguments.latency * 1000:g} ms a request, {arguments.rounds} rounds (the "
        "official SDK once). Median, fastest to slowest.",
        [*report(results), *targets_table(targets)],
        {"latency": arguments.latency, "results": results},
    )


if __name__ == "__main__":
    main()
