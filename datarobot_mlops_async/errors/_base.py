"""What all errors have in common, and those of no request and no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datarobot_mlops_async._hints import Hint


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
