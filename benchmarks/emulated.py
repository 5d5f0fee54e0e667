"""The emulator in a process of its own, driven over pipes: a benchmark shares no interpreter with its server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


_BURST = 0.25  # seconds' worth of requests that may come at once


class EmulatorProcess:
    """Its address, and the questions that can be asked of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.endpoint, self.token = self._read()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Call one of the functions below in the emulator's process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the emulator has died")
        return json.loads(line)


@contextmanager
def emulated(**settings: Any) -> Iterator[EmulatorProcess]:
    """Run an emulator with these settings until the block is left."""
    settings = {"image_size": None, "log_limit": 1_000_000, **settings}
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield EmulatorProcess(process)
    finally:
        process.communicate()


def log(emulator: Any) -> list[dict[str, Any]]:
    """Return the requests since the last time: what a benchmark needs of them."""
    records = emulator.requests
    emulator.clear_requests()
    names = ("method", "path", "status", "started_at", "answered_at")
    return [{name: getattr(each, name) for name in names} for each in records]


def change(emulator: Any, **settings: Any) -> None:
    """Change settings while it runs."""
    for name, value in settings.items():
        setattr(emulator, name, value)


def fault(emulator: Any, rules: list[str]) -> None:
    """Put these rules in force in the place of others."""
    emulator.clear_faults()
    for rule in rules:
        emulator.fault(rule)


def limit(emulator: Any, per_second: float) -> None:
    """Answer 429 to what comes beyond so many requests a second, however many clients there are."""
    free_at = 0.0

    def is_beyond(_request: Any) -> bool:
        nonlocal free_at
        now = time.monotonic()
        if free_at > now + _BURST:
            return True
        free_at = max(free_at, now) + 1 / per_second
        return False

    emulator.clear_faults()
    emulator.fault("* /**", status=429, retry_after=1, when=is_beyond)


def begin(emulator: Any, seconds: list[float]) -> list[tuple[str, float]]:
    """Begin operations that take so long; return where each is asked and when it ends (monotonic seconds)."""
    begun = ((time.monotonic() + each, emulator.begin_operation(each)) for each in seconds)
    return [(location, ends) for ends, location in begun]


def main() -> None:
    from datarobot_mlops_async.emulator import Emulator  # only in the emulator's process

    functions = {each.__name__: each for each in (log, change, fault, limit, begin)}
    with Emulator(**json.loads(sys.argv[1])) as emulator:
        emulator.prepare()
        print(json.dumps([emulator.endpoint, emulator.token]), flush=True)
        for line in sys.stdin:
            what, arguments = json.loads(line)
            print(json.dumps(functions[what](emulator, **arguments)), flush=True)


if __name__ == "__main__":
    main()
