"""One large image from the emulator to a disk: memory, page cache and event-loop lag do not grow with it.

Beside it an event loop ticks in a process that does nothing else: how late that is, is the machine's share of the lag.

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

from download import GIB, idle_loop
from download_contenders import OURS, WATCH
from emulated import emulated
from reporting import RESULTS, machine, spread, table

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
    script, target = Path(__file__).with_name("download_contenders.py"), directory / "image"
    with emulated(deployments=1, image_size=size, token="benchmark") as server:
        growth = CacheGrowth()
        growth.start()
        command = [sys.executable, str(script), OURS, server.endpoint, "", str(target), WATCH]
        with idle_loop() as lag:
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            output = process.stdout.read() if process.stdout else b""
            _, status, usage = os.wait4(process.pid, 0)
        growth.stop()
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError("the download failed")
        if target.stat().st_size != size:
            raise RuntimeError("the file is of another size")
        target.unlink()
    return {**lag, **json.loads(output), "rss": usage.ru_maxrss / 1024, "cache": growth.most}


def report(size: int, found: list[dict[str, float]]) -> str:
    rows = [
        ("GB/s", [size / 1e9 / each["seconds"] for each in found], ""),
        ("CPU s/GiB", [each["cpu"] * GIB / size for each in found], ""),
        ("peak memory, MiB", [each["rss"] for each in found], "≤ 96"),
        ("page cache grew by, MiB", [each["cache"] for each in found], ""),
        ("read back, MiB", [each["read_back"] / 2**20 for each in found], ""),
        ("event-loop lag, p99, ms", [each["lag_p99"] for each in found], "≤ 5"),
        ("event-loop lag, worst, ms", [each["lag_worst"] for each in found], "≤ 25"),
        ("the same in an idle process, p99, ms", [each["idle_lag_p99"] for each in found], ""),
        ("the same in an idle process, worst, ms", [each["idle_lag_worst"] for each in found], ""),
    ]
    how = (
        f"`python benchmarks/download_large.py`: {size / GIB:g} GiB from the emulator to a disk, SHA-256 verified, "
        f"median of {len(found)} runs (lowest to highest). {machine()}. Load when it ended: {os.getloadavg()[0]:.1f}."
    )
    lines = table(("", "measured", "target"), [(name, spread(values), limit) for name, values, limit in rows])
    return "\n".join(["# A large image", "", how, "", *lines, ""])


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
    parser.add_argument("--repeats", type=int, default=3, help="how often it is downloaded")
    arguments = parser.parse_args()
    size = int(arguments.size * GIB)
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="download-benchmark-") as name:
        text = report(size, [measure(size, Path(name)) for _ in range(arguments.repeats)])
    (RESULTS / "download-large.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
