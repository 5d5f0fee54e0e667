"""A session's settings, whole and checked."""

from __future__ import annotations

import os
import ssl
import warnings
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, field, fields, frozen

from datarobot_mlops_async._config._places import check_proxy, is_loopback, origin_of
from datarobot_mlops_async._config._values import find_values, validated
from datarobot_mlops_async.errors import ConfigError, InsecureConnectionWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async._config._tokens import TokenSource
    from datarobot_mlops_async._config._values import Certificate


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
        found, source = find_values(arguments, config_file, os.environ if environ is None else environ)
        return cls(
            **validated(found, source),
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
