"""Options and arguments that several commands share, declared once."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli._command import argument, flag, option, recent, together, with_session
from datarobot_mlops_async.cli._messages import usage
from datarobot_mlops_async.models import enums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datarobot_mlops_async.cli._command import Declaration
    from datarobot_mlops_async.cli._invocation import Invocation

STDIN = STDOUT = "-"
FILE: dict[str, Any] = {"type": click.Path(path_type=Path), "metavar": "FILE"}
COUNT: dict[str, Any] = {"type": click.IntRange(min=0), "metavar": "N"}
AT_LEAST_ONE: dict[str, Any] = {"type": click.IntRange(min=1), "metavar": "N"}
SECONDS: dict[str, Any] = {"type": click.FloatRange(min=0), "metavar": "SECONDS"}
IDS: dict[str, Any] = {"multiple": True, "metavar": "ID"}


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given; what was not is the library's own choice."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def an_id(kind: str) -> Declaration:
    return argument(f"{kind}_id", f"The {kind}'s id.", metavar="ID", shell_complete=recent(kind))


deployment_id = an_id("deployment")
yes = flag("--yes -y", "Do not ask.")
dry_run = flag("--dry-run", "Show what would be done, and do nothing.")
as_json = flag("--json as_json", "One JSON document.")
patience = option("--patience", "How long to wait for the operation.", default=3600.0, **SECONDS)
waiting = together(
    "waiting",
    dict,
    option(
        "--wait/--no-wait",
        "Wait for the operation (the default), or print its location and leave it alone.",
        default=True,
    ),
    patience,
)
"""Whether to wait for an operation, and how long; the command gets it as keyword arguments of `Invocation.finish`."""


def destination(default: str | None = None, made: str = "") -> Declaration:
    about = f"A file, a directory to put it in{made}, or - for stdout."
    metavar = "DEST" if default is None else "[DEST]"
    return argument("destination", about, metavar=metavar, default=default, required=default is None)


def ids(kind: str) -> Declaration:
    """Declare the ids of the things to act on, each once; a lone ``-`` stands for stdin's lines.

    Of a line the first field counts, so that the lines of a list can be piped in. The command gets ``None`` when
    neither is given.
    """

    def read(ctx: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> list[str] | None:
        if STDIN not in given or ctx.resilient_parsing:
            return list(dict.fromkeys(given)) if given else None
        if len(given) > 1:
            raise usage("- for stdin and ids exclude each other")
        return ids_in(sys.stdin)

    help_ = f"{kind.capitalize()}s, or - to read ids from stdin."
    return argument("ids", help_, nargs=-1, metavar="[ID]...", shell_complete=recent(kind), callback=read)


def ids_in(lines: Iterable[str]) -> list[str]:
    """Return the first field of each line that has one, each once."""
    # What some editors put before the first line is no part of an id.
    split = (line.removeprefix("\ufeff").split() for line in lines)
    return list(dict.fromkeys(each[0] for each in split if each))


def _moment(text: str) -> datetime:
    """Return a moment; without an offset it is meant in this machine's time zone."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        examples = "2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00+01:00"
        raise click.BadParameter(f"{text!r} is no moment such as {examples}") from None


class _Filter(click.Option):
    section = "Filters (together they narrow; one that is repeated widens)"


def _filter(name: str, metavar: str, help_: str, enum: Any = None, **more: Any) -> Declaration:
    return option(name, help_, metavar=metavar, enum=enum, cls=_Filter, **more)


def _several(*arguments: Any) -> Declaration:
    return _filter(*arguments, multiple=True)


# fmt: off
_FILTERS = (
    _filter("--search", "TEXT", "In label or description, in any case."),
    _several("--status", "STATUS", "Status.", enums.DeploymentStatus),
    _several("--service-health", "HEALTH", "Whether predictions are served well.", enums.HealthFilter),
    _several("--model-health", "HEALTH", "Whether the data has drifted.", enums.HealthFilter),
    _several("--accuracy-health", "HEALTH", "Whether predictions come true.", enums.HealthFilter),
    _several("--importance", "LEVEL", "Importance.", enums.Importance),
    _filter("--role", "ROLE", "Your role on it.", enums.Role),
    _several("--tag-keys", "NAME", "With a tag of this name."),
    _several("--tag-values", "VALUE", "With a tag of this value."),
    _filter("--created-by-me/--created-by-others", "", "Only your own, or only those of others.", default=None),
    _filter("--created-by", "ID", "By the user with this id."),
    _filter("--last-prediction-timestamp-start", "MOMENT",
            "Last prediction at or after this moment, for example 2026-01-31T12:00+01:00.", type=_moment),
    _filter("--last-prediction-timestamp-end", "MOMENT", "Last prediction before this moment.", type=_moment),
    _filter("--prediction-usage-daily-avg-greater-than", "N", "More predictions a day than this.", type=int),
    _filter("--prediction-usage-daily-avg-less-than", "N", "Fewer predictions a day than this.", type=int),
    _several("--default-prediction-server-id", "ID", "On the prediction server with this id."),
    _several("--build-environment-type", "NAME", "What the model was built with.", enums.BuildEnvironmentType),
    _several("--execution-environment-type", "NAME", "Where predictions are made.",
             enums.ExecutionEnvironmentType),
    _several("--prediction-environment-platform", "NAME", "The environment's platform.",
             enums.PredictionEnvironmentPlatform),
    _filter("--champion-model-execution-type", "NAME", "How the champion is executed.", enums.ModelExecutionType),
    _filter("--champion-model-target-type", "NAME", "The champion's target type, for example Binary."),
)
# fmt: on
deployment_filters = together("filters", given, *_FILTERS)
"""Which deployments; the command gets what was given, as keyword arguments of ``session.deployments.list``."""


def _output(*, columns: str, as_json: bool, as_lines: bool, **output: Any) -> dict[str, Any]:
    if as_json and as_lines:
        raise usage("--json and --jsonl exclude each other")
    paths = tuple(filter(None, map(str.strip, columns.split(","))))
    if paths and (as_json or as_lines):
        raise usage("--columns is for tables: with --json and --jsonl every attribute is there")
    return {"columns": paths, "as_json": as_json, "as_lines": as_lines, **output}


def output_format(view: str) -> Declaration:
    """Declare how a list is printed; the command gets keyword arguments of `Invocation.printer` as ``output``."""

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        # Not at the top: what draws is not needed for help.
        from datarobot_mlops_async.cli._views import VIEWS, paths_of

        chosen, comma, begun = incomplete.rpartition(",")
        paths = paths_of(VIEWS[view].record)
        return [f"{chosen}{comma}{path}" for path in paths if path.startswith(begun)]

    example = "Attributes to show, for example id,model.type,service_health.status."
    return together(
        "output",
        _output,
        option("--limit -n", "At most so many.", **COUNT),
        option("--columns", example, default="", metavar="A,B.C", shell_complete=complete),
        as_json,
        flag("--jsonl as_lines", "JSON, one object a line, as pages arrive."),
    )


def _bulk_options(
    *, ids: list[str] | None, everything: bool, limit: int | None, resume: Path | None, **options: Any
) -> dict[str, Any]:
    names = ("yes", "dry_run", "max_concurrency", "stop_on_error", "repeat_unknown", "as_lines")
    chosen = {"ids": ids, "resume": resume, **{name: options.pop(name) for name in names}}
    filters = given(**options)
    by_filter = everything or bool(filters)
    if ids is not None and by_filter:
        raise usage("ids and filters exclude each other")
    if ids is None and not by_filter and resume is None:
        raise usage("name deployments (or - for stdin), or give a filter such as --search, or --all")
    return {"filters": {"limit": limit, **filters} if by_filter else None, **chosen}


bulk_options = together(
    "options",
    _bulk_options,
    ids("deployment"),
    yes,
    dry_run,
    flag("--all everything", "Every deployment you can see."),
    option("--limit -n", "At most so many of those found.", **AT_LEAST_ONE),
    option(
        "--resume",
        "Go on where the run stopped that wrote this journal, and write on in it; a file that is not there yet "
        "is begun. Use it with the same command.",
        **FILE,
    ),
    option("--max-concurrency", "So many at a time, their operations included.", default=16, **AT_LEAST_ONE),
    flag("--stop-on-error", "Begin nothing new after a failure."),
    flag("--repeat-unknown", "Act again where an earlier run never heard whether it was done."),
    flag("--jsonl as_lines", "Print each outcome as a line of JSON when it is there."),
    *_FILTERS,
)
"""What the commands that act on many deployments share, as keyword arguments of `BulkAction`."""


_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?(?:/s)?")


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{text!r} is no rate such as 500kB, 50MB or 20MiB (a second)")
    unit = 1024.0 if match[3] else 1000.0
    return float(match[1]) * float(unit ** " kMG".index(match[2] or " "))


DOWNLOAD = (
    flag("--overwrite", "Replace another file that is there."),
    option(
        "--resume/--no-resume",
        "Go on with what an interrupted download left (the default), or begin anew.",
        default=True,
    ),
    option(
        "--max-connections", "At most so many at a time.", type=click.IntRange(1, 64), default=8, metavar="N"
    ),
    option("--max-rate", "At most so fast, for example 50MB (a second).", metavar="RATE", type=_rate),
    option("--mirror mirrors", "Ask there first; never with the token.", multiple=True, metavar="URL"),
)
download_options = together("how", given, *DOWNLOAD)
"""How a file is downloaded; the command gets it as keyword arguments of `Artifact.download`."""
artifact_options = together(
    "how",
    given,
    flag("--sidecar", "Write FILE.sha256 beside it, for sha256sum -c."),
    flag("--manifest", "Write FILE.manifest.json beside it, which says what it is."),
    *DOWNLOAD,
)
"""The same, and what is written beside the file."""


def listing(group: click.Group, method: str, about: str, *options: Declaration, name: str = "") -> None:
    """Add a command that prints the list that a method of `VIEWS` returns; the method gets the options."""

    @with_session
    async def command(cli: Invocation, *, output: dict[str, Any], **given: Any) -> None:
        filters = given.pop("filters", {})
        chosen = {each: value or None for each, value in given.items()}
        found = attrgetter(method)(cli.session)(limit=output["limit"], **chosen, **filters)
        await cli.printer(method, **output).list(found)

    _add(group, name or method, about, command, *options, output_format(method))


def showing(group: click.Group, method: str, about: str, *options: Declaration) -> None:
    """Add a command that prints the one thing that a method returns; the method gets the options."""

    @with_session
    async def command(cli: Invocation, *, as_json: bool, **given: Any) -> None:
        cli.show(await attrgetter(method)(cli.session)(**given), as_json=as_json)

    _add(group, method, about, command, *options, as_json)


def _add(group: click.Group, name: str, about: str, command: Any, *options: Declaration) -> None:
    for each in reversed(options):
        command = each(command)
    group.command(name.rpartition(".")[2], help=about)(command)
