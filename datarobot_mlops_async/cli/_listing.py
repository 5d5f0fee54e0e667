"""Commands that print a list, or one thing with everything there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from datarobot_mlops_async.cli._command import option, together, with_session
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import as_json
from datarobot_mlops_async.cli._views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.session import AsyncSession


@frozen(kw_only=True)
class OutputFormat:
    """How a list is to be printed: as many rows, of these attributes, as one JSON document or as lines of JSON."""

    limit: int | None = None
    columns: tuple[str, ...] = ()
    as_json: bool = False
    as_lines: bool = False


def _output_format(*, columns: str, as_json: bool, as_lines: bool, limit: int | None) -> OutputFormat:
    paths = tuple(each.strip() for each in columns.split(",") if each.strip())
    if as_json and as_lines:
        raise usage("--json and --jsonl exclude each other")
    if paths and (as_json or as_lines):
        raise usage("--columns is for tables: with --json and --jsonl every attribute is there")
    return OutputFormat(limit=limit, columns=paths, as_json=as_json, as_lines=as_lines)


def output_format(view: str) -> Callable[[Any], Any]:
    """Declare how the list of a view is printed; the command gets it as ``output``."""

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        chosen, comma, begun = incomplete.rpartition(",")
        return [f"{chosen}{comma}{path}" for path in VIEWS[view].every_path() if path.startswith(begun)]

    example = "Attributes to show, for example id,model.type,service_health.status."
    return together(
        "output",
        _output_format,
        option("--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most so many."),
        option("--columns", default="", metavar="A,B.C", shell_complete=complete, help=example),
        as_json,
        option("--jsonl", "as_lines", is_flag=True, help="JSON, one object a line, as pages arrive."),
    )


def listing(
    group: click.Group,
    name: str,
    view: str,
    method: Callable[[AsyncSession], Callable[..., Any]],
    *options: Callable[[Any], Any],
    help: str,  # noqa: A002 - click's word
) -> None:
    """Add a command that prints a list."""

    @with_session
    async def command(cli: Invocation, *, output: OutputFormat, **given: Any) -> None:
        filters = given.pop("filters", {})
        chosen = {each: value or None for each, value in given.items()}
        await cli.printer(view, output).list(method(cli.session)(limit=output.limit, **chosen, **filters))

    _add(group, name, command, (*options, output_format(view)), help)


def showing(
    group: click.Group,
    name: str,
    view: str,
    method: Callable[[AsyncSession], Callable[..., Any]],
    *options: Callable[[Any], Any],
    help: str,  # noqa: A002 - click's word
) -> None:
    """Add a command that prints one thing; the arguments are those of `listing`."""

    @with_session
    async def command(cli: Invocation, *, as_json: bool, **given: Any) -> None:
        cli.printer(view, OutputFormat(as_json=as_json)).one(await method(cli.session)(**given))

    _add(group, name, command, (*options, as_json), help)


def _add(
    group: click.Group, name: str, command: Any, options: tuple[Callable[[Any], Any], ...], help_: str
) -> None:
    for each in reversed(options):
        command = each(command)
    group.command(name, help=help_)(command)
