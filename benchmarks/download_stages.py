"""Where a download's processor time goes: each stage alone, then all of them together.

Run ``python benchmarks/download_stages.py``. Processor seconds per GiB suffer less from a busy machine than speeds do,
and they say what speed the machine could reach: with client and server on the same processors, no
download can be faster than processors divided by the seconds that both spend on a GiB. Writes
``benchmarks/results/download-stages.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from download import GIB, RESULTS, machine, serving
from download_contenders import IMAGE

from datarobot_mlops_async import AsyncSession, Settings
from datarobot_mlops_async._streaming import StreamingClient

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 512 * 1024


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


def cost(run: Callable[[], None], directory: Path, repeats: int, size: int) -> tuple[float, float]:
    """Return the median processor seconds per GiB of this process and of the server."""
    own, server = [], []
    for _ in range(repeats):
        before, before_server = time.process_time(), server_seconds(directory)
        run()
        own.append(time.process_time() - before)
        server.append(server_seconds(directory) - before_server)
    return statistics.median(own) * GIB / size, statistics.median(server) * GIB / size


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
            http, https = endpoints["HTTP"], endpoints["HTTPS"]
            stages: dict[str, Callable[[], None]] = {
                "SHA-256 of memory": lambda: hash_only(GIB),
                "write to memory": lambda: write_only(GIB, directory),
                "receive, HTTP": lambda: receive_only(http, ca_file),
                "receive, HTTPS": lambda: receive_only(https, ca_file),
                "download, HTTP": lambda: download(http, ca_file, directory),
                "download, HTTPS": lambda: download(https, ca_file, directory),
            }
            found = {stage: cost(run, directory, arguments.repeats, GIB) for stage, run in stages.items()}
    text = report(found, arguments.repeats)
    (RESULTS / "download-stages.md").write_text(text)
    print(text)


def report(found: dict[str, tuple[float, float]], repeats: int) -> str:
    lines = [
        "# Where a download's processor time goes",
        "",
        (
            f"`python benchmarks/download_stages.py`: processor seconds per GiB, median of {repeats}. {machine()}. "
            f"Load while it ran: {os.getloadavg()[0]:.1f}."
        ),
        "",
        "| stage | client | server |",
        "|---|---|---|",
        *(f"| {stage} | {own:.2f} | {server:.2f} |" for stage, (own, server) in found.items()),
        "",
    ]
    for scheme in ("HTTP", "HTTPS"):
        own, server = found[f"download, {scheme}"]
        stages = (found["SHA-256 of memory"], found["write to memory"], found[f"receive, {scheme}"])
        floor = sum(each[0] for each in stages)
        bound = (os.cpu_count() or 1) / (own + server) * GIB / 1e9
        lines.append(
            f"{scheme}: the stages alone add up to {floor:.2f} s, the download takes {own:.2f} s: what the "
            f"engine adds is {own - floor:.2f} s. With the server on the same {os.cpu_count()} processors no more "
            f"than {bound:.2f} GB/s is possible, and SHA-256, which is sequential, allows "
            f"{GIB / 1e9 / found['SHA-256 of memory'][0]:.2f} GB/s anywhere."
        )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
