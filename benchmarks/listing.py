"""Reading whole lists from a server that takes its time, beside the official SDK.

Run ``python benchmarks/listing.py``. The emulator runs in a process of its own and answers each request after 50 ms.
All ways must give the same deployments in the same order before their times count. The official SDK
reads its pages one after the other; it is run once, and on the longer list only with ``--sdk-everywhere``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from emulated import EmulatorProcess, emulated
from reporting import spread, table, targets_table, write

from datarobot_mlops_async import AsyncSession

SDK = "official SDK, Deployment.list()"
COLLECT = "collect()"
PREFETCH = "async with prefetch(8)"
PLAIN = "async for"
OURS = (COLLECT, PREFETCH, PLAIN)


async def read(session: AsyncSession, way: str) -> list[Any]:
    paginator = session.deployments.list()
    if way == COLLECT:
        return await paginator.collect()
    if way == PLAIN:
        return [each async for each in paginator]
    async with paginator.prefetch(8) as items:
        return [each async for each in items]


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
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "cpu": time.process_time() - cpu,
            "rows": len(deployments),
            "digest": digest(deployments),
        }


def time_sdk(endpoint: str, token: str) -> dict[str, Any]:
    import datarobot  # noqa: PLC0415 - a peer that need not be installed

    datarobot.Client(endpoint=endpoint, token=token)
    cpu, started = time.process_time(), time.perf_counter()
    deployments = datarobot.Deployment.list()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
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
            for way in ways if turn == 0 else OURS:
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
            rows.append((way, spread(seconds(runs), "s"), f"{cpu:.2f} s", ratio))
        lines += [
            f"## {size:,} deployments",
            "",
            *table(("", "time", "CPU", "faster than the SDK"), rows),
            "",
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 20_000])
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
