"""The tree of commands and the options before them. Each group is imported when it is used."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async import __version__
from datarobot_mlops_async.cli._command import Command, Group, completion_option, flag, option
from datarobot_mlops_async.cli._messages import ExitCode, Failure, failure_of, is_expected, usage
from datarobot_mlops_async.cli._options import FILE
from datarobot_mlops_async.errors import InsecureConnectionWarning, ServerDeprecationWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "deployments": ("_deployments", "List, read and change deployments."),
    "deleted": ("_resources", "Deleted deployments: list them, erase them."),
    "custom-models": ("_resources", "Deployments of custom models."),
    "bundles": ("_resources", "Resource bundles: the sizes of machine to choose from."),
    "pps-image": ("_pps_image", "The Portable Prediction Server's image: look at it, download it, load it."),
    "scoring-code": ("_resources", "Models as JARs, for predictions elsewhere."),
    "logs": ("_resources", "Logs of custom model deployments."),
    "reports": ("_resources", "Scheduled reports, run now."),
    "operations": ("_resources", "Long-running operations: look at one, wait for one."),
    "emulator": (".emulator", "Serve an emulated DataRobot, to try things on."),
    "demo": ("_demo", "See it work, against an emulator in this process: no account, no network."),
}
"""Each has its module beside this one, where it stands under its own name or, alone, as ``command``."""


class _Root(Group):
    """Knows the names of all commands and imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f".{_COMMANDS[cmd_name][0]}", "datarobot_mlops_async.cli")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"), None) or module.command
        if not isinstance(command, Command):
            # The emulator's own, which imports nothing from here, with our help.
            command = Command(cmd_name, callback=command.callback, params=command.params, help=command.help)
        return command

    def sentence(self, ctx: click.Context, name: str) -> str:
        del ctx
        return _COMMANDS[name][1]

    def invoke(self, ctx: click.Context) -> Any:
        # Not in `run`: click has words of its own for what comes further up.
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise failure_of(error) from None


def _token_command(text: str) -> str:
    try:
        if shlex.split(text):
            return text
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    raise usage("--token-command is empty")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is not 'NAME: VALUE'")
    return name.strip(), value.strip()


@click.command(
    cls=_Root,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 refused or failed; 2 wrong command line; 3 settings or token; 4 not found; "
    "5 service not reached; 6 operation failed; 7 download failed or not verified; 8 some of several actions "
    "failed; 130 interrupted.",
)
@option("--endpoint", "Address of DataRobot, with or without /api/v2; wants --token-file too.", metavar="URL")
@option(
    "--token-file",
    "File with the API token, - for the first line of stdin. There is no --token: everyone on this machine "
    "could read it in the list of processes.",
    metavar="FILE",
)
@option(
    "--token-command",
    "Command that prints the token, for example 'vault read -field=token secret/datarobot'.",
    metavar="COMMAND",
    type=_token_command,
)
@option("--config-file", "A drconfig.yaml to read.", **FILE)
@option("--verify/--insecure", "Check the server's certificate, or trust any server.", default=None)
@option("--ca-file", "Authorities to trust: a CA's or a self-signed certificate.", **FILE)
@option("--cert", "Your own certificate, where the server wants one.", **FILE)
@option("--cert-key", "Its key, if it is not in the same file.", **FILE)
@option(
    "--proxy",
    "Proxy; by default that of HTTPS_PROXY and NO_PROXY, which is the place for one with a password.",
    metavar="URL",
)
@option(
    "--header headers",
    "Header for every request to DataRobot, as a gateway may want it; repeatable.",
    multiple=True,
    metavar="'NAME: VALUE'",
    type=_header,
)
@option("--timeout", "For one attempt of a request.", type=float, metavar="SECONDS")
@option("--retries retry", "Attempts after a request's first.", type=int, metavar="N")
@flag("--strict", "Fail on answers that are not as the API's page promises.")
@flag("--verbose -v", "Log every request on stderr; never a token.")
@click.version_option(__version__, prog_name="dr-mlops", message="%(prog)s %(version)s")
@completion_option("show")
@completion_option("install")
@click.pass_context
def app(ctx: click.Context, /, **given: Any) -> None:
    """DataRobot's deployments from the command line.

    Endpoint and token come from the environment (DATAROBOT_ENDPOINT, DATAROBOT_API_TOKEN) or from
    ~/.config/datarobot/drconfig.yaml. Try it without an account: dr-mlops demo.
    """
    ca_file, key = given.pop("ca_file"), given.pop("cert_key")
    if given["verify"] is False and ca_file is not None:
        raise usage("--insecure and --ca-file exclude each other")
    if given["token_file"] is not None and given["token_command"] is not None:
        raise usage("--token-file and --token-command exclude each other")
    if key is not None and given["cert"] is None:
        raise usage("--cert-key wants --cert")
    ctx.obj = {
        **given,
        "verify": ca_file or given["verify"],
        "cert": (str(given["cert"]), str(key)) if key else given["cert"],
        "headers": dict(given["headers"]) or None,
    }


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return the exit code. Whatever goes wrong is said in one line on stderr."""
    # Colours never where the environment says so, else wherever there is a terminal.
    color = False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
    with warnings.catch_warnings():
        for category in (InsecureConnectionWarning, ServerDeprecationWarning):
            warnings.simplefilter("always", category)
        # One line each, without the place in the library's source that raised them.
        warnings.showwarning = lambda message, *_args, **_kwargs: _say(f"warning: {message}")
        try:
            code = app.main(list(arguments), prog_name="dr-mlops", standalone_mode=False, color=color)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "dr-mlops"
            return _report(usage(f"{error.format_message().rstrip('.')} (see {command} --help)"))
        except click.ClickException as error:
            return _report(Failure(error.format_message()))
        except Exception as error:  # noqa: BLE001 - the last resort before a traceback
            if {"-v", "--verbose"} & {*arguments} and not is_expected(error):
                traceback.print_exception(error)
            return _report(failure_of(error))
    return code if isinstance(code, int) else ExitCode.DONE


def _report(failure: Failure) -> int:
    if failure.code == ExitCode.BROKEN_PIPE:
        # Nobody reads on: the interpreter must not fail once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if failure.message:
        _say(failure.message)
    return failure.code


def _say(message: str) -> None:
    # Not at the top: most of what is no error need not import rich.
    from datarobot_mlops_async.cli._terminal import Terminal

    Terminal().say(f"dr-mlops: {message}")
