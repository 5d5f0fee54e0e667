"""The session: what users open, and the only thing they must close."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self

import anyio

from datarobot_mlops_async._api import DEFAULT_TIMEOUT, Api, Credentials, Hooks, Options, secrets_of
from datarobot_mlops_async._config import Settings
from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._limiter import Limiter
from datarobot_mlops_async._redaction import Redactor
from datarobot_mlops_async._retry import LONGEST_PAUSE
from datarobot_mlops_async._telemetry import log_as_told
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import HTTPClient
from datarobot_mlops_async.operations import Poller, PollPolicy
from datarobot_mlops_async.session._view import SessionView

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Coroutine, Mapping

    import httpx

    from datarobot_mlops_async._api import OnRequest, OnResponse
    from datarobot_mlops_async._config import TokenSource
    from datarobot_mlops_async._retry import RetryPolicy

P = ParamSpec("P")
DEFAULT_MAX_CONCURRENCY = 32
# What a session needs later than `AsyncSession` is imported.
_PARTS = {f"datarobot_mlops_async.{room}" for room in ("artifacts", "bulk", "resources")}


def _opener(
    init: Callable[Concatenate[Any, P], None],
) -> Callable[Concatenate[type[AsyncSession], P], Coroutine[Any, Any, AsyncSession]]:
    """Make `AsyncSession.open` of the constructor, whose parameters it has, for type checkers and in notebooks."""

    async def open(  # noqa: A001
        cls: type[AsyncSession], /, *arguments: P.args, **options: P.kwargs
    ) -> AsyncSession:
        """Open a session where ``async with`` does not fit, such as in a notebook; `aclose` closes it.

        ::

            session = await AsyncSession.open()
            deployment = await session.deployments.get(deployment_id)
            await session.aclose()

        The parameters are those of `AsyncSession`.
        """
        session = cls(*arguments, **options)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue]
        return await session.__aenter__()

    open.__qualname__ = "AsyncSession.open"
    open.__signature__ = inspect.signature(init).replace(return_annotation="AsyncSession")  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return open


class AsyncSession(SessionView):
    """A session with a DataRobot installation: ``async with AsyncSession() as session: ...``

    It belongs to the event loop that enters it, may be shared by any number of its tasks, and leaves
    no task, thread, socket or file behind when it is closed. Works on asyncio, uvloop and trio.

    Args:
        endpoint: Base URL, with or without ``/api/v2``; or whole settings (see `from_settings`). With ``token``
            left out as well, both are read from the first source that has them: ``config_file``, the file that
            ``DATAROBOT_CONFIG_FILE`` names, the environment (``DATAROBOT_ENDPOINT``, ``DATAROBOT_API_TOKEN`` or
            ``DATAROBOT_API_TOKEN_FILE``), ``~/.config/datarobot/drconfig.yaml``.
        token: API token. It goes to the endpoint's origin and nowhere else. Or a callable, plain or async, that
            returns one, or one and when it expires (seconds since the epoch, or an aware ``datetime``). It is
            asked by one request at a time and no longer than the request's timeout, again before the token expires,
            and again after a 401, whose request is then repeated once. A plain one must not block.
        token_type: ``Bearer`` (the default, unless the configuration says otherwise) or ``Token``.
        config_file: A ``drconfig.yaml`` to read.
        verify: ``True`` (the default, unless the configuration says otherwise), ``False`` to trust any server,
            the path of a CA file or directory, or an ``ssl.SSLContext``. For hosts other than the endpoint's (the
            storage that downloads lead to) it is added to the system's trusted authorities.
        cert: A client certificate: the path of a file with certificate and key, or a tuple of the certificate's
            path, the key's and, where it has one, the key's password.
        proxy: Proxy URL; by default the environment's (``HTTPS_PROXY``, ``NO_PROXY``, ...).
        headers: Header fields for every request to the endpoint's origin, such as a gateway's key. ``User-Agent``
            names the application, before the library.
        timeout: Seconds for one attempt of a request, connecting included.
        retry: How a failed request is tried again, or just how often.
        max_concurrency: The most requests in flight at a time; further ones wait their turn.
        strict: Raise `DecodeError` for everything that is tolerated by default: missing or unknown fields,
            unknown enum values, nulls and fractions where the API page promises otherwise.
        on_request: Called, plain or async, with a `RequestInfo` before each request: each attempt of a call, each
            piece of a download. What it raises is logged; it should not block.
        on_response: Called with a `ResponseInfo` after each of them, answered or not.
        polling: How often to ask for the status of operations that are waited for.
        transport: An httpx transport to use instead of real connections, for tests. The session closes it.

    Raises:
        ConfigError: Settings are missing, contradictory or unsafe.
    """

    def __init__(
        self,
        endpoint: str | Settings | None = None,
        token: str | TokenSource | None = None,
        *,
        token_type: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext | None = None,
        cert: str | os.PathLike[str] | tuple[str, ...] | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | int | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        strict: bool = False,
        on_request: OnRequest | None = None,
        on_response: OnResponse | None = None,
        polling: PollPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if isinstance(endpoint, Settings):
            if any(each is not None for each in (token, token_type, config_file, verify, cert, proxy)):
                raise TypeError("settings are whole: give them alone, or endpoint, token and the rest")
            settings = endpoint.with_token()
        else:
            settings = Settings.load(
                endpoint,
                token,
                token_type=token_type,
                config_file=config_file,
                verify=verify,
                cert=cert,
                proxy=proxy,
            )
        log_as_told()
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}")
        settings.warn_if_insecure()
        options = Options().but(retry=settings.max_retries).but(timeout=timeout, retry=retry, headers=headers)
        redactor = Redactor([settings.token, *secrets_of(options.headers)])
        api = Api(
            settings=settings,
            client=HTTPClient(settings, transport=transport),
            decoder=Decoder(strict=strict, redactor=redactor),
            limiter=Limiter(max_concurrency, longest_pause=LONGEST_PAUSE),
            options=options,
            redactor=redactor,
            credentials=Credentials(settings, redactor),
            hooks=Hooks(endpoint=settings.endpoint, on_request=on_request, on_response=on_response),
        )
        super().__init__(api, Poller(api, polling or PollPolicy()))

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:
        """Make a session from another one's settings, for example in a worker process.

        Settings are pickled without their token; the worker's own environment or configuration file
        must have one for the same endpoint.

        Args:
            settings: From `SessionView.settings`.
            options: Those of `AsyncSession`, from ``headers`` on.

        Raises:
            ConfigError: It has not.
        """
        return cls(settings, **options)

    open = classmethod(_opener(__init__))

    async def __aenter__(self) -> Self:
        if not sys.modules.keys() >= _PARTS:
            # Whatever loads them first would hold up the event loop: 0.1 s, once in a process.
            await run_interruptible(lambda: [import_module(name) for name in sorted(_PARTS)])
        self._api.lifetime.enter()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Harmless when repeated."""
        self._api.lifetime.close()
        # A cancelled task must still close its sockets.
        with anyio.CancelScope(shield=True):
            await self._api.client.aclose()
