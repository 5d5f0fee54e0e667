"""Where settings come from: arguments, files and the environment, read in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._config._tokens import home_path
from datarobot_mlops_async._config._values import text
from datarobot_mlops_async.errors import ConfigError, Hint

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    Values = Mapping[str, Any]

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
    text("endpoint", given["endpoint"], source)
