"""What can be set on an emulator, before it starts and while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from attrs import Attribute, define, field
from attrs.validators import gt, in_, instance_of, matches_re, optional

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path

_REDIRECTS = (None, 301, 302, 303, 307, 308)


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


def _recent_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _redirect(_instance: object, attribute: Attribute[Any], value: Any) -> None:
    if value not in _REDIRECTS:
        raise ValueError(f"{attribute.name} must be one of {_REDIRECTS}, got {value!r}")


def _aware(_instance: object, attribute: Attribute[Any], value: datetime) -> None:
    if value.tzinfo is None:
        raise ValueError(f"{attribute.name} must carry a time zone, got {value!r}")


@define(kw_only=True, slots=False, eq=False)
class Settings:
    """The emulator's settings. Every one of them may be changed while it runs, unless it says otherwise.

    Attributes:
        deployments: How many deployments the fleet has at the start. Fixed.
        image_size: Size of the portable prediction server image in bytes; `None`: there is no image.
            Fixed: see `Emulator.replace_image`.
        image_file: A file that is the image, in the place of one that is drawn. Fixed.
        seed: Everything that is drawn is drawn from it: the same seed is the same fleet, but for the
            timestamps, which follow `epoch`, and the ids, which begin with one. Fixed.
        epoch: The moment that timestamps of the fleet lead up to; default: now. Fixed.
        host: Address to listen on. Fixed.
        port: Port of the API; 0: any free one. Fixed.
        storage_port: Port of the object storage; 0: any free one. Fixed.
        path_prefix: What stands before `/api/v2`, as on a server behind a gateway. Fixed.
        tls: The servers' side of TLS, on both ports; `None`: plain HTTP. Fixed.
        token: The API token that is accepted: setting another one revokes it.
        version: What `version/` answers.
        latency: Seconds before every answer of the API.
        operation_seconds: How long an operation that starts now will take.
        drift_rate: How many changes a second the fleet goes through by itself; see `Emulator.drift`.
        deletion_lag: Seconds for which a deleted deployment is still there.
        signature_seconds: How long a signed URL that is issued now will be valid.
        image_redirect: Status with which the image's route points at the storage; `None`: the API
            serves the image itself.
        storage_rate: Bytes a second that the storage sends on one connection; `None`: all it can.
        scoring_code_size: Size of a scoring-code archive in bytes, approximately.
        resource_bundles: Whether the organization has resource bundles (403 otherwise).
        can_create: Whether the user may create deployments (403 otherwise).
        can_erase: Whether the user may see and erase deleted deployments (403 otherwise).
        max_deployments: The organization's quota (409 above it); `None`: no quota.
        dialect: `"page"` answers what the published page says; `"older"` leaves out fields that servers
            on customers' machines do not have; `"newer"` adds fields and enum values unknown to the page.
        faults: Rules in force from the start; see `Emulator.fault`. Fixed.
        log_limit: How many requests the log keeps. Fixed.
        log_bytes: How many bytes of requests, heads and bodies, the log keeps; the last one always. Fixed.
    """

    deployments: int = field(default=250, validator=_COUNT)
    image_size: int | None = field(default=64 * 2**20, validator=_COUNT_OR_NONE)
    image_file: str | Path | None = None
    seed: int = 0
    epoch: datetime = field(factory=_recent_minute, validator=_aware)
    host: str = field(default="127.0.0.1", validator=_TEXT)
    port: int = field(default=0, validator=_COUNT)
    storage_port: int = field(default=0, validator=_COUNT)
    path_prefix: str = field(default="", validator=_TEXT)
    tls: ssl.SSLContext | None = None
    token: str = field(default="emulator-token", repr=False, validator=_TEXT)
    version: str = field(default="2.49.0", validator=matches_re(r"\d+(\.\d+)*"))
    latency: float = field(default=0.0, validator=_SECONDS)
    operation_seconds: float = field(default=1.0, validator=_SECONDS)
    drift_rate: float = field(default=0.0, validator=_SECONDS)
    deletion_lag: float = field(default=0.0, validator=_SECONDS)
    signature_seconds: float = field(default=900.0, validator=_SECONDS)
    image_redirect: int | None = field(default=302, validator=_redirect)
    storage_rate: float | None = field(default=None, validator=optional(gt(0)))
    scoring_code_size: int = field(default=128 * 2**10, validator=_COUNT)
    resource_bundles: bool = True
    can_create: bool = True
    can_erase: bool = True
    max_deployments: int | None = field(default=None, validator=_COUNT_OR_NONE)
    dialect: Literal["page", "older", "newer"] = field(
        default="page", validator=in_(("page", "older", "newer"))
    )
    faults: Sequence[str] = ()
    log_limit: int = field(default=100_000, validator=gt(0))
    log_bytes: int = field(default=64 * 2**20, validator=gt(0))
