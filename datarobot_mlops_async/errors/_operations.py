"""A long-running operation that did not succeed."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from datarobot_mlops_async._hints import Hint
from datarobot_mlops_async.errors._base import MLOpsError

if TYPE_CHECKING:
    from datarobot_mlops_async.operations import Operation


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
