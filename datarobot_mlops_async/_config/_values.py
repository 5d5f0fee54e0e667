"""Values of settings, checked: what is no text, number, file or certificate is refused here."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._config._tokens import TokenFile, check_token, home_path
from datarobot_mlops_async._config._urls import normalize_endpoint
from datarobot_mlops_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Certificate = tuple[str, ...]
"""A client certificate's file, its key's file (where that is another) and the key's password (where it has one)."""
_TRUE, _FALSE = (
    frozenset({"true", "1", "yes", "on", "t", "y"}),
    frozenset({"false", "0", "no", "off", "f", "n"}),
)


def validated(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what was found as `Settings` has it.

    Raises:
        ConfigError: A value is none, or unsafe.
    """
    verify = found["ssl_verify"]
    values: dict[str, Any] = {
        "endpoint": normalize_endpoint(found["endpoint"], source),
        **_token(found, source),
        "token_type": check_token(found["token_type"] or "Bearer", source, "token_type"),
        "verify": True if verify is None else _verify(verify),
        "cert": _certificate(found["ssl_cert"], verify),
    }
    for key, convert, lowest, highest in (
        ("connect_timeout", float, 0.001, 86_400),
        ("max_retries", int, 0, 1000),
    ):
        if found[key] is not None:
            values[key] = _number(key, found[key], convert)
            if not lowest <= values[key] <= highest:
                raise ConfigError(
                    f"{key} must be at least {lowest} and at most {highest}, not {found[key]!r}"
                )
    return values


def _token(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the token, or its source, as `Settings` has it."""
    token = found["token"] or TokenFile(text("token_file", found["token_file"], source))
    return {"token_source": token} if callable(token) else {"token": check_token(token, source)}


def _number(key: str, value: object, convert: Callable[[Any], float]) -> float:
    """Return a number that is written as one; ``true``, lists and, for a count, ``2.9`` are none."""
    with suppress(ValueError, OverflowError):
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            number = convert(value)
            if convert is float or isinstance(value, str) or number == value:
                return number
    kind = "a whole number" if convert is int else "a number"
    raise ConfigError(f"{key} must be {kind}, not {str(value)[:50]!r}")


def text(key: str, value: object, source: str) -> str:
    """Return a value that is a string."""
    if not isinstance(value, str):
        raise ConfigError(f"{source}: {key} must be a string, not {type(value).__name__}")
    return value


def _certificate(value: Any, verify: object) -> Certificate | None:
    if value is None:
        return None
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not 1 <= len(parts) <= 3 or not all(isinstance(each, (str, os.PathLike)) for each in parts):
        raise ConfigError(
            "the client certificate must be a file, or a list of its file, its key's file and the key's password"
        )
    if isinstance(verify, ssl.SSLContext):
        raise ConfigError("a TLS context brings its own client certificate: load it there")
    files, password = parts[:2], parts[2:]
    return (*(str(home_path(each)) for each in files), *map(str, password))


def _verify(value: Any) -> bool | str | ssl.SSLContext:
    if isinstance(value, (bool, ssl.SSLContext)):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"ssl_verify must be true, false or the path of a CA file, not {value!r}")
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    path = home_path(value)
    try:
        path.stat()
    except FileNotFoundError:
        raise ConfigError(f"the CA file {path} is not there") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can be named so"
        raise ConfigError(f"the CA file {value[:200]!r} cannot be read: {reason}") from error
    return str(path)
