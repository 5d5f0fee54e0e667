"""The resource bundles of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._drawing import Json

USE_CASES = ("customApplication", "customJob", "customModel", "sapAICore")
_GIB = 2**30


def _bundle(
    bundle_id: str,
    name: str,
    *,
    cpus: float,
    memory: int,
    gpus: float | None = None,
    gpu_maker: str | None = None,
    gpu_memory: int = 0,
    use_cases: tuple[str, ...] = USE_CASES[:3],
    is_default: bool = False,
    is_deleted: bool = False,
) -> Json:
    gpu_words = f" | {gpus} {gpu_maker} GPU, {gpu_memory} GiB" if gpus else ""
    return {
        "id": bundle_id,
        "name": name,
        "description": f"{cpus} CPU | {memory} GiB memory{gpu_words}",
        "cpuCount": cpus,
        "memoryBytes": memory * _GIB,
        "gpuCount": gpus,
        "gpuMaker": gpu_maker,
        "gpuMemoryBytes": gpu_memory * _GIB,
        "hasGpu": gpus is not None,
        "isDefault": is_default,
        "isDeleted": is_deleted,
        "useCases": list(use_cases),
    }


# Half a CPU and half a GPU are against the page, and in the field.
BUNDLES = (
    _bundle("cpu.nano", "XXS", cpus=0.5, memory=1),
    _bundle("cpu.micro", "XS", cpus=1, memory=2, is_default=True),
    _bundle("cpu.small", "S", cpus=1, memory=4),
    _bundle("cpu.medium", "M", cpus=2, memory=8),
    _bundle("cpu.large", "L", cpus=4, memory=16),
    _bundle("cpu.xlarge", "XL", cpus=6, memory=27),
    _bundle("cpu.legacy", "Legacy", cpus=1.5, memory=3, use_cases=("customModel",), is_deleted=True),
    _bundle("gpu.small", "GPU S", cpus=4, memory=16, gpus=1, gpu_maker="nvidia", gpu_memory=16),
    _bundle("gpu.large", "GPU L", cpus=8, memory=64, gpus=1, gpu_maker="nvidia", gpu_memory=48),
    _bundle("gpu.shared", "GPU share", cpus=2, memory=12, gpus=0.5, gpu_maker="amd", gpu_memory=24),
    _bundle("gpu.2xlarge", "GPU 2XL", cpus=16, memory=128, gpus=4, gpu_maker="nvidia", gpu_memory=192),
    _bundle("sap.starter", "SAP starter", cpus=1, memory=3, use_cases=("sapAICore",)),
    _bundle("sap.infer.l", "SAP infer L", cpus=15, memory=58, gpus=1, gpu_maker="nvidia", gpu_memory=24,
            use_cases=("sapAICore",)),
)  # fmt: skip
