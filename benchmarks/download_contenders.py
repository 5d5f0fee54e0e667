"""One download by one contender, in a process of its own: started by ``benchmarks/download.py``.

Prints one line of JSON: seconds, processor seconds (those of the busiest thread too), event-loop lag where there is an
event loop, and how many bytes this library read back from the file for its hash. Each contender
does what a careful user of that tool would write: it streams to a file and computes the SHA-256, unless its
name says otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IMAGE = "mlops/portablePredictionServerImage/"
WATCH = "lag"
"""Argument that asks for the event loop's lag, in a run of its own: to watch it costs processor time."""
OURS = "datarobot-mlops-async"
IDLE = "an idle process"
_TICK = 0.002


class Lag:
    """How late the event loop wakes a task that sleeps two milliseconds at a time."""

    def __init__(self) -> None:
        self._late: list[float] = []

    async def watch(self) -> None:
        while True:
            then = time.perf_counter()
            await asyncio.sleep(_TICK)
            self._late.append(time.perf_counter() - then - _TICK)

    def figures(self) -> dict[str, float]:
        late = sorted(self._late)
        return {"lag_p99": late[int(len(late) * 0.99)] * 1e3, "lag_worst": late[-1] * 1e3}


class ReadBack(logging.Handler):
    """Remembers what a download logs about itself."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if "read back" in record.msg and isinstance(record.args, tuple):
            self.bytes = float(str(record.args[-1]))


def thread_seconds() -> dict[str, float]:
    """Return the processor seconds of each thread so far; Linux only."""
    found = {}
    for stat in Path("/proc/self/task").glob("*/stat"):
        fields = stat.read_text().rpartition(") ")[2].split()
        found[stat.parent.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def measured(run: Callable[[], dict[str, float]]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    extra = run()
    return {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - processor,
        **extra,
    }


def with_loop(main: Callable[[], Awaitable[object]]) -> dict[str, float]:
    async def run() -> dict[str, float]:
        if WATCH in sys.argv:
            lag = Lag()
            watcher = asyncio.create_task(lag.watch())
            await main()
            watcher.cancel()
            return lag.figures()
        before = thread_seconds()
        await main()
        # While the loop lives its worker threads do too.
        after = thread_seconds()
        return {"busiest": max(after[key] - before.get(key, 0.0) for key in after)}

    return asyncio.run(run())


def idle(*_: object) -> dict[str, float]:
    """Do nothing until the standard input is closed: what of a lag is not the library's, but the machine's."""
    return with_loop(lambda: asyncio.to_thread(sys.stdin.read))


def ours(connections: int) -> Callable[[str, str, Path], dict[str, float]]:
    from datarobot_mlops_async import AsyncSession  # each process loads one contender

    def run(endpoint: str, ca_file: str, target: Path) -> dict[str, float]:
        async def main() -> None:
            async with AsyncSession(endpoint, "benchmark", verify=ca_file or True) as session:
                artifact = await session.pps_image.artifact()
                await artifact.download(target, max_connections=connections)

        logger, read_back = logging.getLogger("datarobot_mlops_async"), ReadBack()
        logger.addHandler(read_back)
        logger.setLevel(logging.DEBUG)
        return {**with_loop(main), "read_back": read_back.bytes}

    return run


def plain_httpx(endpoint: str, ca_file: str, target: Path) -> dict[str, float]:
    import httpx  # the same

    async def main() -> None:
        sha256 = hashlib.sha256()
        context = ssl.create_default_context(cafile=ca_file)
        async with (
            httpx.AsyncClient(verify=context, timeout=60) as client,
            client.stream("GET", f"{endpoint}/{IMAGE}") as response,
        ):
            with target.open("wb") as file:
                async for chunk in response.aiter_raw():
                    sha256.update(chunk)
                    file.write(chunk)

    return with_loop(main)


def plain_aiohttp(endpoint: str, ca_file: str, target: Path) -> dict[str, float]:
    import aiohttp  # the same

    async def main() -> None:
        sha256 = hashlib.sha256()
        context = ssl.create_default_context(cafile=ca_file)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client,
            client.get(f"{endpoint}/{IMAGE}", timeout=aiohttp.ClientTimeout(total=None)) as response,
        ):
            with target.open("wb") as file:
                async for chunk in response.content.iter_any():
                    sha256.update(chunk)
                    file.write(chunk)

    return with_loop(main)


def plain_requests(endpoint: str, ca_file: str, target: Path) -> dict[str, float]:
    import requests  # the same

    sha256 = hashlib.sha256()
    with (
        requests.get(f"{endpoint}/{IMAGE}", verify=ca_file, stream=True, timeout=60) as response,
        target.open("wb") as file,
    ):
        for chunk in response.iter_content(1024 * 1024):
            sha256.update(chunk)
            file.write(chunk)
    return {}


def official_sdk(endpoint: str, ca_file: str, target: Path) -> dict[str, float]:
    import datarobot  # the same

    # It takes no CA file of its own.
    os.environ["REQUESTS_CA_BUNDLE"] = ca_file
    client = datarobot.Client(token="benchmark", endpoint=endpoint)
    response = client.get(IMAGE)
    with target.open("wb") as file:
        file.write(response.content)
    return {}


CONTENDERS: dict[str, Callable[[], Callable[[str, str, Path], dict[str, float]]]] = {
    OURS: lambda: ours(8),
    f"{OURS}, 1 connection": lambda: ours(1),
    "httpx": lambda: plain_httpx,
    "aiohttp": lambda: plain_aiohttp,
    "requests": lambda: plain_requests,
    "official SDK (no check)": lambda: official_sdk,
}


def main() -> None:
    name, endpoint, ca_file, target = sys.argv[1:5]
    contender = idle if name == IDLE else CONTENDERS[name]()
    print(json.dumps(measured(lambda: contender(endpoint, ca_file, Path(target)))))


if __name__ == "__main__":
    main()
