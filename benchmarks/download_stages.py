"""Where a download's processor time goes: each stage alone, the bare pipeline, then the download itself.

Run ``python benchmarks/download_stages.py``. Processor seconds per GiB suffer less from a busy machine than speeds do,
and they say what speed the machine could reach: with client and server on the same processors, no
download can be faster than processors divided by the seconds that both spend on a GiB.

The bare pipeline is the least that brings verified bytes to a file in two threads: one receives and writes, the other
hashes. It knows its server, one connection and the size, resumes nothing, reports nothing and cannot be cancelled.
What it reaches is what the machine allows; what the download reaches less is what the library costs. Writes
``benchmarks/results/download-stages.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import queue
import socket
import ssl
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from download import GIB, serving
from download_contenders import IMAGE
from reporting import RESULTS, machine

from datarobot_mlops_async import AsyncSession, Settings
from datarobot_mlops_async._streaming import StreamingClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BLOCK = 512 * 1024
BARE_BLOCKS = 16
SCHEMES = ("HTTP", "HTTPS")


@dataclass
class Cost:
    """Seconds that a GiB takes: of the client's processor time, of the server's, on the wall's clock."""

    own: float
    server: float
    wall: float


class Discard:
    """Takes a body and keeps nothing."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BLOCK))

    def get_buffer(self) -> memoryview:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        pass

    def abandon(self) -> None:
        pass


def hash_only(size: int) -> None:
    block, sha256 = os.urandom(BLOCK), hashlib.sha256()
    for _ in range(size // BLOCK):
        sha256.update(block)


def write_only(size: int, directory: Path) -> None:
    block = os.urandom(BLOCK)
    descriptor = os.open(directory / "written", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in range(size // BLOCK):
        os.pwrite(descriptor, block, number * BLOCK)
    os.close(descriptor)
    (directory / "written").unlink()


def receive_only(endpoint: str, ca_file: Path) -> None:
    async def main() -> None:
        settings = Settings(endpoint=endpoint, token="benchmark", verify=str(ca_file))
        client = StreamingClient(settings, read_timeout=60, max_threads=1)
        response = await client.get(f"{endpoint}/{IMAGE}", {})
        await response.drain(Discard())
        await response.aclose()
        await client.aclose()

    asyncio.run(main())


def download(endpoint: str, ca_file: Path, directory: Path) -> None:
    async def main() -> None:
        async with AsyncSession(endpoint, "benchmark", verify=ca_file) as session:
            artifact = await session.pps_image.artifact()
            await artifact.download(directory / "whole")

    asyncio.run(main())
    (directory / "whole").unlink()


def bare_pipeline(endpoint: str, ca_file: Path, directory: Path) -> None:
    address = urlsplit(endpoint)
    sock = socket.create_connection((address.hostname or "", address.port or 0))
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        sock = context.wrap_socket(sock, server_hostname=address.hostname)
    sock.sendall(f"GET {address.path}/{IMAGE} HTTP/1.0\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
    full: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
    for _ in range(BARE_BLOCKS):
        free.put(memoryview(bytearray(BLOCK)))
    descriptor = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def receive() -> None:
        for start in range(0, GIB, BLOCK):
            block, filled = free.get(), 0
            while filled < BLOCK:
                filled += sock.recv_into(block[filled:])
            os.pwrite(descriptor, block, start)
            full.put(block)

    receiver, sha256 = threading.Thread(target=receive), hashlib.sha256()
    receiver.start()
    for _ in range(GIB // BLOCK):
        block = full.get()
        sha256.update(block)
        free.put(block)
    receiver.join()
    os.close(descriptor)
    sock.close()
    (directory / "bare").unlink()


def server_seconds(directory: Path) -> float:
    """Return the processor seconds of nginx so far."""
    parent = int((directory / "nginx.pid").read_text())
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def measure(stages: Mapping[str, Callable[[], None]], directory: Path, repeats: int) -> dict[str, Cost]:
    """Run all stages in turn, several times, and return the medians."""
    found: dict[str, list[Cost]] = {stage: [] for stage in stages}
    for _ in range(repeats):
        for stage, run in stages.items():
            before, before_server, started = (
                time.process_time(),
                server_seconds(directory),
                time.perf_counter(),
            )
            run()
            own, wall = time.process_time() - before, time.perf_counter() - started
            found[stage].append(Cost(own, server_seconds(directory) - before_server, wall))
    return {
        stage: Cost(
            *(statistics.median(getattr(each, name) for each in costs) for name in ("own", "server", "wall"))
        )
        for stage, costs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        directory = Path(name)
        ca_file = directory / "ca.pem"
        with serving(directory, GIB) as (endpoints, _):
            stages: dict[str, Callable[[], None]] = {
                "SHA-256 of memory": lambda: hash_only(GIB),
                "write to memory": lambda: write_only(GIB, directory),
            }
            for scheme in SCHEMES:
                at = endpoints[scheme]
                stages |= {
                    f"receive, {scheme}": partial(receive_only, at, ca_file),
                    f"bare pipeline, {scheme}": partial(bare_pipeline, at, ca_file, directory),
                    f"download, {scheme}": partial(download, at, ca_file, directory),
                }
            found = measure(stages, directory, arguments.repeats)
    text = report(found, arguments.repeats)
    (RESULTS / "download-stages.md").write_text(text)
    print(text)


def report(found: Mapping[str, Cost], repeats: int) -> str:
    lines = [
        "# Where a download's processor time goes",
        "",
        (
            f"`python benchmarks/download_stages.py`: processor seconds per GiB, median of {repeats}. {machine()}. "
            f"Load while it ran: {os.getloadavg()[0]:.1f}."
        ),
        "",
        "| stage | client | server | GB/s |",
        "|---|---|---|---|",
    ]
    for stage, cost in found.items():
        lines.append(f"| {stage} | {cost.own:.2f} | {cost.server:.2f} | {GIB / cost.wall / 1e9:.2f} |")
    for scheme in SCHEMES:
        whole, bare = found[f"download, {scheme}"], found[f"bare pipeline, {scheme}"]
        stages = (found["SHA-256 of memory"], found["write to memory"], found[f"receive, {scheme}"])
        floor = sum(each.own for each in stages)
        bound = (os.cpu_count() or 1) / (whole.own + whole.server) * GIB / 1e9
        lines += [
            "",
            (
                f"{scheme}: the stages alone add up to {floor:.2f} s. In two threads with nothing around them they "
                f"take {bare.own:.2f} s; the download takes {whole.own:.2f} s, and reaches "
                f"{bare.wall / whole.wall:.2f} of the bare pipeline's speed. With the server on the same "
                f"{os.cpu_count()} processors no more than {bound:.2f} GB/s is possible, and SHA-256, which is "
                f"sequential, allows {GIB / 1e9 / found['SHA-256 of memory'].own:.2f} GB/s anywhere."
            ),
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
