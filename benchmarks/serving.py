"""nginx for the benchmarks."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def nginx(directory: Path, config: str, port: int) -> Iterator[None]:
    """Run nginx with a configuration until the block is left; it is up when it listens on the port."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        sys.exit("nginx is needed (Debian package nginx-light)")
    (directory / "nginx.conf").write_text(config)
    process = subprocess.Popen([binary, "-c", directory / "nginx.conf", "-p", directory])
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("nginx does not start: " + (directory / "error.log").read_text())
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()
