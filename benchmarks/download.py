"""Verified downloads, side by side: this library, what users would write themselves, curl and aria2c.

Run ``python benchmarks/download.py``. It starts nginx (Debian package ``nginx-light``) on free ports, over
memory where there is some to spare, and runs every contender in turn in a process of its own, several times. The
SHA-256 of each result is checked before the run counts. It writes ``benchmarks/results/download.json``, ``.md``
and ``.png``. Only ratios within one run mean something: the machine's speed changes from one to the next.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme
from download_contenders import CONTENDERS, IDLE, IMAGE, OURS, WATCH
from reporting import RESULTS, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS_ONE = f"{OURS}, 1 connection"
SDK = "official SDK (no check)"
ARIA = "aria2c -x8 --checksum"
GIB = 2**30
LIMIT = 50_000_000
COMMANDS = {
    "curl (no check)": ["curl", "-sS", "--cacert", "{ca}", "-o", "{target}", "{url}"],
    "aria2c -x8 (no check)": ["aria2c", "-x8", "-s8", "-q", "{url}"],
    ARIA: ["aria2c", "-x8", "-s8", "-q", "--checksum=sha-256={sha256}", "{url}"],
}
ARIA_OPTIONS = ["--ca-certificate={ca}", "--dir={directory}", "--out={name}", "--allow-overwrite=true"]
NGINX = """
worker_processes {processors}; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
    uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
    ssl_certificate {directory}/certificate.pem; ssl_certificate_key {directory}/key.pem;
    server {{
        listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; {locations}
    }}
    server {{
        listen 127.0.0.1:{limited}; limit_rate {limit}; {locations}
    }}
}}
"""
LOCATIONS = """
location = /api/v2/version/ {{
    default_type application/json;
    return 200 '{{"versionString": "2.38.0", "major": 2, "minor": 38}}';
}}
location = /api/v2/{image}metadata/ {{ default_type application/json; return 200 '{metadata}'; }}
location = /api/v2/{image} {{ rewrite ^ /image.bin last; }}
location = /image.bin {{ root {directory}; }}
"""


def make_image(path: Path, size: int) -> str:
    # Small: a process that is started counts its parent's peak of memory as its own.
    block = os.urandom(2**20)
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(-(-size // len(block))):
            part = (number.to_bytes(4, "big") + block[4:])[: size - number * len(block)]
            sha256.update(part)
            file.write(part)
    return sha256.hexdigest()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def serving(directory: Path, size: int) -> Iterator[tuple[dict[str, str], str]]:
    """Run nginx; give the endpoints by scenario and the image's SHA-256."""
    sha256 = make_image(directory / "image.bin", size)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for number, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(directory / "certificate.pem", append=number > 0)
    http, https, limited = free_ports(3)
    metadata = {"filename": "image.bin", "hash": sha256, "hashAlgorithm": "SHA256", "imageSize": size}
    locations = LOCATIONS.format(image=IMAGE, metadata=json.dumps(metadata), directory=directory)
    (directory / "nginx.conf").write_text(
        NGINX.format(
            processors=os.cpu_count(),
            directory=directory,
            http=http,
            https=https,
            limited=limited,
            limit=LIMIT,
            locations=locations,
        )
    )
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        sys.exit("nginx is needed (Debian package nginx-light)")
    process = subprocess.Popen([binary, "-c", directory / "nginx.conf", "-p", directory, "-g", "user root;"])
    try:
        while socket.socket().connect_ex(("127.0.0.1", http)):
            time.sleep(0.05)
        yield (
            {
                "HTTP": f"http://127.0.0.1:{http}/api/v2",
                "HTTPS": f"https://127.0.0.1:{https}/api/v2",
                "50 MB/s a connection": f"http://127.0.0.1:{limited}/api/v2",
            },
            sha256,
        )
    finally:
        process.terminate()
        process.wait()


def run_once(name: str, endpoint: str, directory: Path, sha256: str, *extra: str) -> dict[str, float]:
    """Run one contender once; only a right file counts."""
    target = directory / "target.bin"
    target.unlink(missing_ok=True)
    values = {
        "ca": directory / "ca.pem",
        "target": target,
        "directory": directory,
        "name": target.name,
        "url": f"{endpoint}/{IMAGE}",
        "sha256": sha256,
    }
    if name in CONTENDERS:
        script = Path(__file__).with_name("download_contenders.py")
        command = [
            sys.executable,
            str(script),
            name,
            endpoint,
            str(directory / "ca.pem"),
            str(target),
            *extra,
        ]
    else:
        options = ARIA_OPTIONS if name.startswith("aria2c") else []
        command = [part.format(**values) for part in [*COMMANDS[name], *options]]
    started = time.perf_counter()
    # As where the packages are installed: nobody compiles them each time.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} failed with {process.returncode}")
    found = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime}
    if name in CONTENDERS:
        found = json.loads(output)
    with target.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise RuntimeError(f"{name} brought wrong bytes")
    return {**found, "rss": usage.ru_maxrss / 1024}


@contextmanager
def idle_loop() -> Iterator[dict[str, float]]:
    """Watch the lag of a loop in a process that does nothing: the machine's share of every other loop's lag."""
    script = Path(__file__).with_name("download_contenders.py")
    process = subprocess.Popen(
        [sys.executable, script, IDLE, "", "", "", WATCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    found: dict[str, float] = {}
    try:
        yield found
    finally:
        output, _ = process.communicate()
        found |= {f"idle_{key}": value for key, value in json.loads(output).items()}


def contenders(scenario: str) -> list[str]:
    names = [OURS, OURS_ONE, "httpx", ARIA] if scenario.startswith("50") else [*CONTENDERS, *COMMANDS]
    return [name for name in names if is_here(name)]


def is_here(name: str) -> bool:
    if name in COMMANDS:
        return shutil.which(COMMANDS[name][0]) is not None
    module = {"aiohttp": "aiohttp", "requests": "requests", SDK: "datarobot"}.get(name, "httpx")
    return importlib.util.find_spec(module) is not None


def measure(size: int, repeats: int, scenarios: list[str], base: Path | None) -> dict[str, Any]:
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(dir=base, prefix="download-benchmark-") as name:
        directory = Path(name)
        with serving(directory, size) as (endpoints, sha256):
            for scenario in scenarios:
                found = runs[scenario] = {each: [] for each in contenders(scenario)}
                # In turn, not one after the other: a noisy minute then falls on all.
                for _ in range(repeats):
                    for contender, figures in found.items():
                        run = partial(run_once, contender, endpoints[scenario], directory, sha256)
                        figures.append(run())
                        if "busiest" in figures[-1]:
                            with idle_loop() as idle_lag:
                                watched = run(WATCH)
                            figures[-1] |= idle_lag | {key: watched[key] for key in ("lag_p99", "lag_worst")}
                        print(
                            f"{scenario:22}{contender:38}{size / figures[-1]['seconds'] / 1e9:6.2f} GB/s",
                            flush=True,
                        )
    return runs


def summarize(runs: dict[str, Any], size: int) -> dict[str, Any]:
    """Medians, and the spread of the speed."""
    summary: dict[str, Any] = {}
    for scenario, found in runs.items():
        summary[scenario] = {}
        for name, figures in found.items():
            speeds = [size / each["seconds"] / 1e9 for each in figures]
            row = {"speed": statistics.median(speeds), "slowest": min(speeds), "fastest": max(speeds)}
            row["cpu_per_gib"] = statistics.median(each["cpu"] for each in figures) / (size / GIB)
            row["rss"] = max(each["rss"] for each in figures)
            for key in ("busiest", "read_back"):
                if key in figures[0]:
                    row[key] = statistics.median(each[key] for each in figures) / (size / GIB)
            if "lag_p99" in figures[0]:
                for key in ("lag_p99", "idle_lag_p99"):
                    row[key] = statistics.median(each[key] for each in figures)
                for key in ("lag_worst", "idle_lag_worst"):
                    row[key] = max(each[key] for each in figures)
            summary[scenario][name] = row
    return summary


def targets(summary: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """The targets: what, figure, target, met."""
    rows: list[tuple[str, float, str, bool]] = []

    def at_least(what: str, figure: float, limit: float) -> None:
        rows.append((what, figure, f"≥ {limit:g}", figure >= limit))

    def at_most(what: str, figure: float, limit: float) -> None:
        rows.append((what, figure, f"≤ {limit:g}", figure <= limit))

    for scenario, faster, aria, cpu in (("HTTP", 1.5, 2.2, 0.95), ("HTTPS", 1.2, 1.6, 0.95)):
        rest = summary.get(scenario, {})
        if not rest:
            continue
        own, plain = rest[OURS], rest["requests"]
        at_least(f"{scenario}: speed against requests", own["speed"] / plain["speed"], faster)
        at_least(f"{scenario}: speed against httpx", own["speed"] / rest["httpx"]["speed"], 4.5)
        if ARIA in rest:
            at_least(f"{scenario}: speed against {ARIA}", own["speed"] / rest[ARIA]["speed"], aria)
        share = own["cpu_per_gib"] / plain["cpu_per_gib"]
        at_most(f"{scenario}: processor time against requests", share, cpu)
        at_most(f"{scenario}: seconds of the busiest thread a GiB", own["busiest"], 0.65)
        at_most(f"{scenario}: event-loop lag, p99, ms", own["lag_p99"], 5)
        at_most(f"{scenario}: event-loop lag, worst, ms", own["lag_worst"], 25)
        at_most(f"{scenario}: peak memory, MiB", own["rss"], 96)
    limited = summary.get("50 MB/s a connection", {})
    if limited:
        at_least(
            "50 MB/s a connection: 8 against 1", limited[OURS]["speed"] / limited[OURS_ONE]["speed"], 6.5
        )
        at_most("50 MB/s a connection: peak memory, MiB", limited[OURS]["rss"], 96)
    return rows


def report(summary: dict[str, Any], size: int, repeats: int) -> str:
    lines = [
        "# Verified downloads",
        "",
        (
            f"`python benchmarks/download.py`, {datetime.now(UTC):%Y-%m-%d}: {size / GIB:g} GiB from nginx on the same "
            f"machine to memory, median of {repeats} runs (slowest to fastest). {machine()}. Load while it ran: "
            f"{os.getloadavg()[1]:.1f}."
        ),
    ]
    for scenario, found in summary.items():
        lines += ["", f"## {scenario}", ""]
        lines += [
            (
                "| | GB/s | CPU s/GiB | busiest thread, s/GiB | read back, MiB/GiB | memory, MiB "
                "| lag p99 / worst, ms | in an idle process |"
            ),
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, row in found.items():
            lag, idle = (
                f"{row[f'{whose}lag_p99']:.1f} / {row[f'{whose}lag_worst']:.1f}" if "lag_p99" in row else "-"
                for whose in ("", "idle_")
            )
            speed = f"{row['speed']:.2f} ({row['slowest']:.2f} to {row['fastest']:.2f})"
            busiest = f"{row['busiest']:.2f}" if "busiest" in row else "-"
            back = f"{row['read_back'] / 2**20:.0f}" if "read_back" in row else "-"
            lines.append(
                f"| {name} | {speed} | {row['cpu_per_gib']:.2f} | {busiest} | {back} | {row['rss']:.0f} "
                f"| {lag} | {idle} |"
            )
    lines += ["", "## Targets", "", "| | measured | target | |", "|---|---|---|---|"]
    for what, figure, limit, met in targets(summary):
        lines.append(f"| {what} | {figure:.2f} | {limit} | {'met' if met else '**missed**'} |")
    return "\n".join(lines) + "\n"


def draw(summary: dict[str, Any], path: Path) -> None:
    # Not before the runs, for the sake of their memory figures.
    from matplotlib.figure import Figure  # see above

    figure = Figure(figsize=(5.2 * len(summary), 3.8))
    axes = figure.subplots(1, len(summary), squeeze=False)
    for axis, (scenario, found) in zip(axes[0], summary.items(), strict=True):
        names = list(found)[::-1]
        colors = ["#1f6feb" if name.startswith(OURS) else "#b0b7c3" for name in names]
        axis.barh(names, [found[name]["speed"] for name in names], color=colors)
        axis.set_title(scenario)
        axis.set_xlabel("GB/s")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    # nginx and the image in memory are cleaned up also when the script is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=1.0, help="size of the image, GiB")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scenario", action="append", help="HTTP, HTTPS or 50; default: all")
    parser.add_argument(
        "--directory", type=Path, help="where image and result lie; default: memory if there is any"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "download")
    arguments = parser.parse_args()
    every = ["HTTP", "HTTPS", "50 MB/s a connection"]
    wanted = [each for each in every if not arguments.scenario or each.split()[0] in arguments.scenario]
    size = int(arguments.size * GIB)
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 3 * size
    summary = summarize(
        measure(size, arguments.repeats, wanted, arguments.directory or (memory if roomy else None)), size
    )
    arguments.output.parent.mkdir(exist_ok=True)
    text = report(summary, size, arguments.repeats)
    arguments.output.with_suffix(".md").write_text(text)
    figures = {"machine": machine(), "size": size, "summary": summary}
    arguments.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(summary, arguments.output.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()
