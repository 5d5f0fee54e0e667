"""Where values of settings come from (arguments, files, the environment), and what is refused of them."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._config._places import home_path, normalize_endpoint
from datarobot_mlops_async._config._tokens import TokenFile, check_token
from datarobot_mlops_async.errors import ConfigError, Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Values = Mapping[str, Any]

Certificate = tuple[str, ...]
"""A client certificate's file, its key's file (where that is another) and the key's password (where it has one)."""
_TRUE, _FALSE = (
    frozenset({"true", "1", "yes", "on", "t", "y"}),
    frozenset({"false", "0", "no", "off", "f", "n"}),
)
DEFAULT_CONFIG_FILE = "~/.config/datarobot/drconfig.yaml"
_ENVIRONMENT = "the environment"
_VARIABLES = {
    "endpoint": "DATAROBOT_ENDPOINT",
    "token": "DATAROBOT_API_TOKEN",
    "token_file": "DATAROBOT_API_TOKEN_FILE",
    "ssl_verify": "DATAROBOT_SSL_VERIFY",
    "max_retries": "DATAROBOT_MAX_RETRIES",
}


def find_values(
    arguments: Values, config_file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """Return the values that count, each from the first source that has it, and where endpoint and token came from.

    Raises:
        ConfigError: Nothing, or half of what is needed, was found; or a file cannot be read.
    """
    read: dict[str, Values] = {}
    source = ""
    for name, values in _sources(arguments, config_file, environ):
        read[name] = values
        if not source and (values.get("endpoint") or values.get("token") or values.get("token_file")):
            source = name
            _check_complete(values, source)
        if source and name == _ENVIRONMENT:
            break
    if not source:
        raise ConfigError(f"no endpoint and token found in {', '.join(read)}", hint=Hint.GIVE_CREDENTIALS)
    own = [arguments, read[source]]
    return {
        **{name: read[source].get(name) for name in ("endpoint", "token", "token_file")},
        "token_type": _first("token_type", own),
        "ssl_verify": _first("ssl_verify", [*own, read.get(_ENVIRONMENT, {})]),
        "ssl_cert": _first("ssl_cert", own),
        "connect_timeout": _first("connect_timeout", read.values()),
        "max_retries": _first("max_retries", read.values()),
    }, source


def _sources(
    arguments: Values, config_file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> Iterator[tuple[str, Values]]:
    """Yield each source's name and values, the most binding first; a missing default file is skipped."""
    yield "arguments", arguments
    if config_file is not None:
        yield _read_file(Path(config_file))
    if environ.get("DATAROBOT_CONFIG_FILE"):
        yield _read_file(Path(environ["DATAROBOT_CONFIG_FILE"]), named_by="DATAROBOT_CONFIG_FILE")
    yield _ENVIRONMENT, {key: environ.get(name) or None for key, name in _VARIABLES.items()}
    default = home_path(DEFAULT_CONFIG_FILE)
    if default.is_file():
        yield _read_file(default)


def _read_file(path: Path, named_by: str = "") -> tuple[str, Values]:
    import yaml  # costs 15 ms, and most processes read no file

    path = home_path(path)
    name = f"{path}" + (f" ({named_by})" if named_by else "")
    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the configuration file {name} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError):
        # The parser's own message quotes the line, and the line may be the token's.
        raise ConfigError(f"the configuration file {name} is not valid YAML") from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"the configuration file {name} must hold keys and values such as endpoint and token"
        )
    return name, values


def _first(key: str, where: Iterable[Values]) -> Any:
    return next((values[key] for values in where if values.get(key) is not None), None)


def _check_complete(values: Values, source: str) -> None:
    given = {"endpoint": values.get("endpoint"), "token": values.get("token") or values.get("token_file")}
    for present, missing in (("endpoint", "token"), ("token", "endpoint")):
        if given[present] and not given[missing]:
            raise ConfigError(
                f"{source}: {present} is set but {missing} is not; both must come from one source, so that a "
                "token never travels to another source's endpoint",
                hint=Hint.GIVE_CREDENTIALS,
            )
    _text("endpoint", given["endpoint"], source)


def validated(found: Values, source: str) -> dict[str, Any]:
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


def _token(found: Values, source: str) -> dict[str, Any]:
    """Return the token, or its source, as `Settings` has it."""
    token = found["token"] or TokenFile(_text("token_file", found["token_file"], source))
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


def _text(key: str, value: object, source: str) -> str:
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
