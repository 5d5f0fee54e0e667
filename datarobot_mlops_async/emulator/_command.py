"""The emulator from the command line: `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ._emulator import Emulator
from ._rules import describe_vocabulary
from ._units import parse_seconds, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_EPILOG = """\
A fault is METHOD ROUTE word=value ..., for example
  --fault "GET /deployments/ status=503 retry-after=1 times=2"
  --fault "PATCH /deployments/*/status/ status=429 probability=0.05"
  --fault "GET storage reset=1MiB after=3 times=1"
METHOD and ROUTE may be *, in a route * is one segment and ** is any rest. The words:

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until it is interrupted.

    Args:
        arguments: The command line without the program's name; default: that of the process.

    Returns:
        The exit code.
    """
    parser = _build_parser()
    options = vars(parser.parse_args(arguments))
    if options.pop("direct"):
        options["image_redirect"] = None
    try:
        emulator = Emulator(**options)
    except ValueError as error:
        parser.error(str(error))
    try:
        serve(emulator)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot listen: {error}\n")
    return 0


def serve(
    emulator: Emulator,
    *,
    announce: Callable[[str], None] | None = None,
    until: threading.Event | None = None,
) -> None:
    """Start an emulator, say how to reach it and serve until SIGINT or SIGTERM.

    Args:
        emulator: One that is not running.
        announce: Takes the lines to say; default: they go to standard output.
        until: Ends it as well, when it is set.

    Raises:
        OSError: A port is taken.
    """
    say = announce or _print
    with suppress(KeyboardInterrupt), _terminable(), emulator:
        threading.Thread(target=emulator.prepare, name="datarobot-emulator-digest", daemon=True).start()
        for line in environment(emulator):
            say(line)
        (until or threading.Event()).wait()


def environment(emulator: Emulator) -> Iterator[str]:
    """Yield the shell commands that point clients at a running emulator."""
    yield f"export DATAROBOT_ENDPOINT={shlex.quote(emulator.endpoint)}"
    yield f"export DATAROBOT_API_TOKEN={shlex.quote(emulator.token)}"


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the program as SIGINT does, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals can only be handled in the main thread
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datarobot_mlops_async.emulator",
        description="Serve an emulated DataRobot until interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG + describe_vocabulary(),
        # Only what is given is passed on: the defaults are those of `Settings`.
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    size, seconds = _checked(parse_size), _checked(parse_seconds)
    parser.add_argument("--deployments", type=int, metavar="N", help="how many there are (250)")
    parser.add_argument("--image-size", type=size, metavar="SIZE", help="size of the image (64MiB)")
    parser.add_argument("--latency", type=seconds, metavar="TIME", help="time before every answer (0)")
    parser.add_argument(
        "--operation-seconds", type=seconds, metavar="TIME", help="how long operations take (1s)"
    )
    parser.add_argument("--drift-rate", type=float, metavar="N", help="changes of the fleet a second (0)")
    parser.add_argument(
        "--deletion-lag", type=seconds, metavar="TIME", help="how long deleted things stay (0)"
    )
    parser.add_argument(
        "--signature-seconds", type=seconds, metavar="TIME", help="life of a signed URL (15m)"
    )
    parser.add_argument("--storage-rate", type=size, metavar="SIZE", help="bytes a second on each connection")
    parser.add_argument("--direct", action="store_true", default=False, help="no redirect to the storage")
    parser.add_argument("--dialect", choices=("page", "older", "newer"), help="age of the server (page)")
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port of the API (any)")
    parser.add_argument("--storage-port", type=int, metavar="PORT", help="port of the storage (any)")
    parser.add_argument("--token", help="the token that is accepted (emulator-token)")
    parser.add_argument("--seed", type=int, metavar="N", help="everything is drawn from it (0)")
    parser.add_argument("--fault", dest="faults", action="append", metavar="RULE", help="may be repeated")
    return parser
