"""Settings: validated, frozen, and read from every source that DataRobot users already have."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, field, fields, frozen

from datarobot_mlops_async._tokens import TokenFile, TokenSource, check_token
from datarobot_mlops_async.errors import ConfigError, Hint, InsecureConnectionWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    _Values = Mapping[str, Any]

Certificate = tuple[str, ...]
"""A client certificate's file, its key's file (where that is another) and the key's password (where it has one)."""
DEFAULT_CONFIG_FILE = "~/.config/datarobot/drconfig.yaml"
API_ROOT = "/api/v2"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRUE, _FALSE = (
    frozenset({"true", "1", "yes", "on", "t", "y"}),
    frozenset({"false", "0", "no", "off", "f", "n"}),
)
_PROXY_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_HOST = 253
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f]")
_ENVIRONMENT = "the environment"


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return an absolute URL's origin: scheme, host and port, the scheme's default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def ascii_host(host: str) -> str | None:
    """Return a host as it goes over the wire, in ASCII; ``None`` when no host can have that name."""
    if ":" in host:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return None
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = name.removesuffix(".").split(".")
    return name if len(name) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels)) else None


def check_proxy(proxy: str, source: str) -> str:
    """Return a proxy's URL as it is.

    Raises:
        ConfigError: It is none. The value is never echoed: an unquoted ``/`` or ``#`` in a password makes the
            password look like a port or a path.
    """
    with suppress(ValueError):
        parts = urlsplit(proxy)
        host = ascii_host(parts.hostname or "")
        more = parts.path.strip("/") or parts.query or parts.fragment or _UNSAFE.search(proxy)
        if host and parts.port != 0 and parts.scheme in _PROXY_SCHEMES and not more:
            return proxy
    raise ConfigError(
        f"the proxy from {source} is not the URL of an http, https or socks5 proxy; write special characters in "
        "its password as %XX (its value is not shown)"
    )


def normalize_endpoint(endpoint: str, source: str) -> str:
    """Return the endpoint ending in ``/api/v2``, a path prefix kept, without a trailing slash.

    Accepted are the forms people paste: with and without the suffix, with and without a slash.
    The value is never echoed, because a pasted URL can hold credentials.
    """
    try:
        parts = urlsplit(endpoint.strip())
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        raise ConfigError(f"the endpoint from {source} is not a valid URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError(
            f"the endpoint from {source} is not an http(s) URL: write it whole, "
            "for example https://app.datarobot.com"
        )
    if (
        parts.username is not None
        or parts.query
        or parts.fragment
        or re.search(r"[\s\x00-\x1f\x7f]", endpoint.strip())
    ):
        raise ConfigError(
            f"the endpoint from {source} holds more than scheme, host, port and path: remove user names, "
            "query, fragment and blanks"
        )
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        netloc = f"{netloc}:{port}"
    path = parts.path.rstrip("/").removesuffix(API_ROOT).rstrip("/")
    return urlunsplit((parts.scheme, netloc, path + API_ROOT, "", ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


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
        read: dict[str, _Values] = {}
        source = ""
        for name, values in _sources(arguments, config_file, os.environ if environ is None else environ):
            read[name] = values
            if not source and (values.get("endpoint") or values.get("token") or values.get("token_file")):
                source = name
                _check_complete(values, source)
            if source and name == _ENVIRONMENT:
                break
        if not source:
            raise ConfigError(f"no endpoint and token found in {', '.join(read)}", hint=Hint.GIVE_CREDENTIALS)
        own = [arguments, read[source]]
        found = {
            "endpoint": read[source]["endpoint"],
            "token_type": _first("token_type", own),
            "ssl_verify": _first("ssl_verify", [*own, read.get(_ENVIRONMENT, {})]),
            "ssl_cert": _first("ssl_cert", own),
            "connect_timeout": _first("connect_timeout", read.values()),
            "max_retries": _first("max_retries", read.values()),
        }
        return cls(
            **_token(read[source], source),
            **_validated(found, source),
            proxy=None if proxy is None else check_proxy(proxy, "proxy="),
            source=source,
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
        if scheme == "http" and not _is_loopback(host):
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


def _sources(
    arguments: dict[str, Any], config_file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each source's name and values, the most binding first; a missing default file is skipped."""
    yield "arguments", arguments
    if config_file is not None:
        yield _read_file(Path(config_file))
    if environ.get("DATAROBOT_CONFIG_FILE"):
        yield _read_file(Path(environ["DATAROBOT_CONFIG_FILE"]), named_by="DATAROBOT_CONFIG_FILE")
    yield (
        _ENVIRONMENT,
        {
            "endpoint": environ.get("DATAROBOT_ENDPOINT") or None,
            "token": environ.get("DATAROBOT_API_TOKEN") or None,
            "token_file": environ.get("DATAROBOT_API_TOKEN_FILE") or None,
            "ssl_verify": environ.get("DATAROBOT_SSL_VERIFY") or None,
            "max_retries": environ.get("DATAROBOT_MAX_RETRIES") or None,
        },
    )
    default = Path(DEFAULT_CONFIG_FILE).expanduser()
    if default.is_file():
        yield _read_file(default)


def _read_file(path: Path, named_by: str = "") -> tuple[str, dict[str, Any]]:
    import yaml  # costs 15 ms, and most processes read no file

    path = path.expanduser()
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
    known = (
        "endpoint",
        "token",
        "token_file",
        "token_type",
        "connect_timeout",
        "ssl_verify",
        "ssl_cert",
        "max_retries",
    )
    return name, {key: values.get(key) for key in known}


def _first(key: str, where: Iterable[_Values]) -> Any:
    return next((values[key] for values in where if values.get(key) is not None), None)


def _check_complete(values: _Values, source: str) -> None:
    given = {"endpoint": values.get("endpoint"), "token": values.get("token") or values.get("token_file")}
    for present, missing in (("endpoint", "token"), ("token", "endpoint")):
        if given[present] and not given[missing]:
            raise ConfigError(
                f"{source}: {present} is set but {missing} is not; both must come from one source, so that a "
                "token never travels to another source's endpoint",
                hint=Hint.GIVE_CREDENTIALS,
            )
    _text("endpoint", given["endpoint"], source)


def _token(values: _Values, source: str) -> dict[str, Any]:
    """Return the token, or its source, as `Settings` has them."""
    token = values["token"] or TokenFile(_text("token_file", values["token_file"], source))
    return {"token_source": token} if callable(token) else {"token": check_token(token, source)}


def _validated(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    verify = found["ssl_verify"]
    values: dict[str, Any] = {
        "endpoint": normalize_endpoint(found["endpoint"], source),
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
    return (*(str(Path(each).expanduser()) for each in files), *map(str, password))


def _verify(value: Any) -> bool | str | ssl.SSLContext:
    if isinstance(value, (bool, ssl.SSLContext)):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"ssl_verify must be true, false or the path of a CA file, not {value!r}")
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    path = Path(value).expanduser()
    if not path.exists():
        raise ConfigError(f"the CA file {path} is not there")
    return str(path)
