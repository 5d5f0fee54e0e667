"""The emulator from the command line: `dr-mlops emulator` and `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

import errno
import shlex
import signal
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from ._emulator import Emulator
from ._faults import parse_seconds, parse_size
from ._rules import describe_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Below the ports that systems hand out by themselves, and of no well-known service.
_LIKELY_FREE_PORT = 8642


def _parsed(parse: Callable[[str], float]) -> Any:
    def convert(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def _show_vocabulary(context: click.Context, _parameter: click.Parameter, rules: tuple[str, ...]) -> Any:
    if "help" in rules:
        click.echo(describe_vocabulary())
        context.exit()
    return rules


_SIZE: dict[str, Any] = {"metavar": "SIZE", "callback": _parsed(parse_size)}
_TIME: dict[str, Any] = {"metavar": "TIME", "callback": _parsed(parse_seconds)}
_COUNT: dict[str, Any] = {"metavar": "N", "type": int}
_FILE: dict[str, Any] = {"metavar": "FILE", "type": click.Path(exists=True, dir_okay=False)}
_FAULT: dict[str, Any] = {"metavar": "RULE", "multiple": True, "callback": _show_vocabulary}
_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--deployments", "How many there are (250).", _COUNT),
    ("--image-size", "Size of the image, for example 14GiB (64MiB).", _SIZE),
    ("--image-file", "Serve this file as the image.", _FILE),
    ("--latency", "Time before every answer, for example 50ms (0).", _TIME),
    ("--operation-seconds", "How long operations take (1s).", _TIME),
    ("--deletion-lag", "How long deleted things stay (0).", _TIME),
    ("--signature-seconds", "Life of a signed URL (15m).", _TIME),
    ("--storage-rate", "Bytes a second on each connection (no limit).", _SIZE),
    ("--drift-rate", "Changes a second of the fleet by itself (0).", {"metavar": "N", "type": float}),
    ("--direct", "The API serves the image itself, with no redirect.", {"is_flag": True}),
    ("--dialect", "Age of the server (page).", {"type": click.Choice(["page", "older", "newer"])}),
    ("--host", "Address to listen on (127.0.0.1).", {}),
    ("--port", f"Port of the API ({_LIKELY_FREE_PORT}, or any free one if that is taken).", {"type": int}),
    ("--storage-port", "Port of the storage (any free one).", {"metavar": "PORT", "type": int}),
    ("--tls-cert", "Certificates in PEM: serve https.", _FILE),
    ("--tls-key", "The key, if it is not in that file.", _FILE),
    ("--token", "The token that is accepted (emulator-token).", {}),
    ("--seed", "What everything is drawn from (0).", _COUNT),
    (
        "--fault",
        "Let requests go wrong, as in 'GET /deployments/ status=503 times=2'. Repeatable; `help` shows how.",
        _FAULT,
    ),
)


def _run(
    *, fault: tuple[str, ...], direct: bool, tls_cert: str | None, tls_key: str | None, **options: Any
) -> None:
    settings = {name: value for name, value in options.items() if value is not None}
    settings.setdefault("port", _LIKELY_FREE_PORT)
    settings["faults"] = fault
    if direct:
        settings["image_redirect"] = None
    try:
        settings["tls"] = None if tls_cert is None else _tls(tls_cert, tls_key)
        emulator = Emulator(**settings)
    except (ValueError, ssl.SSLError) as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(emulator, any_port=options["port"] is None)
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from None


command = click.Command(
    "emulator",
    callback=_run,
    params=[click.Option([name], help=text, **more) for name, text, more in _OPTIONS],
    short_help="Serve an emulated DataRobot until interrupted.",
    help="Serve an emulated DataRobot until interrupted, and print the variables that point clients at it.\n\n"
    "At the root of the endpoint's address is a page that shows what goes on. "
    "Below /_emulator/ is JSON that steers it: GET /_emulator/ tells how.",
)


def _tls(certificates: str, key: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates, key)
    return context


def serve(
    emulator: Emulator,
    *,
    announce: Callable[[str], None] | None = None,
    until: threading.Event | None = None,
    any_port: bool = False,
) -> None:
    """Start an emulator, say how to reach it and serve until SIGINT or SIGTERM.

    At the end, standard error is told which fault rules have never fired.

    Args:
        emulator: One that is not running.
        announce: Takes the lines to say; default: they go to standard output.
        until: Ends it as well, when it is set.
        any_port: Take any free port if the one that is set is taken.

    Raises:
        OSError: A port is taken.
    """
    say = announce or click.echo
    with suppress(KeyboardInterrupt), _terminable():
        _start(emulator, any_port=any_port)
        try:
            threading.Thread(target=emulator.prepare, name="datarobot-emulator-digest", daemon=True).start()
            for line in environment(emulator):
                say(line)
            (until or threading.Event()).wait()
        finally:
            emulator.stop()
    for rule in emulator.unused_faults:
        sys.stderr.write(f"this fault never fired: {rule}\n")


def _start(emulator: Emulator, *, any_port: bool) -> None:
    try:
        emulator.start()
    except OSError as error:
        if not any_port or error.errno != errno.EADDRINUSE:
            raise
        emulator.port = 0
        emulator.start()


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
