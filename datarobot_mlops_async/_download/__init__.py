"""The engine behind `datarobot_mlops_async.artifacts`: fast, verified, resumable, atomic downloads."""

from datarobot_mlops_async._download._checksums import write_beside
from datarobot_mlops_async._download._context import DownloadContext
from datarobot_mlops_async._download._controller import RateLimit
from datarobot_mlops_async._download._disk import system_errors
from datarobot_mlops_async._download._expectation import ArtifactKind, Expectation
from datarobot_mlops_async._download._names import safe_filename
from datarobot_mlops_async._download._progress import Reporter
from datarobot_mlops_async._download._results import DownloadResult, Progress
from datarobot_mlops_async._download._to_file import FileDownload
from datarobot_mlops_async._download._to_stream import StreamDownload
from datarobot_mlops_async._download._tuning import Tuning
from datarobot_mlops_async._download._verification import VerifiedFile, verify
from datarobot_mlops_async._download._writers import SpecialFile, Writable, object_writer

__all__ = [
    "ArtifactKind",
    "DownloadContext",
    "DownloadResult",
    "Expectation",
    "FileDownload",
    "Progress",
    "RateLimit",
    "Reporter",
    "SpecialFile",
    "StreamDownload",
    "Tuning",
    "VerifiedFile",
    "Writable",
    "object_writer",
    "safe_filename",
    "system_errors",
    "verify",
    "write_beside",
]
