"""What it costs to import the package, beside its dependencies alone, and to make a session.

Run ``python benchmarks/startup.py``. Each import is a process of its own, from which the start of a bare interpreter
is taken away; the contenders take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time

from reporting import Target, spread, table, targets_table, write

from datarobot_mlops_async import AsyncSession

BARE = "a bare interpreter"
PACKAGE = "import datarobot_mlops_async"
NAMES = "every public name of it"
SESSION = "from datarobot_mlops_async import AsyncSession"
DEPENDENCIES = "httpx, attrs, cattrs, anyio, tenacity"
SDK = "import datarobot (official SDK)"
CODE = {
    BARE: "pass",
    DEPENDENCIES: "import httpx, attrs, cattrs, anyio, tenacity",
    PACKAGE: "import datarobot_mlops_async",
    SESSION: "from datarobot_mlops_async import AsyncSession",
    NAMES: "import datarobot_mlops_async as d; [getattr(d, name) for name in d.__all__]",
    SDK: "import datarobot",
}


def time_process(code: str) -> float:
    """Return the CPU seconds of a process: others may run on the same cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, code in list(CODE.items()):
        tried = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False)
        if tried.returncode:
            print(f"left out: {name}", file=sys.stderr)
            del CODE[name]
    for _ in range(rounds):
        bare = time_process(CODE[BARE])
        for name, code in CODE.items():
            # The bare interpreter's share is taken away, as the ratio is that of the imports.
            seconds = bare if name == BARE else max(0.0, time_process(code) - bare)
            found.setdefault(name, []).append(seconds)
    return found


async def make_sessions(number: int) -> list[float]:
    times = []
    for _ in range(number):
        started = time.perf_counter()
        async with AsyncSession("https://app.datarobot.com", "a-token"):
            pass
        times.append((time.perf_counter() - started) * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    found = measure(rounds)
    sessions = asyncio.run(make_sessions(200))
    medians = {name: statistics.median(times) for name, times in found.items()}
    rows = [
        (
            name,
            spread([each * 1000 for each in times], "ms", 0),
            f"{medians[name] / medians[DEPENDENCIES]:.2f}x",
        )
        for name, times in found.items()
    ]
    alone = medians[DEPENDENCIES]
    # The package loads its parts when they are first used: most programs need the session, none every name.
    own, ratio = medians[PACKAGE], medians[SESSION] / alone
    targets: list[Target] = [
        (f"{PACKAGE}, s", own, "≤ 0.25", own <= 0.25),
        (f"{SESSION}, against the dependencies alone", ratio, "≤ 1.25x", ratio <= 1.25),
    ]
    first, later = sessions[0] / 1000, statistics.median(sessions[1:])
    write(
        "startup",
        "Starting",
        f"{rounds} rounds, the start of the interpreter taken away (but from its own row). CPU time: median, range.",
        [
            *table(("", "time", "against the dependencies"), rows),
            "",
            f"Making, opening and closing a session takes {later:.0f} µs; {first:.0f} ms the first time of a process.",
            "",
            *targets_table(targets),
        ],
        {"rounds": rounds, "seconds": found, "session_us": later, "first_session_ms": first},
    )


if __name__ == "__main__":
    main()
