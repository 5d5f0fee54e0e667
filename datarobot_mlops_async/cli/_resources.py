"""The commands for all there is beside deployments and the image: other lists, files, operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async.cli import _options as shared
from datarobot_mlops_async.cli._command import Group, argument, flag, option, together, with_session
from datarobot_mlops_async.cli._messages import ExitCode, Failure, clean, count, usage
from datarobot_mlops_async.models import Deployment, ResourceBundleUseCase

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.cli._invocation import Invocation

bundles = Group("bundles", help="Resource bundles.")
shared.listing(
    bundles,
    "resource_bundles.list",
    "List the resource bundles that you may choose.",
    option(
        "--use-case use_cases",
        "For this; repeatable.",
        multiple=True,
        metavar="NAME",
        enum=ResourceBundleUseCase,
    ),
)
shared.showing(bundles, "resource_bundles.get", "Show one resource bundle.", shared.an_id("bundle"))

custom_models = Group(
    "custom-models", help="Deployments of custom models; their logs are under dr-mlops logs."
)
shared.listing(
    custom_models,
    "custom_model_deployments.list",
    "List deployments of custom models, newest first.",
    option("--custom-model-id custom_model_ids", "Of this custom model; repeatable.", **shared.IDS),
    option("--environment-id environment_ids", "In this execution environment; repeatable.", **shared.IDS),
)

deleted = Group("deleted", help="Deleted deployments: list them, erase them. On-premise only.")
shared.listing(deleted, "deleted_deployments.list", "List deleted deployments whose data is still there.")


@deleted.command()
@shared.ids("deleted deployment")
@flag("--all everything", "Every deleted deployment.")
@shared.yes
@shared.dry_run
@shared.waiting
@with_session(opened=False)
async def erase(
    cli: Invocation,
    *,
    ids: list[str] | None,
    everything: bool,
    yes: bool,
    dry_run: bool,
    waiting: dict[str, Any],
) -> None:
    """Erase all data of deleted deployments, for good."""
    if (ids is not None) == everything:
        raise usage("name deleted deployments (or - for stdin), or say --all")
    async with cli.opened():
        listed = cli.session.deleted_deployments
        chosen = [each.id for each in await listed.list().collect()] if ids is None else ids
        counted = count(len(chosen), "deleted deployment")
        if not chosen:
            cli.terminal.say("nothing to erase")
        elif dry_run:
            for each in chosen:
                cli.terminal.write(clean(each))
            cli.terminal.say(f"would erase {counted}")
        else:
            await cli.terminal.confirm(f"Erase all data of {counted}, for good?", yes=yes)
            await cli.finish(await listed.begin_erase(chosen), f"erasing {counted}", **waiting)


logs = Group("logs", help="Logs of custom model deployments.")
_where = together(
    "where",
    shared.given,
    shared.destination(default=shared.STDOUT),
    flag("--overwrite", "Replace another file there."),
)


@logs.command()
@shared.deployment_id
@_where
@with_session
async def deployment(cli: Invocation, deployment_id: str, where: dict[str, Any]) -> None:
    """Show the log of a custom model's deployment."""
    await cli.deliver_log(cli.session.custom_model_deployments.deployment_log(deployment_id), **where)


@logs.command()
@shared.deployment_id
@_where
@option("--log-id", "One that was asked for before, instead of a new one.", metavar="ID")
@shared.patience
@with_session
async def prediction(
    cli: Invocation, deployment_id: str, where: dict[str, Any], log_id: str | None, patience: float
) -> None:
    """Ask for the log of a custom model's predictions, wait for it and show it."""
    resource = cli.session.custom_model_deployments
    if log_id is not None:
        log = resource.prediction_log(deployment_id, log_id)
    else:
        operation = await resource.begin_prediction_log(deployment_id)
        log = await cli.follow(operation, "collecting the log", patience)
    await cli.deliver_log(log, **where)


scoring_code = Group("scoring-code", help="Models as JARs, for predictions outside of a prediction server.")


@scoring_code.command()
@shared.deployment_id
@shared.destination(default="./")
@flag("--source-code", "The source archive instead of the executable JAR.")
@flag("--include-agent", "With the tracking agent.")
@flag("--include-prediction-explanations", "With prediction explanations.")
@flag("--include-prediction-intervals", "With prediction intervals.")
@option("--build/--no-build", "Build first, or not; by default where an extra needs it.", default=None)
@flag("--all everything", "Of every deployment you can see, into a directory.")
@shared.artifact_options
@shared.deployment_filters
@with_session
async def download(
    cli: Invocation,
    deployment_id: str,
    destination: str,
    *,
    everything: bool,
    filters: dict[str, Any],
    build: bool | None,
    how: dict[str, Any],
    **which: bool,
) -> None:
    """Download the JAR of a deployment's current model. Extras are built by the server first, which takes time.

    With a filter (or --all) the one argument is a directory, and the JARs of all deployments that are found go
    there as DIR/ID.jar, --max-connections at a time: dr-mlops scoring-code download --search churn DIR/. What is
    there is left alone, so the same command goes on after an interruption.
    """
    wanted = {name: value or None for name, value in which.items()}

    async def artifact_of(deployment_id: str) -> Artifact:
        return await cli.session.deployments.scoring_code(deployment_id, build=build, **wanted)

    if not (everything or filters):
        with cli.terminal.busy("asking for the JAR; with extras the server builds it first"):
            artifact = await artifact_of(deployment_id)
        await cli.download(artifact, destination, **how)
        return
    if destination != "./":
        raise usage("with a filter there is one argument, the directory")
    if "mirrors" in how:
        raise usage("--mirror is for one file: with a filter there are many")
    # Not at the top: only this needs it.
    from datarobot_mlops_async.cli._bulk import download_many

    with cli.terminal.busy("looking for deployments"):
        found = await cli.session.deployments.list(**filters).collect()
    suffix = "-source.jar" if which["source_code"] else ".jar"
    await download_many(cli, [each.id for each in found], Path(deployment_id), suffix, artifact_of, **how)


operations = Group("operations", help="Long-running operations, by their location.")
_location = argument("location", "As --no-wait or an interrupted command told it.", metavar="LOCATION")


@operations.command()
@_location
@shared.as_json
@with_session
async def status(cli: Invocation, location: str, as_json: bool) -> None:
    """Ask once how an operation is."""
    found = await cli.session.operation(location).status()
    if as_json:
        cli.show(found, as_json=True)
    else:
        words = (clean(each or "") for each in (found.state.value, found.status, found.message))
        cli.terminal.write("\t".join(filter(None, words)))
    if found.state.value == "failed":
        raise Failure("", ExitCode.OPERATION)


@operations.command("wait")
@_location
@option("--download", "Where the result goes if it is a file: a file, a directory, or -.", metavar="DEST")
@shared.download_options
@shared.patience
@shared.as_json
@with_session
async def wait_(
    cli: Invocation,
    location: str,
    download: str | None,
    *,
    as_json: bool,
    patience: float,
    how: dict[str, Any],
) -> None:
    """Wait for an operation, also one that another process began, and show its result."""
    result = await cli.follow(cli.session.operation(location), "waiting for the operation", patience)
    if isinstance(result, Deployment):
        cli.show(result, as_json=as_json)
    elif result is not None and download is None:
        cli.terminal.say("its result is a file: the same command with --download DEST gets it")
    elif result is not None and download is not None:
        await cli.download(result, download, **how)


reports = Group("reports", help="Scheduled reports of deployments.")


@reports.command()
@shared.deployment_id
@argument("report_id", "The scheduled report's id.", metavar="REPORT")
@shared.waiting
@with_session
async def run(cli: Invocation, deployment_id: str, report_id: str, waiting: dict[str, Any]) -> None:
    """Run a scheduled report of a deployment now."""
    operation = await cli.session.deployments.begin_report(deployment_id, report_id)
    await cli.finish(operation, "running the report", **waiting)
