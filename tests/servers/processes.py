"""Servers in processes of their own: started on reserved ports, asked until they are up, started over when not."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.ports import reserve_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

# Long enough for a machine that is busy with something else: it only delays a failure.
_PATIENCE = 60.0


@contextmanager
def served(
    command: Callable[[list[int]], Sequence[str | Path]],
    ports: int,
    *,
    is_up: Callable[[list[int]], bool],
    log: Path,
    attempts: int = 3,
) -> Iterator[list[int]]:
    """Run a server and give its ports.

    Args:
        command: Makes the command for some ports.
        ports: How many it needs.
        is_up: Asks all of its parts whether they answer.
        log: Gets what the server says; the end of it is in the error when it never comes up.
        attempts: How often it is started, on other ports each time.
    """
    for _ in range(attempts):
        numbers, held = reserve_ports(ports)
        with log.open("wb") as output:
            held.close()
            process = subprocess.Popen(
                [str(each) for each in command(numbers)],
                stdout=output,
                stderr=output,
                cwd=log.parent,
                start_new_session=True,
            )
        try:
            if _comes_up(process, lambda numbers=numbers: is_up(numbers)):
                yield numbers
                return
        finally:
            # With its workers; an orderly end takes some servers ten seconds, and nothing is to be kept.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = log.read_text(errors="replace").splitlines()[-40:]
    raise RuntimeError(
        "\n".join([f"{process.args[0]} did not come up in {attempts} attempts; it said:", *said])
    )


def _comes_up(process: subprocess.Popen[bytes], is_up: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if is_up():
                # Somebody else's server may be what answers.
                return process.poll() is None
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    return False
