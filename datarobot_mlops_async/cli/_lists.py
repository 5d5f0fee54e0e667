"""``dr-mlops bundles``, ``custom-models`` and ``deleted``: what there is beside deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli import _messages as messages
from datarobot_mlops_async.cli._command import Group, flag, option, together, with_session
from datarobot_mlops_async.cli._exits import usage
from datarobot_mlops_async.cli._options import IDS, an_id, dry_run, ids, listing, showing, waiting, yes
from datarobot_mlops_async.models import ResourceBundleUseCase

if TYPE_CHECKING:
    from datarobot_mlops_async.cli._invocation import Invocation

bundles = Group("bundles", help="Resource bundles.")
listing(
    bundles,
    "list",
    "resource_bundles.list",
    option(
        "--use-case use_cases",
        "For this; repeatable.",
        multiple=True,
        metavar="NAME",
        enum=ResourceBundleUseCase,
    ),
    about="List the resource bundles that you may choose.",
)
showing(bundles, "get", "resource_bundles.get", an_id("bundle"), about="Show one resource bundle.")

custom_models = Group(
    "custom-models", help="Deployments of custom models; their logs are under dr-mlops logs."
)
listing(
    custom_models,
    "list",
    "custom_model_deployments.list",
    option("--custom-model-id custom_model_ids", "Of this custom model; repeatable.", **IDS),
    option("--environment-id environment_ids", "In this execution environment; repeatable.", **IDS),
    about="List deployments of custom models, newest first.",
)

deleted = Group("deleted", help="Deleted deployments: list them, erase them. On-premise only.")
listing(
    deleted, "list", "deleted_deployments.list", about="List deleted deployments whose data is still there."
)


def _named(*, ids: list[str] | None, everything: bool) -> list[str] | None:
    if (ids is not None) == everything:
        raise usage("name deleted deployments (or - for stdin), or say --all")
    return ids


@deleted.command()
@together("named", _named, ids("deleted deployment"), flag("--all everything", "Every deleted deployment."))
@yes
@dry_run
@waiting
@with_session
async def erase(
    cli: Invocation, *, named: list[str] | None, yes: bool, dry_run: bool, waiting: dict[str, Any]
) -> None:
    """Erase all data of deleted deployments, for good."""
    listed = cli.session.deleted_deployments
    chosen = [each.id for each in await listed.list().collect()] if named is None else named
    counted = messages.count(len(chosen), "deleted deployment")
    if not chosen:
        cli.terminal.say("nothing to erase")
    elif dry_run:
        for each in chosen:
            cli.terminal.write(messages.clean(each))
        cli.terminal.say(f"would erase {counted}")
    else:
        await cli.terminal.confirm(f"Erase all data of {counted}, for good?", yes=yes)
        await cli.finish(await listed.begin_erase(chosen), f"erasing {counted}", **waiting)
