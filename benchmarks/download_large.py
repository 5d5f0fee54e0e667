"""One large image from the emulator to a disk: memory, page cache and event-loop lag do not grow with it.

Run ``python benchmarks/download_large.py --directory DIR``, where DIR is on a disk with room for the image. Writes
``benchmarks/results/download-large.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from download import GIB, RESULTS, machine
from download_contenders import OURS, WATCH
from emulated import emulated

MEMORY = Path("/proc/meminfo")


def cached() -> float:
    """Return the system's page cache in MiB."""
    lines = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    return int(lines["Cached"].split()[0]) / 1024


class CacheGrowth(threading.Thread):
    """How much the page cache grows while something runs, MiB."""

    def __init__(self) -> None:
        super().__init__()
        self._over = threading.Event()
        self._before = cached()
        self.most = 0.0

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, cached() - self._before)

    def stop(self) -> None:
        self._over.set()
        self.join()


def measure(size: int, directory: Path) -> dict[str, float]:
    """Download once, in a process of its own."""
    script = Path(__file__).with_name("download_contenders.py")
    with emulated(deployments=1, image_size=size, token="benchmark") as server:
        growth = CacheGrowth()
        growth.start()
        command = [sys.executable, str(script), OURS, server.endpoint, "", str(directory / "image"), WATCH]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        output = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        growth.stop()
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError("the download failed")
        if (directory / "image").stat().st_size != size:
            raise RuntimeError("the file is of another size")
    return {**json.loads(output), "rss": usage.ru_maxrss / 1024, "cache": growth.most}


def report(size: int, found: dict[str, float]) -> str:
    rows = [
        ("GB/s", size / 1e9 / found["seconds"], ""),
        ("CPU s/GiB", found["cpu"] * GIB / size, ""),
        ("peak memory, MiB", found["rss"], "≤ 96"),
        ("page cache grew by, MiB", found["cache"], ""),
        ("event-loop lag, p99, ms", found["lag_p99"], "≤ 5"),
        ("event-loop lag, worst, ms", found["lag_worst"], "≤ 25"),
        ("read back, MiB", found["read_back"] / 2**20, ""),
    ]
    return "\n".join(
        [
            "# A large image",
            "",
            (
                f"`python benchmarks/download_large.py`: {size / GIB:g} GiB from the emulator to a disk, once, SHA-256 "
                f"verified. {machine()}. Load when it ended: {os.getloadavg()[0]:.1f}."
            ),
            "",
            "| | measured | target |",
            "|---|---|---|",
            *(f"| {name} | {figure:.2f} | {limit} |" for name, figure, limit in rows),
            "",
        ]
    )


def main() -> None:
    # The image is removed also when the script is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=14.0, help="size of the image, GiB")
    parser.add_argument(
        "--directory", type=Path, help="where the image is put; default: the system's for such"
    )
    arguments = parser.parse_args()
    size = int(arguments.size * GIB)
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="download-benchmark-") as name:
        text = report(size, measure(size, Path(name)))
    (RESULTS / "download-large.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
