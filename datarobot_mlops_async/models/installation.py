"""What an installation offers: resource bundles and the Portable Prediction Server's image."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from datarobot_mlops_async._record import NULLABLE, REQUIRED, Record, one_line
from datarobot_mlops_async.models.enums import GpuMaker, HashAlgorithm


@frozen(kw_only=True, weakref_slot=False)
class ResourceBundle(Record):
    """A set of computing resources to run something on. Implements ``ResourceRequestBundleResponse``.

    Attributes:
        id: The bundle's id.
        name: A short name.
        description: The resources in words.
        cpu_count: The most CPUs available. Documented as an integer; servers offer fractions too.
        memory_bytes: The most memory available, in bytes.
        has_gpu: Whether it offers a GPU.
        gpu_count: The most GPUs available, fractions included.
        gpu_maker: Who makes the GPUs.
        gpu_memory_bytes: The most GPU memory available, in bytes.
        is_default: Whether it is the one to choose by default.
        is_deleted: Whether it is gone and must not be used.
        use_cases: What it can be used for: `ResourceBundleUseCase` values, though the page does
            not limit them here.
    """

    id: str = REQUIRED
    name: str = REQUIRED
    description: str = REQUIRED
    cpu_count: int | float = REQUIRED
    memory_bytes: int = REQUIRED
    has_gpu: bool = REQUIRED
    gpu_count: int | float | None = NULLABLE
    gpu_maker: GpuMaker | str | None = NULLABLE
    gpu_memory_bytes: int = REQUIRED
    is_default: bool | None = None
    is_deleted: bool | None = None
    use_cases: tuple[str, ...] = REQUIRED

    def __repr__(self) -> str:
        return one_line(self, self.name, self.id)


@frozen(kw_only=True, weakref_slot=False)
class PPSImageMetadata(Record):
    """The current Portable Prediction Server image. Implements ``PPSImageMetadataResponse``.

    Attributes:
        filename: The name of the file that a download gives.
        image_size: The size of the compressed image, in bytes.
        hash: The digest of the compressed image, to verify a download with.
        hash_algorithm: How the digest is computed.
        created: When the image was uploaded.
        docker_image_id: Docker's id of the image, which follows from its content.
        short_docker_image_id: The same in the 12 characters that ``docker images`` shows.
        base_image_id: The server's own id of the image, for its support staff.
        datarobot_runtime_image_tag: For DataRobot's internal use.
    """

    filename: str = REQUIRED
    image_size: int = REQUIRED
    hash: str = REQUIRED
    hash_algorithm: HashAlgorithm | str = REQUIRED
    created: datetime = REQUIRED
    docker_image_id: str = REQUIRED
    short_docker_image_id: str = REQUIRED
    base_image_id: str = REQUIRED
    datarobot_runtime_image_tag: str | None = NULLABLE
