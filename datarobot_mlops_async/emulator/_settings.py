"""What can be set on an emulator, before it starts and while it runs, and on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from attrs import Attribute, Factory, define, field
from attrs.validators import gt, instance_of, matches_re, optional

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path


def _not_negative(wording: str, *kinds: Any) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{attribute.name} must be {wording}, got {value!r}")
        if value is not None and not value >= 0:
            raise ValueError(f"{attribute.name} must not be negative, got {value!r}")

    return check


_COUNT = _not_negative("a whole number", int)
_COUNT_OR_NONE = _not_negative("a whole number or None", int, type(None))
_SECONDS = _not_negative("a number", int, float)
_TEXT = instance_of(str)


def _one_of(*allowed: object) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name} must be one of {allowed}, got {value!r}")

    return check


def _recent_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _aware(_instance: object, attribute: Attribute[Any], value: datetime) -> None:
    if value.tzinfo is None:
        raise ValueError(f"{attribute.name} must carry a time zone, got {value!r}")


def _setting(meaning: str, default: Any = None, check: Any = None, option: str = "", **more: Any) -> Any:
    """Declare a setting; `option` is what stands for its value on the command line, where it is an option."""
    return field(default=default, validator=check, metadata={"meaning": meaning, "option": option}, **more)


@define(kw_only=True, slots=False, eq=False)
class Settings:
    """The emulator's settings. Every one of them may be changed while it runs, unless it says otherwise."""

    deployments: int = _setting("How many deployments there are at the start (250). Fixed.", 250, _COUNT, "N")
    image_size: int | None = _setting(
        "Size of the image in bytes (64MiB), None for no image. Fixed, see replace_image.",
        *(64 * 2**20, _COUNT_OR_NONE, "SIZE"),
    )
    # It returns an attrs field, which ruff cannot see.
    image_file: str | Path | None = _setting("A file to serve as the image. Fixed.", option="FILE")  # noqa: RUF009
    seed: int = _setting(
        "What everything is drawn from: the same seed is the same fleet, but for the timestamps, which "
        "follow epoch, and the ids, which begin with one (0). Fixed.",
        *(0, None, "N"),
    )
    epoch: datetime = _setting(  # noqa: RUF009
        "The moment that timestamps of the fleet lead up to, by default now. Fixed.",
        *(Factory(_recent_minute), _aware),
    )
    host: str = _setting("Address to listen on (127.0.0.1). Fixed.", "127.0.0.1", _TEXT, "TEXT")
    port: int = _setting("Port of the API (any free one, of the command 8642). Fixed.", 0, _COUNT, "PORT")
    storage_port: int = _setting("Port of the object storage (any free one). Fixed.", 0, _COUNT, "PORT")
    path_prefix: str = _setting(
        "What stands before /api/v2, as on a server behind a gateway. Fixed.", "", _TEXT
    )
    tls: ssl.SSLContext | None = _setting("The servers' side of TLS, None for HTTP. Fixed.")  # noqa: RUF009
    token: str = _setting(
        "The API token that is accepted (emulator-token): setting another one revokes it.",
        *("emulator-token", _TEXT, "TEXT"),
        repr=False,
    )
    version: str = _setting("What version/ answers.", "2.49.0", matches_re(r"\d+(\.\d+)*"))
    latency: float = _setting("Time before every answer of the API (0).", 0.0, _SECONDS, "TIME")
    operation_seconds: float = _setting("How long operations take from now on (1s).", 1.0, _SECONDS, "TIME")
    drift_rate: float = _setting("Changes a second of the fleet by itself (0).", 0.0, _SECONDS, "RATE")
    deletion_lag: float = _setting("How long deleted deployments are still there (0).", 0.0, _SECONDS, "TIME")
    signature_seconds: float = _setting(
        "Life of a signed URL issued from now on (15m).", 900.0, _SECONDS, "TIME"
    )
    image_redirect: int | None = _setting(
        "Status with which the image's route points at the storage, None for the API serving it itself.",
        *(302, _one_of(None, 301, 302, 303, 307, 308)),
    )
    storage_rate: float | None = _setting(
        "Bytes a second that the storage sends on one connection (no limit).",
        *(None, optional(gt(0)), "SIZE"),
    )
    scoring_code_size: int = _setting("Size of a scoring-code archive in bytes, about.", 2**17, _COUNT)
    resource_bundles: bool = _setting("Whether the organization has resource bundles, 403 otherwise.", True)
    can_create: bool = _setting("Whether the user may create deployments, 403 otherwise.", True)
    can_erase: bool = _setting("Whether the user may see and erase deleted deployments, 403 otherwise.", True)
    max_deployments: int | None = _setting(
        "The organization's quota, 409 above it, None for no quota.", None, _COUNT_OR_NONE
    )
    dialect: Literal["page", "older", "newer"] = _setting(
        "Age of the server: like the page, older with fields missing, newer with more fields and values (page).",
        *("page", _one_of("page", "older", "newer"), "page|older|newer"),
    )
    faults: Sequence[str] = _setting("Fault rules in force from the start, see fault. Fixed.", ())
    log_limit: int = _setting("How many requests the log keeps. Fixed.", 100_000, gt(0))
    log_bytes: int = _setting(
        "How many bytes of bodies, paths and headers the log keeps, the last request always. Fixed.",
        *(64 * 2**20, gt(0)),
    )
