"""The filters of ``session.deployments.list`` as options, for every command that chooses deployments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli._command import option, together
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import completing, words
from datarobot_mlops_async.models import enums

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    import click

_SECTION = "Filters (together they narrow; one that is repeated widens)"


def _filter(
    name: str, metavar: str, help_: str, enum: type[StrEnum] | None = None, **more: Any
) -> Callable[[Any], Any]:
    if enum is not None:
        help_, more["shell_complete"] = f"{help_} {words(enum)}", completing(enum)
    return option(name, metavar=metavar, help=help_, section=_SECTION, **more)


def _several(*arguments: Any) -> Callable[[Any], Any]:
    return _filter(*arguments, multiple=True)


def _moment(_ctx: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Return a moment; without an offset it is meant in this machine's time zone."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise usage(
            f"{parameter.opts[0]}: {text!r} is no moment such as 2026-01-31, 2026-01-31T12:00 or "
            "2026-01-31T12:00+01:00"
        ) from None


def _given(**filters: Any) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None and value != ()}


# fmt: off
deployment_filters = together(
    "filters",
    _given,
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
            "Last prediction at or after this moment, for example 2026-01-31T12:00+01:00.", callback=_moment),
    _filter("--last-prediction-timestamp-end", "MOMENT",
            "Last prediction before this moment.", callback=_moment),
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
"""The command gets those that were given, as keyword arguments of ``session.deployments.list``."""
