"""Every exception this library raises.

::

    MLOpsError
    ├── ConfigError                 settings missing, contradictory or unsafe
    ├── SessionStateError           session not entered, closed, or used from another event loop
    ├── TransportError              no usable HTTP answer arrived
    │   ├── ConnectError            the server was never reached: nothing was sent
    │   │   ├── CertificateError    the server's certificate is not trusted
    │   │   └── ConnectTimeoutError (a TimeoutError too)
    │   ├── TimeoutError            a request timeout passed
    │   ├── ReadError               the connection broke before the answer was whole
    │   └── ProtocolError           the answer was not HTTP, or not one we may follow
    ├── APIStatusError              the server answered with an error status
    │   ├── BadRequestError         400
    │   ├── AuthenticationError     401
    │   ├── PermissionDeniedError   403
    │   ├── NotFoundError           404
    │   ├── ConflictError           409
    │   ├── UnprocessableEntityError 422
    │   ├── RateLimitError          429
    │   └── ServerError             5xx
    ├── DecodeError                 the answer was not what the API page promises
    ├── PaginationError             a list that cannot be read to its end
    ├── OperationError              a long-running operation
    │   ├── OperationFailedError    the server says it failed
    │   └── OperationTimeoutError   it was not over in time; it can be awaited again
    ├── FileError                   the operating system refused a file (an OSError too)
    ├── JournalError                a bulk run's journal
    │   ├── JournalFileError        it cannot be opened, read, locked or written (an OSError too)
    │   └── JournalFormatError      it is no journal, or that of something else (a ValueError too)
    └── DownloadError               an artifact
        ├── IntegrityError          the bytes are not the promised ones
        ├── DestinationError        the destination cannot be written (a FileError too)
        │   ├── InsufficientSpaceError  the disk cannot hold the bytes
        │   └── DestinationExistsError  something else is there and ``overwrite`` was not given
        ├── ObjectChangedError      the object kept changing while it was fetched
        └── StalledError            bytes stopped coming, or came too slowly

Warnings: ``InsecureConnectionWarning``, ``ServerDeprecationWarning`` (both ``UserWarning``).

An error's ``message`` says what happened, its ``hint`` what to do next (a `Hint`, or ``None``);
as a string it is both.

Invalid arguments raise ``ValueError`` or ``TypeError`` before anything is sent. All exceptions
here pickle, and none of them carries a token or the signature of a pre-signed URL: URLs
are stored without their query.
"""

from datarobot_mlops_async._hints import Hint
from datarobot_mlops_async.errors._base import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    CertificateError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    InsecureConnectionWarning,
    MLOpsError,
    NotFoundError,
    OperationError,
    OperationFailedError,
    OperationTimeoutError,
    PaginationError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ReadError,
    ServerDeprecationWarning,
    ServerError,
    SessionStateError,
    TimeoutError,
    TransportError,
    UnprocessableEntityError,
    _rebuild,
)
from datarobot_mlops_async.errors._base import status_error_class as status_error_class
from datarobot_mlops_async.errors._files import (
    DestinationError,
    DestinationExistsError,
    DownloadError,
    FileError,
    InsufficientSpaceError,
    IntegrityError,
    JournalError,
    JournalFileError,
    JournalFormatError,
    ObjectChangedError,
    StalledError,
)

__all__ = [
    "APIStatusError",
    "AuthenticationError",
    "BadRequestError",
    "CertificateError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "DecodeError",
    "DestinationError",
    "DestinationExistsError",
    "DownloadError",
    "FileError",
    "Hint",
    "InsecureConnectionWarning",
    "InsufficientSpaceError",
    "IntegrityError",
    "JournalError",
    "JournalFileError",
    "JournalFormatError",
    "MLOpsError",
    "NotFoundError",
    "ObjectChangedError",
    "OperationError",
    "OperationFailedError",
    "OperationTimeoutError",
    "PaginationError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "ReadError",
    "ServerDeprecationWarning",
    "ServerError",
    "SessionStateError",
    "StalledError",
    "TimeoutError",
    "TransportError",
    "UnprocessableEntityError",
]

# Tracebacks, pickles and metrics name the front door.
for _each in (_rebuild, *map(globals().__getitem__, __all__)):
    _each.__module__ = __name__
