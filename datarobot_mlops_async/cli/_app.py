"""The tree of commands and the options before them. Each group is imported when it is used."""

# ruff: noqa: TC003 - typer resolves the annotations at run time

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import datarobot_mlops_async
from datarobot_mlops_async.cli._failures import ExitCode, Failure, failure_of, is_expected
from datarobot_mlops_async.cli._terminal import Terminal, clean
from datarobot_mlops_async.errors import InsecureConnectionWarning, ServerDeprecationWarning

_HERE = "datarobot_mlops_async.cli"
_GROUPS = {
    "deployments": ("_deployments", "List, read and change deployments."),
    "deleted": ("_deleted", "Deleted deployments: list them, erase them."),
    "custom-models": ("_custom_models", "Deployments of custom models."),
    "bundles": ("_bundles", "Resource bundles: the sizes of machine to choose from."),
    "pps-image": ("_pps_image", "The Portable Prediction Server's image: look at it, download it, load it."),
    "scoring-code": ("_scoring_code", "Models as JARs, for predictions elsewhere."),
    "logs": ("_logs", "Logs of custom model deployments."),
    "reports": ("_reports", "Scheduled reports, run now."),
    "operations": ("_operations", "Long-running operations: look at one, wait for one."),
    "emulator": ("_emulator", "Serve an emulated DataRobot, to try things on."),
    "demo": ("_demo", "See it work, against an emulator in this process: no account, no network."),
}
# Wherever typer keeps it: the root of what it raises for wrong command lines.
_WRONG_USAGE: type[Exception] = typer.BadParameter.__mro__[2]


class _Stub(TyperGroup):
    """A group's name and its sentence, for lists of commands."""


class LazyGroups(TyperGroup):
    """Knows the names of all groups, imports the one that is used, and words how a command ended."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, sentence) in _GROUPS.items():
            self.commands[name] = _Stub(name=name, help=sentence)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the group that is used, imported."""
        name, stub, rest = super().resolve_command(ctx, args)
        if name not in _GROUPS:
            return name, stub, rest
        command: Any = typer.main.get_command(import_module(f"{_HERE}.{_GROUPS[name][0]}").app)
        command.name = name
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Carry out the command. Here, because typer has words of its own for what comes further up."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            raise Failure("interrupted", ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            raise Failure("", ExitCode.BROKEN_PIPE) from None


app = typer.Typer(
    name="dr-mlops",
    cls=LazyGroups,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 refused or failed; 2 wrong command line; 3 settings or token; 4 not found; "
    "5 service not reached; 6 operation failed; 7 download failed or not verified; 8 some of several actions "
    "failed; 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dr-mlops {datarobot_mlops_async.__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    *,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address of DataRobot, with or without /api/v2; wants --token-file too."
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File with the API token, - for the first line of stdin. There is no --token: everyone on this "
            "machine could read it in the list of processes.",
        ),
    ] = None,
    config_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A drconfig.yaml to read.")] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--insecure",
            help="Check the server's certificate, or trust any server.",
            show_default=False,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authorities to trust: a CA's or a self-signed certificate."),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Proxy; by default that of HTTPS_PROXY and NO_PROXY, which is the place for one with a password.",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For one attempt of a request.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option(metavar="N", help="Attempts after a request's first.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on answers that are not as the API's page promises.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every request on stderr; never a token.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """DataRobot's deployments from the command line.

    Endpoint and token come from the environment (DATAROBOT_ENDPOINT, DATAROBOT_API_TOKEN) or from
    ~/.config/datarobot/drconfig.yaml. Try it without an account: dr-mlops demo.
    """
    del version
    # Not at the top: a session costs an import of 0.2 s that --help need not pay.
    from datarobot_mlops_async.cli._invocation import Invocation, hide_log, show_log  # noqa: PLC0415 - as said

    if verify is False and ca_file is not None:
        raise Failure("--insecure and --ca-file exclude each other", ExitCode.USAGE)
    ctx.obj = Invocation(
        endpoint=endpoint,
        token_file=token_file,
        config_file=config_file,
        verify=ca_file or verify,
        proxy=proxy,
        timeout=timeout,
        retries=retries,
        strict=strict,
    )
    if verbose:
        handler = show_log(ctx.obj.terminal)
        ctx.call_on_close(lambda: hide_log(handler))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return the exit code. Whatever goes wrong is said in one line on stderr."""
    terminal = Terminal()
    with _warnings_on(terminal):
        try:
            code = typer.main.get_command(app).main(
                list(arguments), prog_name="dr-mlops", standalone_mode=False
            )
        except Failure as failure:
            return _report(terminal, failure)
        except _WRONG_USAGE as error:
            return _report(terminal, _misuse(error))
        except Exception as error:  # noqa: BLE001 - the last resort before a traceback
            return _report(terminal, _failure(error, verbose=bool({"-v", "--verbose"} & {*arguments})))
    return code if isinstance(code, int) else ExitCode.DONE


def _report(terminal: Terminal, failure: Failure) -> int:
    if failure.code == ExitCode.BROKEN_PIPE:
        # Nobody reads on: the interpreter must not fail once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if failure.message:
        terminal.say(f"dr-mlops: {failure.message}")
    return failure.code


def _misuse(error: Exception) -> Failure:
    context = getattr(error, "ctx", None)
    message = clean(getattr(error, "format_message", lambda: error)())
    if not message:
        # Help was asked for by giving no command, and has been shown.
        return Failure("", ExitCode.USAGE)
    command = context.command_path if context else "dr-mlops"
    return Failure(f"{message.rstrip('.')} (see {command} --help)", ExitCode.USAGE)


def _failure(error: BaseException, *, verbose: bool) -> Failure:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Exception) and is_expected(error):
        return failure_of(error)
    if verbose:
        traceback.print_exception(error)
    return Failure(
        f"internal error: {type(error).__name__}: {error}; please report it (-v shows where it happened)",
        ExitCode.FAILED,
    )


@contextmanager
def _warnings_on(terminal: Terminal) -> Iterator[None]:
    """Show the library's warnings in one line each, without the place in its source that raised them."""
    with warnings.catch_warnings():
        for category in (InsecureConnectionWarning, ServerDeprecationWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = lambda message, *_args, **_kwargs: terminal.say(
            f"dr-mlops: warning: {message}"
        )
        yield
