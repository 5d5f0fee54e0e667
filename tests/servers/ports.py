"""Ports for servers that cannot be told "any": taken where the kernel gives none away, and held until the start."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LOWEST = 10_000
_HIGHEST = 65_535
# Of its own: seeding the random numbers of a test must not make two runs take the same ports.
_draw = random.SystemRandom()


def reserve_ports(count: int) -> tuple[list[int], ExitStack]:
    """Bind that many ports of 127.0.0.1; closing the stack gives them free for the server to take.

    They lie outside of the range from which outgoing connections get theirs, so that no client of
    another test takes one between its release and the server's start.
    """
    ports: list[int] = []
    with ExitStack() as stack:
        candidates = _candidates()
        while len(ports) < count:
            port = _draw.choice(candidates)
            sock = stack.enter_context(socket.socket())
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                sock.close()
            else:
                ports.append(port)
        return ports, stack.pop_all()


def _candidates() -> range:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    except OSError:
        first, last = 49_152, _HIGHEST  # what IANA names, and macOS uses
    else:
        first, last = (int(each) for each in text.split())
    below, above = range(_LOWEST, first), range(last + 1, _HIGHEST)
    return max(below, above, key=len) or range(_LOWEST, _HIGHEST)
