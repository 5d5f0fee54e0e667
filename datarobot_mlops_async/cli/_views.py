"""How each kind of thing is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from datarobot_mlops_async.cli import _wording as wording
from datarobot_mlops_async.cli._rows import Column, View, field_text, style_of

if TYPE_CHECKING:
    from datarobot_mlops_async.models import Deployment, ModelHistory, ResourceBundle

# The shape says it too, for those who see no colours.
_HEALTH_SIGNS = {
    "passing": "✓",
    "warning": "!",
    "failing": "✗",
    "unknown": "?",
    "unavailable": "-",
    "notStarted": "·",
}


def health_signs(deployment: Deployment) -> Text:
    """Return service, model and accuracy health as three signs."""
    signs = Text()
    for health in (deployment.service_health, deployment.model_health, deployment.accuracy_health):
        status = str(getattr(health, "status", None) or "unknown")
        signs.append(_HEALTH_SIGNS.get(status, "?") + " ", style=style_of(status))
    signs.rstrip()
    return signs


def daily_predictions(deployment: Deployment) -> Text:
    """Return the average number of predictions a day."""
    rates = (deployment.prediction_usage and deployment.prediction_usage.daily_rates) or ()
    return Text(f"{sum(rates) / len(rates):,.0f}" if rates else "-")


def last_prediction(deployment: Deployment) -> object:
    """Return when the last prediction was made."""
    return deployment.prediction_usage and deployment.prediction_usage.last_timestamp


DEPLOYMENTS = View(
    "deployment",
    (
        Column("Id", "id"),
        Column("Label", "label", wide=True),
        Column("Status", "status"),
        Column("Health", health_signs),
        Column("Importance", "importance", from_width=100),
        Column("Predictions/day", daily_predictions, from_width=120, right=True),
        Column("Last prediction", last_prediction, from_width=100),
    ),
    (
        "id",
        "label",
        "status",
        "service_health.status",
        "model_health.status",
        "accuracy_health.status",
        "importance",
        "prediction_usage.last_timestamp",
    ),
)

DELETED = View(
    "deleted deployment",
    (Column("Id", "id"), Column("Label", "label", wide=True), Column("Deleted", "deleted_at")),
    ("id", "label", "deleted_at"),
)

CUSTOM_MODELS = View(
    "custom model deployment",
    (
        Column("Id", "id"),
        Column("Label", "label", wide=True),
        Column("Status", "status"),
        Column("Tests", "testing_status", from_width=90),
        Column("Environment", "execution_environment.name", from_width=130),
        Column("Deployed", "deployed"),
    ),
    (
        "id",
        "label",
        "status",
        "testing_status",
        "custom_model.name",
        "execution_environment.name",
        "deployed",
        "deployed_by",
    ),
)

FEATURES = View(
    "feature",
    (
        Column("Name", "name", wide=True),
        Column("Type", "feature_type"),
        Column("Importance", "importance", right=True),
        Column("Known in advance", "known_in_advance", from_width=100),
        Column("Date format", "date_format", from_width=100),
    ),
    ("name", "feature_type", "importance", "known_in_advance", "date_format"),
)


def _span(entry: ModelHistory) -> str:
    start, end = field_text(entry.start_date)[:10], field_text(entry.end_date)[:10]
    return f"{start or '?'} to {end or 'now'}"


HISTORY = View(
    "champion",
    (
        Column("Model package", "model_package.name", wide=True),
        Column("Champion", _span),
        Column("Replaced because", "replacement_reason"),
        Column("Package id", "model_package.id", from_width=110),
    ),
    ("model_package.id", "model_package.name", "start_date", "end_date", "replacement_reason"),
)

CAPABILITIES = View(
    "capability",
    (Column("Name", "name"), Column("Supported", "supported"), Column("Why", "messages", wide=True)),
    ("name", "supported", "messages"),
)


def _memory(bundle: ResourceBundle) -> str:
    return wording.size(bundle.memory_bytes or 0)


def _gpu(bundle: ResourceBundle) -> str | None:
    if not bundle.has_gpu:
        return None
    return f"{field_text(bundle.gpu_count) or '?'} x {field_text(bundle.gpu_maker) or 'GPU'}"


BUNDLES = View(
    "bundle",
    (
        Column("Id", "id"),
        Column("Name", "name"),
        Column("CPUs", "cpu_count", right=True),
        Column("Memory", _memory, right=True),
        Column("GPUs", _gpu),
        Column("Use cases", "use_cases", wide=True),
    ),
    ("id", "name", "cpu_count", "memory_bytes", "gpu_count", "gpu_maker", "use_cases"),
)

IMAGE = View("image", (), ("filename",))
