"""Commands that print a list, or one thing with everything there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import with_session
from datarobot_mlops_async.cli._options import OutputFormat, as_json, output_format

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession

    Method = Callable[[AsyncSession], Callable[..., Any]]
    Option = Callable[[Any], Any]


def listing(group: click.Group, name: str, view: str, method: Method, *options: Option, about: str) -> None:
    """Add a command that prints a list.

    Args:
        group: Where.
        name: The command.
        view: How the list is printed, by its name in `VIEWS`.
        method: Returns the resource's method, whose parameters the options are.
        options: Their declarations.
        about: The command's help.
    """

    @with_session
    async def command(cli: Invocation, *, output: OutputFormat, **given: Any) -> None:
        filters = given.pop("filters", {})
        chosen = {each: value or None for each, value in given.items()}
        await cli.printer(view, output).list(method(cli.session)(limit=output.limit, **chosen, **filters))

    _add(group, name, command, (*options, output_format(view)), about)


def showing(group: click.Group, name: str, view: str, method: Method, *options: Option, about: str) -> None:
    """Add a command that prints one thing; the arguments are those of `listing`."""

    @with_session
    async def command(cli: Invocation, *, as_json: bool, **given: Any) -> None:
        cli.printer(view, OutputFormat(as_json=as_json)).one(await method(cli.session)(**given))

    _add(group, name, command, (*options, as_json), about)


def _add(group: click.Group, name: str, command: Any, options: tuple[Option, ...], about: str) -> None:
    for each in reversed(options):
        command = each(command)
    group.command(name, help=about)(command)
