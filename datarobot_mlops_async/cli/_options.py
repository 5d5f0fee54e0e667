"""Options and arguments that several commands share, declared once."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
    """Declare where a download goes."""
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


_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?(?:/s)?")


def _rate(_ctx: object, _parameter: object, text: str | None) -> float | None:
    if text is None:
        return None
    match = _RATE.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise usage(f"--max-rate: {text!r} is no rate such as 500kB, 50MB or 20MiB (a second)")
    unit = 1024.0 if match[3] else 1000.0
    return float(match[1]) * float(unit ** " kMG".index(match[2] or " "))


def _as_given(**options: Any) -> dict[str, Any]:
    # What was not given is the library's own choice.
    return {name: value for name, value in options.items() if value is not None and value != ()}


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
    option(
        "--max-rate", metavar="RATE", callback=_rate, help="At most so fast, for example 50MB (a second)."
    ),
    option(
        "--mirror", "mirrors", multiple=True, metavar="URL", help="Ask there first; never with the token."
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
