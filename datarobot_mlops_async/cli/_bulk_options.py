"""Options of the commands that act on many deployments."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from datarobot_mlops_async.cli._command import option, together
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._filters import deployment_filters
from datarobot_mlops_async.cli._options import FILE, dry_run, ids, yes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@frozen(kw_only=True)
class BulkOptions:
    """How a bulk action is carried out."""

    yes: bool
    dry_run: bool
    everything: bool
    limit: int | None
    resume: Path | None
    max_concurrency: int
    stop_on_error: bool
    repeat_unknown: bool
    as_lines: bool


_bulk_options = together(
    "options",
    BulkOptions,
    yes,
    dry_run,
    option("--all", "everything", is_flag=True, help="Every deployment you can see."),
    option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="At most so many of those found."),
    option(
        "--resume",
        type=FILE,
        metavar="FILE",
        help="Go on where the run stopped that wrote this journal, and write on in it; a file that is not there yet "
        "is begun. Use it with the same command.",
    ),
    option(
        "--max-concurrency",
        type=click.IntRange(min=1),
        default=16,
        show_default=True,
        metavar="N",
        help="So many at a time, their operations included.",
    ),
    option("--stop-on-error", is_flag=True, help="Begin nothing new after a failure."),
    option(
        "--repeat-unknown",
        is_flag=True,
        help="Act again where an earlier run never heard whether it was done.",
    ),
    option(
        "--jsonl", "as_lines", is_flag=True, help="Print each outcome as a line of JSON when it is there."
    ),
)


def bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare which deployments a command acts on, and how; it gets ``ids``, ``filters`` and ``options``."""

    @functools.wraps(command)
    def checked(
        *context: Any, ids: list[str] | None, filters: dict[str, Any], options: BulkOptions, **more: Any
    ) -> Any:
        chosen = bool(filters) or options.everything
        if ids is not None and chosen:
            raise usage("ids and filters exclude each other")
        if ids is None and not chosen and options.resume is None:
            raise usage(
                f"name deployments to {command.__name__} (or - for stdin), or give a filter such as --search, or --all"
            )
        return command(*context, ids=ids, filters=filters, options=options, **more)

    decorated: Callable[..., Any] = ids("deployment")(_bulk_options(deployment_filters(checked)))
    return decorated
