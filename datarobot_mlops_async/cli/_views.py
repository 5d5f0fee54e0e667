"""How each kind of thing is printed: as a table's columns for people, as fields for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from attrs import evolve, frozen
from rich.text import Text

from datarobot_mlops_async import models
from datarobot_mlops_async.cli._messages import size
from datarobot_mlops_async.cli._printing import field_text, names_of, style_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datarobot_mlops_async.models import Deployment, ModelHistory, Record, ResourceBundle


@frozen(eq=False)
class Column:
    """One column of a table for people.

    Attributes:
        heading: What stands above it.
        value: A dotted attribute path such as ``model.type``, or a function of the row's thing.
        wide: Whether it takes the room that the others leave, and is cut to it.
        from_width: The narrowest terminal that still shows it, in characters.
        right: Whether it is aligned to the right, as numbers are.
        legend: What its signs mean.
    """

    heading: str
    value: str | Callable[[Any], object]
    wide: bool = False
    from_width: int = 0
    right: bool = False
    legend: Text | None = None


@frozen
class View:
    """How one kind of thing is printed; as fields like its columns, unless told otherwise."""

    noun: str
    record: type[Record]
    columns: tuple[Column, ...]
    told: str = ""

    @property
    def fields(self) -> list[str]:
        return self.told.split() or [each.value for each in self.columns if isinstance(each.value, str)]

    def choose(self, paths: Sequence[str]) -> View:
        """Return the view with just these fields, for people and programs alike."""
        columns = tuple(Column(path, path, wide=path in {"label", "description"}) for path in paths)
        return evolve(self, columns=columns, told="") if paths else self


def paths_of(record: type[Record], prefix: str = "") -> Iterator[str]:
    types = get_type_hints(record)
    for name in names_of(record):
        yield prefix + name
        for each in (types[name], *get_args(types[name])):
            if isinstance(each, type) and issubclass(each, models.Record):
                yield from paths_of(each, f"{prefix}{name}.")


# The shape says it too, for those who see no colours.
_SIGNS = {
    "passing": "✓",
    "warning": "!",
    "failing": "✗",
    "unknown": "?",
    "unavailable": "-",
    "notStarted": "·",
}
HEALTH_LEGEND = Text("health: service, model, accuracy\n", style="dim").append_tokens(
    part
    for status, sign in _SIGNS.items()
    for part in ((sign, style_of(status)), (f" {status.replace('notS', 'not s')}  ", "dim"))
)


def health_signs(deployment: Deployment) -> Text:
    healths = (deployment.service_health, deployment.model_health, deployment.accuracy_health)
    statuses = [str(getattr(health, "status", None) or "unknown") for health in healths]
    return Text(" ").join(Text(_SIGNS.get(status, "?"), style_of(status)) for status in statuses)


def daily_predictions(deployment: Deployment) -> str:
    rates = (deployment.prediction_usage and deployment.prediction_usage.daily_rates) or ()
    return f"{sum(rates) / len(rates):,.0f}" if rates else "-"


def _span(entry: ModelHistory) -> str:
    start, end = field_text(entry.start_date)[:10], field_text(entry.end_date)[:10]
    return f"{start or '?'} to {end or 'now'}"


def _gpu(bundle: ResourceBundle) -> str | None:
    if not bundle.has_gpu:
        return None
    return f"{field_text(bundle.gpu_count) or '?'} x {field_text(bundle.gpu_maker) or 'GPU'}"


VIEWS = {
    "deployments.list": View(
        "deployment",
        models.Deployment,
        (
            Column("Id", "id"),
            Column("Label", "label", wide=True),
            Column("Status", "status"),
            Column("Health", health_signs, legend=HEALTH_LEGEND),
            Column("Importance", "importance", from_width=100),
            Column("Predictions/day", daily_predictions, from_width=120, right=True),
            Column("Last prediction", "prediction_usage.last_timestamp", from_width=100),
        ),
        "id label status service_health.status model_health.status accuracy_health.status importance "
        "prediction_usage.last_timestamp",
    ),
    "deployments.features": View(
        "feature",
        models.Feature,
        (
            Column("Name", "name", wide=True),
            Column("Type", "feature_type"),
            Column("Importance", "importance", right=True),
            Column("Known in advance", "known_in_advance", from_width=100),
            Column("Date format", "date_format", from_width=100),
        ),
    ),
    "deployments.model_history": View(
        "champion",
        models.ModelHistory,
        (
            Column("Model package", "model_package.name", wide=True),
            Column("Champion", _span),
            Column("Replaced because", "replacement_reason"),
            Column("Package id", "model_package.id", from_width=110),
        ),
        "model_package.id model_package.name start_date end_date replacement_reason",
    ),
    "deployments.capabilities": View(
        "capability",
        models.DeploymentCapability,
        (Column("Name", "name"), Column("Supported", "supported"), Column("Why", "messages", wide=True)),
    ),
    "deleted_deployments.list": View(
        "deleted deployment",
        models.DeletedDeployment,
        (Column("Id", "id"), Column("Label", "label", wide=True), Column("Deleted", "deleted_at")),
    ),
    "custom_model_deployments.list": View(
        "custom model deployment",
        models.CustomModelDeployment,
        (
            Column("Id", "id"),
            Column("Label", "label", wide=True),
            Column("Status", "status"),
            Column("Tests", "testing_status", from_width=90),
            Column("Environment", "execution_environment.name", from_width=130),
            Column("Deployed", "deployed"),
        ),
        "id label status testing_status custom_model.name execution_environment.name deployed deployed_by",
    ),
    "resource_bundles.list": View(
        "bundle",
        models.ResourceBundle,
        (
            Column("Id", "id"),
            Column("Name", "name"),
            Column("CPUs", "cpu_count", right=True),
            Column("Memory", lambda bundle: size(bundle.memory_bytes or 0), right=True),
            Column("GPUs", _gpu),
            Column("Use cases", "use_cases", wide=True),
        ),
        "id name cpu_count memory_bytes gpu_count gpu_maker use_cases",
    ),
}
"""By the methods that return them, as their paths from a session."""
