"""``dr-mlops deployments``: list deployments, read what there is of one, and change them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from datarobot_mlops_async.cli import _options as shared
from datarobot_mlops_async.cli._command import Group, flag, one_of, option, with_session
from datarobot_mlops_async.cli._messages import usage
from datarobot_mlops_async.errors import ConflictError
from datarobot_mlops_async.models import DeploymentOrder, FeatureOrder, Importance

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation
    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.operations import Operation
    from datarobot_mlops_async.resources import TargetDeploymentStatusWord

_SERVERS_OWN = "server"

command = Group("deployments", help="List, read and change deployments.")
shared.listing(
    command,
    "deployments.list",
    "List deployments, oldest first. Into a pipe go tab-separated lines that begin with the id.",
    option(
        "--order-by",
        f"Sort by a field, -FIELD to turn it round; {_SERVERS_OWN} for the server's own order, which changes "
        "while it is read.",
        metavar="FIELD",
        default=DeploymentOrder.CREATED_AT_TIMESTAMP.value,
        shell_complete=one_of(DeploymentOrder),
        callback=lambda _ctx, _parameter, order: None if order == _SERVERS_OWN else order,
    ),
    shared.deployment_filters,
)
shared.showing(
    command, "deployments.get", "Show everything there is of one deployment.", shared.deployment_id
)
shared.listing(
    command,
    "deployments.features",
    "List the features of the data that a deployment predicts from.",
    shared.deployment_id,
    option("--search", "In the name, in any case."),
    option(
        "--order-by",
        "name, importance, or -name, -importance.",
        metavar="FIELD",
        default=FeatureOrder.NAME.value,
        shell_complete=one_of(FeatureOrder),
    ),
    flag("--include-non-prediction-features", "Also those that predictions do not need."),
    flag("--for-segmented-analysis", "Only those that segmented analysis can use."),
)
shared.listing(
    command,
    "deployments.model_history",
    "List the models that have been a deployment's champion.",
    shared.deployment_id,
    name="history",
)


@command.command()
@option(
    "--interval",
    "From one reading of the list to the next.",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    metavar="SECONDS",
)
@option(
    "--field fields",
    "What to compare, for example service_health. Repeatable; everything without it.",
    multiple=True,
    metavar="NAME",
)
@option("--state", "Go on from what it holds, if it is there, and keep it up to date.", **shared.FILE)
@option("--limit -n", "End after so many changes.", **shared.COUNT)
@flag("--jsonl as_lines", "JSON, one change a line.")
@shared.deployment_filters
@with_session
async def watch(cli: Invocation, *, fields: tuple[str, ...], filters: dict[str, Any], **options: Any) -> None:
    """Print what changes, as it does: deployments that come, go and differ."""
    # Not at the top: help draws nothing.
    from datarobot_mlops_async.cli._watch import watch_deployments

    await watch_deployments(cli.terminal, cli.session, fields=fields or None, **options, **filters)


@command.command()
@shared.deployment_id
@shared.output_format("deployments.capabilities")
@with_session
async def capabilities(cli: Invocation, deployment_id: str, output: dict[str, Any]) -> None:
    """Show what a deployment supports, and why not."""
    cli.printer("deployments.capabilities", **output).several(
        await cli.session.deployments.capabilities(deployment_id)
    )


def _add_change(verb: str, status: TargetDeploymentStatusWord) -> None:
    @command.command(verb, help=f"{verb.capitalize()} deployments and wait until they are {status}.")
    @shared.bulk_options
    @with_session
    async def change(cli: Invocation, options: dict[str, Any]) -> None:
        resource = cli.session.deployments

        async def set_status(deployment_id: str) -> Operation[Deployment] | Deployment:
            try:
                return await resource.begin_set_status(deployment_id, status)
            except ConflictError:
                # What has it already, from a run that was cut off, counts as changed.
                if options["repeat_unknown"]:
                    deployment = await resource.get(deployment_id)
                    if deployment.status == status:
                        return deployment
                raise

        await cli.bulk(verb, set_status, **options)


_add_change("deactivate", "inactive")
_add_change("activate", "active")


@command.command()
@option("--set-label", "The new label.")
@option("--set-description", "The new description.")
@flag("--clear-description", "No description any more.")
@option("--set-importance", "The new importance.", metavar="LEVEL", enum=Importance)
@shared.bulk_options
@with_session(opened=False)
async def update(
    cli: Invocation, *, clear_description: bool, options: dict[str, Any], **changes: str | None
) -> None:
    """Change the label, description or importance of deployments."""
    chosen = {name.removeprefix("set_"): value for name, value in shared.given(**changes).items()}
    if clear_description:
        if "description" in chosen:
            raise usage("--set-description and --clear-description exclude each other")
        chosen["description"] = None
    if not chosen:
        raise usage(
            "say what to change: --set-label, --set-description, --clear-description or --set-importance"
        )
    async with cli.opened():
        await cli.bulk("update", partial(cli.session.deployments.update, **chosen), **options)


@command.command()
@flag("--ignore-management-agent", "Do not wait for a management agent.")
@shared.bulk_options
@with_session
async def delete(cli: Invocation, ignore_management_agent: bool, options: dict[str, Any]) -> None:
    """Delete deployments. Their data stays until dr-mlops deleted erase."""
    call = partial(cli.session.deployments.delete, ignore_management_agent=ignore_management_agent or None)
    await cli.bulk("delete", call, **options)
