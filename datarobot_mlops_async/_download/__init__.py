"""The engine behind `datarobot_mlops_async.artifacts`: fast, verified, resumable, atomic downloads."""

from datarobot_mlops_async._download._context import DownloadContext, Tuning
from datarobot_mlops_async._download._controller import RateLimit
from datarobot_mlops_async._download._disk import safe_filename, system_errors
from datarobot_mlops_async._download._expectation import ArtifactKind, Expectation
from datarobot_mlops_async._download._results import DownloadResult, Progress, Reporter
from datarobot_mlops_async._download._to_file import FileDownload
from datarobot_mlops_async._download._to_stream import SpecialFile, StreamDownload, Writable, object_writer
from datarobot_mlops_async._download._verification import VerifiedFile, verify, write_beside

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
