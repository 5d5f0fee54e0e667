"""Downloadable things: the portable prediction server's image, scoring code, logs.

An `Artifact` knows where its bytes are and what they should be. `Artifact.download` puts them into a file
(resumed after a crash, verified, moved into place in one step); `Artifact.stream` hands them over in order.
Both fetch over as many connections as help and keep the event loop free: receiving, hashing and
writing happen in threads.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen

from datarobot_mlops_async._counting import current_counter
from datarobot_mlops_async._download import (
    ArtifactKind,
    DownloadContext,
    DownloadResult,
    Expectation,
    FileDownload,
    Progress,
    RateLimit,
    Reporter,
    SpecialFile,
    StreamDownload,
    Tuning,
    VerifiedFile,
    Writable,
    object_writer,
    safe_filename,
    system_errors,
    verify,
    write_beside,
)
from datarobot_mlops_async._threads import run_interruptible
from datarobot_mlops_async._transport import without_query
from datarobot_mlops_async.errors import SessionStateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from datarobot_mlops_async._api import Api

__all__ = [
    "Artifact",
    "ArtifactKind",
    "DownloadResult",
    "Expectation",
    "Progress",
    "RateLimit",
    "VerifiedFile",
    "verify_file",
]

DEFAULT_MAX_CONNECTIONS = 8


def _safe(name: str | None) -> str | None:
    return None if name is None else safe_filename(name)


@frozen
class Artifact:
    """Something that can be downloaded.

    Made by the session's resources. An artifact holds no connection: each download has its own, and
    closes them.

    Attributes:
        kind: What the bytes are. A ``JAR`` must be a ZIP archive.
        filename: A safe file name, one path component; ``None`` until the server names one.
        size: Bytes; ``None`` where the metadata do not say.
        sha256: SHA-256 in hexadecimal; ``None`` where the metadata do not say.
        docker_image_id: Docker's id of an image; ``None`` for anything else.
        version: An image's version; ``None`` for anything else.
    """

    _api: Api | None = field(repr=False, eq=False)
    _path: str = field(repr=False)
    kind: ArtifactKind = field(default=ArtifactKind.FILE, converter=ArtifactKind, kw_only=True)
    filename: str | None = field(default=None, converter=_safe, kw_only=True)
    size: int | None = field(default=None, kw_only=True)
    sha256: str | None = field(default=None, kw_only=True)
    docker_image_id: str | None = field(default=None, kw_only=True)
    version: str | None = field(default=None, kw_only=True)
    _refresh: Callable[[], Awaitable[Expectation]] | None = field(
        default=None, repr=False, eq=False, kw_only=True, alias="refresh"
    )
    _mirrors: tuple[str, ...] = field(default=(), repr=False, eq=False, kw_only=True, alias="mirrors")
    _tuning: Tuning = field(factory=Tuning, repr=False, eq=False, kw_only=True, alias="tuning")

    @asynccontextmanager
    async def stream(
        self,
        *,
        expected_sha256: str | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_rate: float | RateLimit | None = None,
        mirrors: Sequence[str] = (),
        on_progress: Callable[[Progress], object] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the bytes, in order, in bounded memory.

        ::

            async with artifact.stream() as chunks:
                async for chunk in chunks:
                    ...

        Verification comes with the last chunk: whoever hands bytes on must be able to take them back
        until the iteration has ended without an error. A reader that stops reading stops the fetching.

        Args:
            expected_sha256: What the bytes should be, in hexadecimal; checked besides what the metadata say.
            max_connections: Upper bound of connections at the same time.
            max_rate: Bytes a second over all of them, or a `RateLimit`, which several downloads may share and
                which may be changed meanwhile.
            mirrors: Other addresses of the same object, asked first, without the token; the service where they
                fail. Used only where a SHA-256 is known, by which their bytes are judged.
            on_progress: Called in the event loop, at most ten times a second: a function, or `progress_bar`.

        Raises:
            IntegrityError: At the end: the bytes are not the promised ones.
            ObjectChangedError: The object changed on the way.
            StalledError: Bytes stopped coming on every connection that was tried.
        """
        context = self._context(expected_sha256, max_connections, max_rate, mirrors)
        with context.watched(), Reporter(on_progress) as reporter:
            async with StreamDownload(context, reporter).opened() as chunks:
                yield chunks

    async def download(
        self,
        destination: str | os.PathLike[str] | Writable,
        *,
        expected_sha256: str | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_rate: float | RateLimit | None = None,
        mirrors: Sequence[str] = (),
        resume: bool = True,
        overwrite: bool = False,
        sidecar: bool = False,
        manifest: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> DownloadResult:
        """Download, verify, and only then put in place.

        While it runs, and after it was interrupted in whatever way, a partial file and its resume state lie
        beside the destination (``.NAME.*.part``, ``.NAME.*.json``); the next call goes on from there.
        A destination that has the right SHA-256 already is left alone and reported as such.

        Args:
            destination: A directory (existing, or with a trailing separator), where the artifact gets its own
                name; or a file's path (where a symbolic link is, what it points to is meant); or a pipe, a device, a
                path that leads to this process's own output (``/dev/stdout``) or a binary file object, which
                gets the bytes in order.
            expected_sha256: What the bytes should be, in hexadecimal; checked besides what the metadata say.
            max_connections: Upper bound of connections at the same time.
            max_rate: Bytes a second over all of them, or a `RateLimit`, which several downloads may share and
                which may be changed meanwhile.
            mirrors: Other addresses of the same object, asked first, without the token; the service where they
                fail. Used only where a SHA-256 is known, by which their bytes are judged.
            resume: Whether to go on with what an interrupted download left.
            overwrite: Whether to replace a file with other content; its permissions are kept.
            sidecar: Whether to write ``NAME.sha256`` beside the file, for ``sha256sum -c`` and `verify_file`.
            manifest: Whether to write ``NAME.manifest.json`` beside it, for people and `verify_file`: what the
                file is, its size, SHA-256 and Docker image id, when it was verified and by which library.
            on_progress: Called in the event loop, at most ten times a second: a function, or `progress_bar`. What it
                raises ends the download. If it has a method ``close``, that is called when the download is over,
                however it ended.

        Raises:
            IntegrityError: The bytes are not the promised ones. Nothing was put at the destination.
            InsufficientSpaceError: The disk cannot hold the artifact. What is there is kept.
            DestinationExistsError: Another file is there and ``overwrite`` is false.
            DestinationError: The operating system refuses the destination; an ``OSError`` too, as both above.
            ObjectChangedError: The object kept changing on the server.
            StalledError: Bytes stopped coming on every connection that was tried.
            APIStatusError: The server refused.
            TransportError: The connection failed more often than the retry policy allows.
        """
        context = self._context(expected_sha256, max_connections, max_rate, mirrors)
        with context.watched(), Reporter(on_progress) as reporter:
            result = await _download(
                context, destination, resume=resume, overwrite=overwrite, reporter=reporter
            )
        if result.path is not None and (sidecar or manifest):
            await run_interruptible(
                partial(write_beside, result.path, result, self.kind, sidecar=sidecar, manifest=manifest)
            )
        return result

    def _expectation(self) -> Expectation:
        return Expectation(
            size=self.size, sha256=self.sha256, docker_image_id=self.docker_image_id, version=self.version
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Plain data only: a session stays in its process, and an address may be signed.
        known = {each.name: getattr(self, each.name) for each in fields(Artifact) if each.eq and each.kw_only}
        return partial(Artifact, None, "", **known), ()

    def _context(
        self,
        expected_sha256: str | None,
        max_connections: int,
        max_rate: float | RateLimit | None,
        mirrors: Sequence[str],
    ) -> DownloadContext:
        if max_connections < 1:
            raise ValueError(f"max_connections must be at least 1, not {max_connections}")
        if strange := [each for each in mirrors if not each.lower().startswith(("http://", "https://"))]:
            raise ValueError(f"a mirror is an http(s) URL, not {strange[0].partition('?')[0]!r}")
        if self._api is None:
            raise SessionStateError(
                "the artifact has no session since it was unpickled: ask one for it again"
            )
        if (counter := current_counter()) is not None:
            # An absolute address may be signed.
            counter.plan("GET", without_query(self._path) if "://" in self._path else self._path, None)
        return DownloadContext(
            api=self._api,
            path=self._path,
            kind=self.kind,
            filename=self.filename,
            metadata=self._expectation(),
            refresh=self._refresh,
            expected_sha256=expected_sha256,
            max_connections=max_connections,
            max_rate=RateLimit(max_rate) if isinstance(max_rate, (int, float)) else max_rate,
            mirrors=(*mirrors, *self._mirrors),
            tuning=self._tuning,
        )


async def verify_file(
    path: str | os.PathLike[str],
    *,
    against: Artifact | str | os.PathLike[str] | None = None,
    expected_sha256: str | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> VerifiedFile:
    """Check that a file still has the bytes that it should have.

    Without further arguments the file is checked against what lies beside it: ``NAME.sha256``, as
    `Artifact.download` and ``sha256sum`` write it, and ``NAME.manifest.json``. That needs no network.

    ::

        result = await artifact.download("images/", sidecar=True, manifest=True)
        verified = await verify_file(result.path)                       # by what lies beside it
        verified = await verify_file(result.path, against=artifact)     # by what the service says
        print(verified.sha256, verified.verified_by)

    Args:
        path: The file.
        against: A sidecar or a manifest that lies elsewhere; or an artifact, for what the service says of it.
        expected_sha256: What the bytes should be, in hexadecimal; checked besides what ``against`` says.
        on_progress: Called in the event loop, at most ten times a second.

    Raises:
        IntegrityError: It has other bytes.
        DownloadError: There is nothing to check it against.
        FileError: The operating system refuses to read it; an ``OSError`` too.
    """
    return await verify(
        Path(path),
        against._expectation() if isinstance(against, Artifact) else None,  # noqa: SLF001 - of this module
        checksums=None if against is None or isinstance(against, Artifact) else Path(against),
        expected_sha256=expected_sha256,
        on_progress=on_progress,
    )


_SEPARATORS = tuple(separator for separator in (os.sep, os.altsep) if separator)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Looked at again where it is used, and refused there.
        return False


def _resolve(path: Path) -> Path:
    """Return where a destination really is, its directory made."""
    with system_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link at the destination is followed: it is what it points to that gets replaced.
        return Path(os.path.realpath(path))


async def _download(
    context: DownloadContext,
    destination: str | os.PathLike[str] | Writable,
    *,
    resume: bool,
    overwrite: bool,
    reporter: Reporter,
) -> DownloadResult:
    if not isinstance(destination, (str, os.PathLike)):
        return await StreamDownload(context, reporter).write_to(object_writer(destination))
    path = Path(destination)
    special = await run_interruptible(partial(SpecialFile.at, path))
    if special is not None:
        async with special.opened() as write:
            return await StreamDownload(context, reporter).write_to(write)
    is_directory = os.fspath(destination).endswith(_SEPARATORS) or await run_interruptible(
        partial(_is_directory, path)
    )
    expectation = await context.expectation()
    async with context.connected() as remote:
        probe = await context.open(remote) if is_directory and context.filename is None else None
        try:
            if probe is not None:
                context.name(probe)
            target = await run_interruptible(
                partial(_resolve, path / (context.filename or "") if is_directory else path)
            )
            download = FileDownload(
                context, remote, target, resume=resume, overwrite=overwrite, reporter=reporter
            )
            return await download.run(expectation, probe)
        finally:
            if probe is not None:
                await probe.response.aclose()
