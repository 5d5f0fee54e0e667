"""API calls from one event loop: CPU a call and calls a second, beside what else sends requests.

Run ``python benchmarks/calls.py``. It starts nginx (Debian package ``nginx-light``) on free ports, over HTTP and HTTPS.
Each contender runs in a process of its own, one after the other, round after round; each must first give the
right result. CPU is that of the client's process, all threads. Install the run-time dependencies and the peers
only: what else is installed can cost a client time.

A status change is a PATCH, after a quarter of a second one poll that is answered by 303, and the GET of
the deployment. The official SDK runs in 16 threads, and waits in another way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporting import RESULTS, spread, table, targets_table, write
from serving import free_ports, nginx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ID = "5f0000000000000000000001"
OURS, AIOHTTP, HTTPX, OVER_AIOHTTP, SDK = (
    "datarobot_mlops_async",
    "aiohttp + json.loads",
    "httpx",
    "httpx over httpx-aiohttp",
    "official SDK, 16 threads",
)
TASKS = {"get": "one get", "page": "a page of 100", "change": "a status change"}
AT_ONCE = (1, 16, 64)
SECONDS = {"get": 0.6, "page": 0.8, "change": 2.0}
CONFIG = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000; tcp_nodelay on; default_type application/json;
  ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.pem;
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; root {directory}; index index.json;
    location ~ /status/$ {{ add_header Location /api/v2/status/s1/ always; return 202; }}
    location /api/v2/status/ {{ return 303 $scheme://$http_host/api/v2/deployments/{id}/; }}
  }}
}}
"""


@contextlib.contextmanager
def serving() -> Iterator[tuple[dict[str, str], str]]:
    """Run nginx; give the endpoints by scheme and the path of the authority."""
    import trustme  # only the parent process needs it

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(directory / "server.pem")
        )
        deployment = {**json.loads(Path(__file__).with_name("deployment.json").read_text()), "id": ID}
        page = [{**deployment, "id": f"{number:024x}"} for number in range(100)]
        for path, body in (
            (f"deployments/{ID}", deployment),
            (
                "deployments",
                {"data": page, "count": 100, "totalCount": 100, "next": None, "previous": None},
            ),
            ("version", {"major": 2, "minor": 38, "versionString": "2.38.0", "releasedVersion": "11.0"}),
        ):
            (directory / "api/v2" / path).mkdir(parents=True, exist_ok=True)
            (directory / "api/v2" / path / "index.json").write_text(json.dumps(body))
        http, https = free_ports(2)
        config = CONFIG.format(directory=directory, http=http, https=https, id=ID)
        with nginx(directory, config, http):
            endpoints = {
                "HTTP": f"http://127.0.0.1:{http}/api/v2",
                "HTTPS": f"https://127.0.0.1:{https}/api/v2",
            }
            yield endpoints, str(directory / "ca.pem")


@contextlib.asynccontextmanager
async def our_calls(endpoint: str, authority: str) -> Any:
    from datarobot_mlops_async import AsyncSession  # each contender imports its own only

    async with AsyncSession(endpoint, "a-token", verify=authority, max_concurrency=64) as session:

        async def get() -> str:
            return (await session.deployments.get(ID)).id

        async def page() -> int:
            return len((await session.deployments.list().first_page()).items)

        async def change() -> str:
            return (await (await session.deployments.begin_set_status(ID, "inactive"))).id

        yield {"get": get, "page": page, "change": change}


def calls_by(ask: Callable[..., Awaitable[tuple[Any, bytes]]]) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return the tasks by hand, over what sends a request and returns headers and body."""

    async def get() -> str:
        return json.loads((await ask("GET", f"deployments/{ID}/"))[1])["id"]

    async def page() -> int:
        return len(json.loads((await ask("GET", "deployments/?offset=0&limit=100"))[1])["data"])

    async def change() -> str:
        headers, _ = await ask("PATCH", f"deployments/{ID}/status/", {"status": "inactive"})
        await asyncio.sleep(0.25)
        headers, _ = await ask("GET", headers["location"].partition("/api/v2/")[2])
        return json.loads((await ask("GET", headers["location"].partition("/api/v2/")[2]))[1])["id"]

    return {"get": get, "page": page, "change": change}


@contextlib.asynccontextmanager
async def aiohttp_calls(endpoint: str, authority: str) -> Any:
    import aiohttp  # see above

    connector = aiohttp.TCPConnector(limit=64, ssl=ssl.create_default_context(cafile=authority))
    async with aiohttp.ClientSession(
        headers={"authorization": "Bearer a-token"}, connector=connector
    ) as client:

        async def ask(method: str, path: str, body: object = None) -> tuple[Any, bytes]:
            async with client.request(
                method, f"{endpoint}/{path}", json=body, allow_redirects=False
            ) as answer:
                return answer.headers, await answer.read()

        yield calls_by(ask)


@contextlib.asynccontextmanager
async def httpx_calls(endpoint: str, authority: str, *, over_aiohttp: bool = False) -> Any:
    import httpx  # see above

    client_class = httpx.AsyncClient
    if over_aiohttp:
        from httpx_aiohttp import HttpxAiohttpClient  # see above

        client_class = HttpxAiohttpClient
    context = ssl.create_default_context(cafile=authority)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    headers = {"authorization": "Bearer a-token"}
    async with client_class(headers=headers, verify=context, limits=limits) as client:

        async def ask(method: str, path: str, body: object = None) -> tuple[Any, bytes]:
            answer = await client.request(method, f"{endpoint}/{path}", json=body)
            return answer.headers, answer.content

        yield calls_by(ask)


ASYNC = {
    OURS: our_calls,
    AIOHTTP: aiohttp_calls,
    HTTPX: httpx_calls,
    OVER_AIOHTTP: partial(httpx_calls, over_aiohttp=True),
}


def check(task: str, result: object) -> None:
    if result != {"get": ID, "page": 100, "change": ID}[task]:
        raise SystemExit(f"{task}: the result is wrong: {result!r}")


async def run_async(
    contender: str, task: str, at_once: int, endpoint: str, authority: str
) -> dict[str, float]:
    async with ASYNC[contender](endpoint, authority) as calls:
        call = calls[task]
        for result in await asyncio.gather(*[call() for _ in range(at_once)]):
            check(task, result)
        done, until = 0, time.perf_counter() + SECONDS[task]

        async def work() -> None:
            nonlocal done
            while time.perf_counter() < until:
                await call()
                done += 1

        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*[work() for _ in range(at_once)])
        return figures(done, cpu, started)


def run_sdk(task: str, at_once: int, endpoint: str, authority: str) -> dict[str, float]:
    import datarobot  # see above

    os.environ["REQUESTS_CA_BUNDLE"] = authority
    datarobot.Client(endpoint=endpoint, token="a-token")

    def call(_: int = 0) -> object:
        if task == "get":
            return datarobot.Deployment.get(ID).id
        return len(datarobot.Deployment.list())

    with ThreadPoolExecutor(at_once) as threads:
        for result in threads.map(call, range(at_once)):
            check(task, result)
        number = 160 if task == "get" else 32
        cpu, started = time.process_time(), time.perf_counter()
        list(threads.map(call, range(number)))
        return figures(number, cpu, started)


def figures(done: int, cpu: float, started: float) -> dict[str, float]:
    return {
        "us": (time.process_time() - cpu) / done * 1e6,
        "per_second": done / (time.perf_counter() - started),
    }


def run_alone(contender: str, task: str, at_once: int, endpoint: str, authority: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", contender, task, str(at_once), endpoint, authority]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def contenders(task: str, at_once: int) -> list[str]:
    return [*ASYNC, *([SDK] if at_once == 16 and task != "change" else [])]


def draw(rows: dict[str, list[float]], path: Path) -> None:
    from matplotlib.figure import Figure  # takes its time, and the children need none

    figure = Figure(figsize=(8, 2.6))
    axes = figure.subplots()
    names = list(rows)[::-1]
    middles = [statistics.median(rows[name]) for name in names]
    bars = axes.barh(names, middles, color=["#2a6f97" if name == OURS else "#a9b4bd" for name in names])
    axes.bar_label(bars, [f"{middle:.0f}" for middle in middles], padding=3)
    axes.set_xlabel("µs of CPU for a decoded deployments.get(), HTTP, 16 at a time")
    axes.set_xlim(0, max(middles) * 1.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        contender, task, at_once, endpoint, authority = arguments.child
        if contender == SDK:
            print(json.dumps(run_sdk(task, int(at_once), endpoint, authority)))
        else:
            print(json.dumps(asyncio.run(run_async(contender, task, int(at_once), endpoint, authority))))
        return
    found: dict[tuple[str, str, int, str], list[dict[str, float]]] = {}
    with serving() as (endpoints, authority):
        for _ in range(arguments.rounds):
            for task in arguments.tasks:
                for scheme, endpoint in endpoints.items():
                    for at_once in AT_ONCE:
                        for contender in contenders(task, at_once):
                            key = (task, scheme, at_once, contender)
                            result = run_alone(contender, task, at_once, endpoint, authority)
                            found.setdefault(key, []).append(result)
    report(found, arguments.rounds)


def report(found: dict[tuple[str, str, int, str], list[dict[str, float]]], rounds: int) -> None:
    def values(task: str, scheme: str, at_once: int, contender: str, what: str = "us") -> list[float]:
        return [each[what] for each in found[task, scheme, at_once, contender]]

    def ratios(task: str, scheme: str, at_once: int, peer: str) -> list[float]:
        pairs = zip(values(task, scheme, at_once, OURS), values(task, scheme, at_once, peer), strict=True)
        return [ours / theirs for ours, theirs in pairs]

    lines: list[str] = []
    for task, words in TASKS.items():
        rows = [
            (
                f"{scheme}, {at_once} at a time",
                contender,
                spread(values(*key), digits=0),
                spread(values(*key, "per_second"), digits=0),
                "1" if contender == OURS else spread(ratios(*key)),
            )
            for key in found
            if key[0] == task
            for _, scheme, at_once, contender in [key]
        ]
        if rows:
            head = (words, "", "µs of CPU", "a second", "ours to it")
            lines += [f"## {words[0].upper()}{words[1:]}", "", *table(head, rows), ""]
    targets = []
    if ("get", "HTTP", 16, OURS) in found:
        for scheme in ("HTTP", "HTTPS"):
            for peer, limit in ((AIOHTTP, 1.2), (HTTPX, 0.12)):
                ratio = statistics.median(ratios("get", scheme, 16, peer))
                targets.append(
                    (f"a decoded get, 16 at a time, {scheme}, to {peer}", ratio, f"≤ {limit}", ratio <= limit)
                )
        draw(
            {name: values("get", "HTTP", 16, name) for name in contenders("get", 16)},
            RESULTS / "calls.png",
        )
    if ("change", "HTTP", 64, OURS) in found:
        cpu = statistics.median(values("change", "HTTP", 64, OURS)) * 2000 / 1e6
        targets.append(("2,000 status changes, 6,000 requests: CPU s", cpu, "≤ 1.6", cpu <= 1.6))
    how = f"nginx on the same machine, {rounds} rounds, each contender alone in a process, results verified first."
    if find_spec("trio") is not None:
        how += " Measured with trio installed, which costs httpx time."
    write(
        "calls",
        "API calls",
        how,
        [*lines, *targets_table(targets), "", "![CPU a call](calls.png)"],
        {"results": [[*key, *each] for key, each in ((key, found[key]) for key in found)]},
    )


if __name__ == "__main__":
    main()
