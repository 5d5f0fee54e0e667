"""Options and arguments that several commands share, declared once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from datarobot_mlops_async.cli._command import argument, option, together
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._recent import recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import StrEnum

STDIN = STDOUT = "-"
FILE = click.Path(path_type=Path)
deployment_id = argument(
    "deployment_id", metavar="ID", help="The deployment's id.", shell_complete=recent("deployment")
)
yes = option("--yes", "-y", is_flag=True, help="Do not ask.")
dry_run = option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
as_json = option("--json", "as_json", is_flag=True, help="One JSON document.")
overwrite = option("--overwrite", is_flag=True, help="Replace another file that is there.")
wait = option(
    "--wait/--no-wait",
    default=True,
    help="Wait for the operation (the default), or print its location and leave it alone.",
)
patience = option(
    "--patience",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the operation.",
)


def destination(default: str | None = None, made: str = "") -> Callable[[Any], Any]:
    """Declare where a download goes.

    Args:
        default: Where it goes when the user does not say; without one the user must.
        made: What else the help says of it.
    """
    return argument(
        "destination",
        metavar="DEST" if default is None else "[DEST]",
        default=default,
        required=default is None,
        help=f"A file, a directory to put it in{made}, or - for stdout.",
    )


def words(enum: type[StrEnum]) -> str:
    """Return an enumeration's values for a sentence."""
    return f"One of {', '.join(each.value for each in enum)}."


def completing(enum: type[StrEnum]) -> Callable[..., list[str]]:
    """Return what completes one of an enumeration's values in the shell."""

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        return [each.value for each in enum if each.value.lower().startswith(incomplete.lower())]

    return complete


def ids(kind: str) -> Callable[[Any], Any]:
    """Declare the ids of the things to act on, each once; a lone ``-`` stands for stdin's lines.

    Of a line the first field counts, so that the lines of a list can be piped in. The command gets ``None`` when
    neither is given.

    Args:
        kind: What they are, for example ``deployment``.
    """

    def read(ctx: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> list[str] | None:
        if STDIN not in given or ctx.resilient_parsing:
            return list(dict.fromkeys(given)) if given else None
        if len(given) > 1:
            raise usage("- for stdin and ids exclude each other")
        return ids_in(sys.stdin)

    return argument(
        "ids",
        nargs=-1,
        metavar="[ID]...",
        help=f"{kind.capitalize()}s, or - to read ids from stdin.",
        shell_complete=recent(kind),
        callback=read,
    )


def ids_in(lines: Iterable[str]) -> list[str]:
    """Return the first field of each line that has one, each once."""
    # What some editors put before the first line is no part of an id.
    fields = (line.removeprefix("\ufeff").split() for line in lines)
    return list(dict.fromkeys(each[0] for each in fields if each))


@frozen(kw_only=True)
class OutputFormat:
    """How a list is to be printed.

    Attributes:
        limit: The most rows wanted; ``None`` for all.
        columns: Attribute paths to show; none for the usual ones.
        as_json: As one JSON document.
        as_lines: As JSON, one object a line.
    """

    limit: int | None = None
    columns: tuple[str, ...] = ()
    as_json: bool = False
    as_lines: bool = False


def _output_format(*, limit: int | None, columns: str, as_json: bool, as_lines: bool) -> OutputFormat:
    paths = tuple(each.strip() for each in columns.split(",") if each.strip())
    if as_json and as_lines:
        raise usage("--json and --jsonl exclude each other")
    if paths and (as_json or as_lines):
        raise usage("--columns is for tables: with --json and --jsonl every attribute is there")
    return OutputFormat(limit=limit, columns=paths, as_json=as_json, as_lines=as_lines)


def output_format(view: str) -> Callable[[Any], Any]:
    """Declare how a list is printed; the command gets an `OutputFormat`.

    Args:
        view: The list's name in `_views`, for completion.
    """

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        # Not at the top: only completion needs it.
        from datarobot_mlops_async.cli._views import VIEWS  # noqa: PLC0415 - as said

        chosen, comma, begun = incomplete.rpartition(",")
        return [f"{chosen}{comma}{path}" for path in VIEWS[view].every_path() if path.startswith(begun)]

    return together(
        "output",
        _output_format,
        option("--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most so many."),
        option(
            "--columns",
            default="",
            metavar="A,B.C",
            shell_complete=complete,
            help="Attributes to show, for example id,model.type,service_health.status.",
        ),
        as_json,
        option("--jsonl", "as_lines", is_flag=True, help="JSON, one object a line, as pages arrive."),
    )


def _as_given(**options: Any) -> dict[str, Any]:
    return options


download_options = together(
    "how",
    _as_given,
    overwrite,
    option(
        "--resume/--no-resume",
        default=True,
        help="Go on with what an interrupted download left (the default), or begin anew.",
    ),
    option(
        "--max-connections",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        metavar="N",
        help="At most so many at a time.",
    ),
)
"""How a file is downloaded; the command gets it as keyword arguments of `Artifact.download`."""
beside_options = together(
    "beside",
    _as_given,
    option("--sidecar", is_flag=True, help="Write FILE.sha256 beside it, for sha256sum -c."),
    option("--manifest", is_flag=True, help="Write FILE.manifest.json beside it, which says what it is."),
)
"""What is written beside a download; the command gets it as keyword arguments of `Artifact.download`."""
