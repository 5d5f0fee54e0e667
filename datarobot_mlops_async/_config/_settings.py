"""A session's settings: where their values come from (arguments, files, the environment), and what is refused."""

from __future__ import annotations

import os
import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, field, fields, frozen

from datarobot_mlops_async._config._places import (
    check_proxy,
    home_path,
    is_loopback,
    normalize_endpoint,
    origin_of,
)
from datarobot_mlops_async._config._tokens import TokenFile, check_token
from datarobot_mlops_async.errors import ConfigError, Hint, InsecureConnectionWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from datarobot_mlops_async._config._tokens import TokenSource

    Values = Mapping[str, Any]

Certificate = tuple[str, ...]
"""A client certificate's file, its key's file (where that is another) and the key's password (where it has one)."""
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})
DEFAULT_CONFIG_FILE = "~/.config/datarobot/drconfig.yaml"
_ENVIRONMENT = "the environment"
_VARIABLES = {
    "endpoint": "DATAROBOT_ENDPOINT",
    "token": "DATAROBOT_API_TOKEN",
    "token_file": "DATAROBOT_API_TOKEN_FILE",
    "ssl_verify": "DATAROBOT_SSL_VERIFY",
    "max_retries": "DATAROBOT_MAX_RETRIES",
}
_NUMBERS: Mapping[str, tuple[Callable[[Any], float], float, float]] = {
    "connect_timeout": (float, 0.001, 86_400),
    "max_retries": (int, 0, 1000),
}


@frozen(kw_only=True)
class Settings:
    """Where the service is, who asks, and how to connect.

    Picklable, and without its token unless `with_token_pickled` was called: a worker process that
    unpickles settings reads the token from its own environment or configuration file.

    Attributes:
        endpoint: Base URL, ending in ``/api/v2``.
        token: API token; ``None`` after unpickling, and where tokens change.
        token_source: What returns the token where it changes: a callable, a `TokenFile`, a `TokenCommand`.
        token_type: Scheme of the ``Authorization`` header, ``Bearer`` or ``Token``.
        verify: ``True`` for the system's trusted authorities, ``False`` for no check, the path of a CA file or
            directory, or a TLS context.
        cert: Files (and the key's password) of the client certificate; ``None`` for none.
        proxy: Proxy URL; ``None`` to follow ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``.
        connect_timeout: Seconds to wait for a connection.
        max_retries: Retries of a request after its first attempt; ``None`` for the retry policy's own.
        source: Where endpoint and token came from, for messages.
    """

    endpoint: str
    token: str | None = field(repr=False, default=None)
    token_source: TokenSource | None = field(repr=False, default=None, eq=False)
    token_type: str = "Bearer"  # noqa: S105 - a scheme's name
    verify: bool | str | ssl.SSLContext = True
    cert: Certificate | None = field(repr=False, default=None)
    proxy: str | None = field(repr=False, default=None)
    connect_timeout: float = 10.0
    max_retries: int | None = None
    source: str = "arguments"
    _pickle_token: bool = field(repr=False, eq=False, default=False)
    _withheld: tuple[str, ...] = field(repr=False, eq=False, default=())

    @classmethod
    def load(
        cls,
        endpoint: str | None = None,
        token: str | TokenSource | None = None,
        *,
        token_type: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext | None = None,
        cert: str | os.PathLike[str] | tuple[str, ...] | None = None,
        proxy: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the settings from the first source that has them.

        The order is: arguments, ``config_file``, the file named by ``DATAROBOT_CONFIG_FILE``, the
        environment (``DATAROBOT_ENDPOINT``, ``DATAROBOT_API_TOKEN`` or ``DATAROBOT_API_TOKEN_FILE``,
        ``DATAROBOT_SSL_VERIFY``, ``DATAROBOT_MAX_RETRIES``), ``~/.config/datarobot/drconfig.yaml``.
        Endpoint and token (or ``token_file``) come from ONE source, so that a token never travels to another
        source's endpoint. The default file is read only when nothing before it named an endpoint, and a file's
        ``ssl_verify`` and ``ssl_cert`` count only for that file's endpoint.

        Raises:
            ConfigError: Nothing, or half of what is needed, was found; or a value is unsafe.
        """
        arguments = {
            "endpoint": endpoint,
            "token": token,
            "token_type": token_type,
            "ssl_verify": os.fspath(verify) if isinstance(verify, os.PathLike) else verify,
            "ssl_cert": cert,
        }
        return cls(
            **_find(arguments, config_file, os.environ if environ is None else environ),
            proxy=None if proxy is None else check_proxy(proxy, "proxy="),
        )

    @property
    def authorization(self) -> str:
        """The ``Authorization`` header's value."""
        return f"{self.token_type} {self.token}"

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """The endpoint's origin: scheme, host and port. The token goes nowhere else."""
        return origin_of(self.endpoint)

    def with_token_pickled(self) -> Self:
        """Return settings that keep their token when they are pickled."""
        return evolve(self, pickle_token=True)

    def with_token(self) -> Self:
        """Return settings that have a token: their own, or after unpickling this process's.

        Raises:
            ConfigError: This process has no token for the same endpoint.
        """
        if self.token is not None or self.token_source is not None:
            return self
        if self._withheld:
            raise ConfigError(
                f"the settings came without the password of their {' and '.join(self._withheld)}: pickle "
                "settings.with_token_pickled(), or make the session with arguments of its own in the worker"
            )
        local = type(self).load()
        if local.endpoint != self.endpoint:
            raise ConfigError(
                f"the settings are for {self.endpoint} and came without a token, but {local.source} here is "
                f"for {local.endpoint}: set DATAROBOT_ENDPOINT and DATAROBOT_API_TOKEN in the worker to the "
                "same service"
            )
        return evolve(
            self,
            token=local.token,
            token_source=local.token_source,
            token_type=local.token_type,
            source=local.source,
        )

    def warn_if_insecure(self) -> None:
        """Warn when the token would cross a network unencrypted."""
        scheme, host, _ = self.origin
        if scheme == "http" and not is_loopback(host):
            warnings.warn(
                f"the endpoint {self.endpoint} is plain http: the API token is sent unencrypted",
                InsecureConnectionWarning,
                stacklevel=3,
            )

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.verify, ssl.SSLContext):
            raise TypeError(
                "settings whose verify is a TLS context cannot be pickled: name a CA file instead"
            )
        state = {each.name: getattr(self, each.name) for each in fields(Settings)}
        if not self._pickle_token:
            proxy, cert = urlsplit(self.proxy or ""), self.cert or ()
            secret = {"proxy": "@" in proxy.netloc, "cert": len(cert) > 2}
            bare = urlunsplit(proxy._replace(netloc=proxy.netloc.rpartition("@")[2])) or None
            state |= {"token": None, "token_source": None, "proxy": bare, "cert": cert[:2] or None}
            state["_withheld"] = tuple(name for name, is_secret in secret.items() if is_secret)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def _find(
    arguments: Values, config_file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return what `Settings` is made of: each value from the first source that has it, checked.

    Raises:
        ConfigError: Nothing, or half of what is needed, was found; a file cannot be read; or a value is unsafe.
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
    found, own = read[source], (arguments, read[source])
    verify = _first("ssl_verify", (*own, read.get(_ENVIRONMENT, {})))
    endpoint = normalize_endpoint(found["endpoint"], source)
    token = found.get("token") or TokenFile(_text("token_file", found["token_file"], source))
    return {
        "endpoint": endpoint,
        **({"token_source": token} if callable(token) else {"token": check_token(token, source)}),
        "token_type": check_token(_first("token_type", own) or "Bearer", source, "token_type"),
        "verify": True if verify is None else _verify(verify),
        "cert": _certificate(_first("ssl_cert", own), verify),
        **{key: _number(key, value) for key in _NUMBERS if (value := _first(key, read.values())) is not None},
        "source": source,
    }


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


def _number(key: str, value: object) -> float:
    """Return a number that is written as one; ``true``, lists and, for a count, ``2.9`` are none."""
    convert, lowest, highest = _NUMBERS[key]
    with suppress(ValueError, OverflowError):
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            number = convert(value)
            if convert is float or isinstance(value, str) or number == value:
                if lowest <= number <= highest:
                    return number
                raise ConfigError(f"{key} must be at least {lowest} and at most {highest}, not {value!r}")
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
