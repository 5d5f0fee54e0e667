"""The filters of ``session.deployments.list`` as options, for every command that chooses deployments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datarobot_mlops_async.cli._failures import usage
from datarobot_mlops_async.models import enums

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

_PANEL = "Filters (together they narrow; one that is repeated widens)"


def _words(enum: type[StrEnum]) -> Callable[[str], list[str]]:
    """Return what completes a value in the shell."""

    def complete(incomplete: str) -> list[str]:
        return [each.value for each in enum if each.value.lower().startswith(incomplete.lower())]

    return complete


def _option(help_: str, metavar: str, *names: str, enum: type[StrEnum] | None = None) -> Any:
    values = f" One of {', '.join(each.value for each in enum)}." if enum else ""
    return typer.Option(
        *names,
        metavar=metavar,
        help=help_ + values,
        rich_help_panel=_PANEL,
        autocompletion=_words(enum) if enum else None,
    )


def deployment_filters(
    *,
    search: Annotated[str | None, _option("In label or description, in any case.", "TEXT")] = None,
    status: Annotated[list[str] | None, _option("Status.", "STATUS", enum=enums.DeploymentStatus)] = None,
    service_health: Annotated[
        list[str] | None, _option("Whether predictions are served well.", "HEALTH", enum=enums.HealthFilter)
    ] = None,
    model_health: Annotated[
        list[str] | None, _option("Whether the data has drifted.", "HEALTH", enum=enums.HealthFilter)
    ] = None,
    accuracy_health: Annotated[
        list[str] | None, _option("Whether predictions come true.", "HEALTH", enum=enums.HealthFilter)
    ] = None,
    importance: Annotated[list[str] | None, _option("Importance.", "LEVEL", enum=enums.Importance)] = None,
    role: Annotated[str | None, _option("Your role on it.", "ROLE", enum=enums.Role)] = None,
    tag_keys: Annotated[list[str] | None, _option("With a tag of this name.", "NAME")] = None,
    tag_values: Annotated[list[str] | None, _option("With a tag of this value.", "VALUE")] = None,
    created_by_me: Annotated[
        bool | None,
        typer.Option(
            "--created-by-me/--created-by-others",
            help="Only your own, or only those of others.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None,
    created_by: Annotated[str | None, _option("By the user with this id.", "ID")] = None,
    last_prediction_timestamp_start: Annotated[
        str | None,
        _option("Last prediction at or after this moment, for example 2026-01-31T12:00+01:00.", "MOMENT"),
    ] = None,
    last_prediction_timestamp_end: Annotated[
        str | None, _option("Last prediction before this moment.", "MOMENT")
    ] = None,
    prediction_usage_daily_avg_greater_than: Annotated[
        int | None, _option("More predictions a day than this.", "N")
    ] = None,
    prediction_usage_daily_avg_less_than: Annotated[
        int | None, _option("Fewer predictions a day than this.", "N")
    ] = None,
    default_prediction_server_id: Annotated[
        list[str] | None, _option("On the prediction server with this id.", "ID")
    ] = None,
    build_environment_type: Annotated[
        list[str] | None,
        _option("What the model was built with.", "NAME", enum=enums.BuildEnvironmentType),
    ] = None,
    execution_environment_type: Annotated[
        list[str] | None,
        _option("Where predictions are made.", "NAME", enum=enums.ExecutionEnvironmentType),
    ] = None,
    prediction_environment_platform: Annotated[
        list[str] | None,
        _option("The environment's platform.", "NAME", enum=enums.PredictionEnvironmentPlatform),
    ] = None,
    champion_model_execution_type: Annotated[
        str | None, _option("How the champion is executed.", "NAME", enum=enums.ModelExecutionType)
    ] = None,
    champion_model_target_type: Annotated[
        str | None, _option("The champion's target type, for example Binary.", "NAME")
    ] = None,
) -> dict[str, Any]:
    """Return the filters that were given, as keyword arguments of ``session.deployments.list``.

    Its parameters declare the options of the commands that take it.
    """
    given = {name: value for name, value in locals().items() if value is not None and value != []}
    for name in ("last_prediction_timestamp_start", "last_prediction_timestamp_end"):
        if name in given:
            given[name] = moment(f"--{name.replace('_', '-')}", given[name])
    return given


def moment(option: str, text: str) -> datetime:
    """Return a moment; without an offset it is meant in this machine's time zone.

    Raises:
        Failure: It is no moment in ISO 8601.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise usage(
            f"{option}: {text!r} is no moment such as 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00+01:00"
        ) from None
