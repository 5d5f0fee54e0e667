"""Everything that the emulator remembers, shared by its routes and its storage."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ._fleet import Fleet
from ._log import RequestLog
from ._objects import Image, StoredObject, draw_image
from ._operations import Operations
from ._signing import Signer

if TYPE_CHECKING:
    from ._settings import Settings


class World:
    """The state of one emulator. Only the emulator's own thread changes it, except where it says so."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fleet = Fleet(settings.deployments, seed=settings.seed, epoch=settings.epoch)
        self.operations = Operations(self.fleet.new_id)
        self.log = RequestLog(settings.log_limit)
        self.signer = Signer()
        self.stopping = threading.Event()
        self.api_origin = ""
        self.storage_origin = ""
        self.objects: dict[str, StoredObject] = {}
        self.image: Image | None = None
        if settings.image_size is not None:
            self.publish_image(
                draw_image(settings.image_size, seed=settings.seed, release=0, modified=settings.epoch)
            )

    @property
    def api_root(self) -> str:
        """Path of the API below its origin, without a slash at the end."""
        return f"{self.settings.path_prefix}/api/v2"

    def publish_image(self, image: Image | None) -> None:
        """Let `image` be the latest one; `None`: there is none. Safe from any thread.

        Images published before stay in the storage, for downloads that have begun.
        """
        if image is not None:
            self.objects[image.key] = image.stored
        self.image = image

    def replace_image(self, size: int | None, seed: int | None, *, in_place: bool) -> None:
        """Draw the next image and publish it. Safe from any thread."""
        before = self.image
        if before is None:
            before_size, before_seed, release = 64 * 2**20, self.settings.seed, 0
        else:
            content = before.stored.content
            before_size, before_seed, release = content.size, content.seed, before.release
        image = draw_image(
            before_size if size is None else size,
            seed=before_seed + 1 if seed is None else seed,
            release=release + 1,
            modified=datetime.now(UTC),
        )
        if in_place and before is not None:
            self.objects[before.key] = image.stored
        self.publish_image(image)
