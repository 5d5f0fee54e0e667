"""What all errors have in common; and a request that failed, or what it began."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._hints import Hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datarobot_mlops_async.operations import Operation


def _rebuild(cls: type[MLOpsError], args: tuple[object, ...], state: dict[str, object]) -> MLOpsError:
    """Return the error that was pickled."""
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class MLOpsError(Exception):
    """Root of everything this library raises on purpose.

    Attributes:
        message: What happened, and to what.
        hint: What to do next; ``None`` where there is nothing to advise.
        method: The HTTP method of the request that it is about; empty if it is about none.
        route: That request's route, with names in the place of ids; empty where it is not known.
        attempts: How many times that request was tried.
        request_id: The server's id for that request, for its support staff; ``None`` if it sent none.
    """

    hint: Hint | None = None
    method: str = ""
    route: str = ""
    attempts: int = 1
    request_id: str | None = None

    def __init__(self, message: str, *, hint: Hint | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    @property
    def summary(self) -> str:
        """What happened in one line, without the hint."""
        return self.message

    def __str__(self) -> str:
        # Those that are an OSError too would print its "[Errno None] None".
        return f"{self.summary}: {self.hint.advice}" if self.hint else self.summary

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException's own __reduce__ calls the class with ``args`` alone, which fails
        # for every class below that takes keyword arguments.
        state = dict(self.__dict__)
        if isinstance(self, OSError):
            # These stand outside the dictionary, whoever sets them.
            state.update(errno=self.errno, strerror=self.strerror, filename=self.filename)
        return _rebuild, (type(self), self.args, state)


class ConfigError(MLOpsError):
    """Settings are missing, contradictory or unsafe. The message names the source and what to set."""


class SessionStateError(MLOpsError, RuntimeError):
    """The session was used before ``async with``, after ``aclose()``, or from another event loop."""


class InsecureConnectionWarning(UserWarning):
    """The token is sent over plain http to a host that is not this one."""


class ServerDeprecationWarning(UserWarning):
    """The server says, in a ``Deprecation`` header, that a route will go away."""


class TransportError(MLOpsError):
    """No usable HTTP answer arrived.

    Attributes:
        method: The request's HTTP method.
        url: The request's URL without its query.
        attempts: How many times the request was tried.
    """

    def __init__(
        self, message: str, *, method: str = "", url: str = "", attempts: int = 1, hint: Hint | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.url = url
        self.attempts = attempts


class ConnectError(TransportError):
    """The server was never reached (name, route, TLS, proxy): the request was provably not sent."""

    hint = Hint.CHECK_ENDPOINT


class CertificateError(ConnectError):
    """The server's certificate is not trusted; trying again does not help, ``verify=`` may."""

    hint = Hint.TRUST_AUTHORITY


class TimeoutError(TransportError, builtins.TimeoutError):
    """A request timeout passed. Unrelated to an operation's deadline (`OperationTimeoutError`)."""


class ConnectTimeoutError(ConnectError, TimeoutError):
    """No connection in time: the request was provably not sent."""


class ReadError(TransportError):
    """The connection broke after the request may have reached the server."""


class ProtocolError(TransportError):
    """The answer was not valid HTTP, or a redirect that may not be followed."""


class APIStatusError(MLOpsError):
    """The server answered with an error status.

    Attributes:
        status: The HTTP status code.
        method: The request's HTTP method.
        url: The request's URL without its query.
        request_id: The server's id for the request, for its support staff; ``None`` if it sent none.
        errors: The body's ``errors`` (or ``detail``) as decoded from JSON; ``None`` if there was none.
        retry_after: Seconds the server asked to wait; ``None`` if it did not.
        attempts: How many times the request was tried.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        url: str,
        request_id: str | None = None,
        errors: object = None,
        retry_after: float | None = None,
        attempts: int = 1,
        hint: Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.method = method
        self.url = url
        self.request_id = request_id
        self.errors = errors
        self.retry_after = retry_after
        self.attempts = attempts

    @property
    def summary(self) -> str:
        """What was asked and what was answered, in one line, without the hint."""
        request_id = f" (request id {self.request_id})" if self.request_id else ""
        return f"{self.method} {self.url}: {self.status} {self.message}{request_id}"


class BadRequestError(APIStatusError):
    """400: the request itself is wrong."""


class AuthenticationError(APIStatusError):
    """401: the token is missing, wrong or expired."""

    hint = Hint.NEW_TOKEN


class PermissionDeniedError(APIStatusError):
    """403: the token's user may not do this, or the feature is not enabled."""


class NotFoundError(APIStatusError):
    """404: no such thing, or not visible to the token's user."""


class ConflictError(APIStatusError):
    """409: the state does not allow this now (already changing, already so, or a limit is reached)."""


class UnprocessableEntityError(APIStatusError):
    """422: the server understood the request and refuses its content."""


class RateLimitError(APIStatusError):
    """429: too many requests, or a quota is used up (then without ``Retry-After``)."""


class ServerError(APIStatusError):
    """5xx: the server or a gateway before it failed."""


class DecodeError(MLOpsError):
    """The answer was not what the API page promises.

    Attributes:
        operation: The request that was answered, for example ``GET /deployments/``.
        path: Where in the body, for example ``$.data[3].model.deployedAt``.
        expected: What was expected there.
        actual: What came.
        text: The start of the raw body, at most 2,000 characters.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        path: str,
        expected: str,
        actual: str,
        text: str,
        hint: Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.path = path
        self.expected = expected
        self.actual = actual
        self.text = text


class PaginationError(MLOpsError):
    """A list cannot be read to its end: the server repeats itself or keeps changing its total."""


class OperationError(MLOpsError):
    """A long-running operation did not succeed.

    Attributes:
        operation: The operation. After unpickling it knows its ``location`` but no session:
            pass that to ``session.operation()``.
    """

    def __init__(self, message: str, *, operation: Operation[Any]) -> None:
        super().__init__(message)
        self.operation = operation


class OperationFailedError(OperationError):
    """The server reports that the operation failed, was aborted, or that its status expired.

    Attributes:
        status: The server's status word.
        code: The server's code, if any.
        description: The server's description, if any.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: Operation[Any],
        status: str,
        code: object = None,
        description: str | None = None,
    ) -> None:
        super().__init__(message, operation=operation)
        self.status = status
        self.code = code
        self.description = description


class OperationTimeoutError(OperationError, builtins.TimeoutError):
    """The operation was not over when the caller's deadline passed. Await it again to go on waiting."""

    hint = Hint.WAIT_AGAIN


def status_error_class(status: int) -> type[APIStatusError]:
    """Return the class for an error status, `APIStatusError` itself for one without a class of its own."""
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIStatusError)


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
