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
from attrs import fields

from ._emulator import Emulator
from ._faults import describe_vocabulary, parse_seconds, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from attrs import Attribute

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


_FILE = click.Path(exists=True, dir_okay=False)
# By what stands for an option's value.
_READ: dict[str, dict[str, Any]] = {
    "FILE": {"type": _FILE},
    "N": {"type": int},
    "PORT": {"type": int},
    "page|older|newer": {"type": click.Choice(["page", "older", "newer"])},
    "RATE": {"type": float},
    "SIZE": {"callback": _parsed(parse_size)},
    "TIME": {"callback": _parsed(parse_seconds)},
}


def _option(setting: Attribute[Any]) -> click.Option:
    metavar, meaning = setting.metadata["option"], setting.metadata["meaning"]
    name, read = setting.name.replace("_", "-"), _READ.get(metavar, {})
    return click.Option([f"--{name}"], metavar=metavar, help=meaning, **read)


@click.command("emulator", short_help="Serve an emulated DataRobot until interrupted.")
@click.option("--direct", is_flag=True, help="The API serves the image itself, with no redirect.")
@click.option("--tls-cert", metavar="FILE", type=_FILE, help="Certificates in PEM: serve https.")
@click.option("--tls-key", metavar="FILE", type=_FILE, help="The key, if it is not in that file.")
@click.option(
    *("--fault", "faults"),
    metavar="RULE",
    multiple=True,
    callback=_show_vocabulary,
    help="Let requests go wrong, as in 'GET /deployments/ status=503 times=2'. Repeatable; `help` shows how.",
)
def command(*, direct: bool, tls_cert: str | None, tls_key: str | None, **options: Any) -> None:
    """Serve an emulated DataRobot until interrupted, and print the variables that point clients at it.

    At the root of the endpoint's address is a page that shows what goes on. Below /_emulator/ is JSON that
    steers it: GET /_emulator/ tells how.
    """
    settings = {name: value for name, value in options.items() if value is not None}
    settings.setdefault("port", _LIKELY_FREE_PORT)
    if direct:
        settings["image_redirect"] = None
    try:
        if tls_cert is not None:
            settings["tls"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            settings["tls"].load_cert_chain(tls_cert, tls_key)
        emulator = Emulator(**settings)
    except (ValueError, ssl.SSLError) as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(emulator, any_port=options["port"] is None)
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror or error}") from None


command.params[:0] = [_option(each) for each in fields(Emulator) if each.metadata.get("option")]


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
        try:
            emulator.start()
        except OSError as error:
            if not any_port or error.errno != errno.EADDRINUSE:
                raise
            emulator.port = 0
            emulator.start()
        try:
            threading.Thread(target=emulator.prepare, name="datarobot-emulator-digest", daemon=True).start()
            for line in environment(emulator):
                say(line)
            (until or threading.Event()).wait()
        finally:
            emulator.stop()
    for rule in emulator.unused_faults:
        sys.stderr.write(f"this fault never fired: {rule}\n")


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
