"""Finds the versions of CUDA, ROCm and their libraries in an environment: by wheels, conda packages and file names.

Sources: names of NVIDIA's wheels in three schemes (`nvidia-cublas-cu12`; `nvidia-cublas`, from CUDA 13 on;
`nvidia-cudnn-cu13`), of conda-forge's and NVIDIA's conda packages, of AMD's wheels (`rocm-sdk-core`), and file names
of libraries that other packages bring inside them (`libcudart-c3a75b33.so.12.8.90`, as auditwheel names them).
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from envcap.dpkg import read_dpkg
from envcap.environment import Environment, InstalledFile
from envcap.gpu.model import GpuLibrary
from envcap.scan.gpu_files import conda_name, dist_name, provided_files, safe_version

SYSTEM: Final = "system"
"""Provider of a library of the operating system that no package of Debian owns."""

LIBRARY_FOLDERS: Final = (
    "/usr/local/cuda/lib64", "/opt/rocm/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
)  # fmt: skip
"""Where the loader and the makers' installers look, in this order."""

_TOOLKIT: Final = re.compile(r"-cu(?:da)?\d{2,3}(?=-|\Z)")
_WHEELS: Final = {
    "cuda-toolkit": "cuda", "cuquantum": "cuquantum", "custatevec": "custatevec", "cutensor": "cutensor",
    "cutensornet": "cutensornet", "nvidia-cublas": "cublas", "nvidia-cublasmp": "cublasmp",
    "nvidia-cuda-cupti": "cupti", "nvidia-cuda-nvcc": "nvcc", "nvidia-cuda-nvrtc": "nvrtc",
    "nvidia-cuda-runtime": "cudart", "nvidia-cudnn": "cudnn", "nvidia-cufft": "cufft", "nvidia-cufile": "cufile",
    "nvidia-curand": "curand", "nvidia-cusolver": "cusolver", "nvidia-cusparse": "cusparse",
    "nvidia-cusparselt": "cusparselt", "nvidia-dali": "dali", "nvidia-nccl": "nccl", "nvidia-npp": "npp",
    "nvidia-nvcomp": "nvcomp", "nvidia-nvjitlink": "nvjitlink", "nvidia-nvjpeg": "nvjpeg",
    "nvidia-nvshmem": "nvshmem", "nvidia-nvtx": "nvtx", "rocm-sdk-core": "rocm", "tensorrt-libs": "tensorrt",
}  # fmt: skip
"""By a wheel's name without `-cu12`."""
_CONDA: Final = {
    "cuda-version": "cuda", "cudatoolkit": "cuda", "cuda-cudart": "cudart", "cuda-cupti": "cupti",
    "cuda-nvrtc": "nvrtc", "cuda-nvtx": "nvtx", "cudnn": "cudnn", "cutensor": "cutensor", "libcublas": "cublas",
    "libcudnn": "cudnn", "libcudss": "cudss", "libcufft": "cufft", "libcufile": "cufile", "libcurand": "curand",
    "libcusolver": "cusolver", "libcusparse": "cusparse", "libcusparselt": "cusparselt", "libnpp": "npp",
    "libnvjitlink": "nvjitlink", "libnvjpeg": "nvjpeg", "libnvshmem3": "nvshmem", "libtensorrt": "tensorrt",
    "nccl": "nccl", "rocm-core": "rocm", "level-zero": "level-zero",
}  # fmt: skip
_FILE: Final = re.compile(r"lib([A-Za-z][A-Za-z0-9_]{1,31}?)(?:-[0-9a-f]{8})?\.so(?:\.(\d{1,9}(?:\.\d{1,9}){0,3}))?\Z")
_BY_FILE: Final = {
    "cudart": "cudart", "cublas": "cublas", "cudnn": "cudnn", "cufft": "cufft", "curand": "curand",
    "cusolver": "cusolver", "cusparse": "cusparse", "cusparseLt": "cusparselt", "cutensor": "cutensor", "nccl": "nccl",
    "nvinfer": "tensorrt", "nvJitLink": "nvjitlink", "nvrtc": "nvrtc", "nvshmem_host": "nvshmem",
    "amdhip64": "hip", "rccl": "rccl", "MIOpen": "miopen", "rocblas": "rocblas", "ze_loader": "level-zero",
}  # fmt: skip


def find_gpu_libraries(environment: Environment) -> tuple[GpuLibrary, ...]:
    """List the libraries that an environment's packages bring, sorted by name and provider."""
    found = {(row.name, row.provider): row for row in _of_files(environment)}
    # What a package says of itself is more exact than the names of its files.
    found.update({(row.name, row.provider): row for row in (*_of_wheels(environment), *_of_conda(environment))})
    return tuple(found[key] for key in sorted(found))


def find_system_libraries(
    sonames: Iterable[str], *, dpkg: Path, folders: Sequence[str] = LIBRARY_FOLDERS
) -> tuple[GpuLibrary, ...]:
    """List the libraries that an environment needs from the operating system, sorted by name and provider.

    The version is what the file's real name ends in: `libnccl.so.2` is a link to `libnccl.so.2.27.3`.

    Args:
        sonames: What is needed from outside: `ElfFacts.needs`.
        dpkg: dpkg's administrative folder, where the owner is looked for.
        folders: Where to look for libraries.
    """
    real: dict[str, tuple[str, str]] = {}
    for soname in sonames:
        name = _library_of(soname)
        place = next((f"{folder}/{soname}" for folder in folders if os.path.isfile(f"{folder}/{soname}")), "")  # noqa: PTH113  # many are asked for
        if name and place:
            real[os.path.realpath(place)] = (name, place)
    if not real:
        return ()
    owners = _owners(real, dpkg)
    rows = {
        GpuLibrary(
            name=name,
            version=_file_version(os.path.basename(path)) or _file_version(os.path.basename(place)),  # noqa: PTH119
            provider=owners.get(path) or owners.get(place) or SYSTEM,
        )
        for path, (name, place) in real.items()
    }
    return tuple(sorted(rows, key=lambda row: (row.name, row.provider, row.version)))


def _owners(real: dict[str, tuple[str, str]], dpkg: Path) -> dict[str, str]:
    """Name the packages that own libraries, by the paths that dpkg may know them by."""
    places = sorted({path for path, (_, place) in real.items()} | {place for _, place in real.values()})
    packages = read_dpkg(dpkg, sorted({path.rpartition("/")[0] for path in places}))
    return {path: f"debian:{package.name}" for package in packages for path in places if path in package.paths}


def _of_wheels(environment: Environment) -> Iterator[GpuLibrary]:
    for distribution in environment.distributions:
        name = dist_name(distribution)
        plain = _TOOLKIT.sub("", name)
        library = _WHEELS.get(plain)
        # NVIDIA's retired names are wheels without content, of version 0.0.1.
        if library and (library == "cuda" or any(".so" in file.path for file in distribution.files)):
            yield GpuLibrary(name=library, version=safe_version(distribution.version), provider=name)


def _of_conda(environment: Environment) -> Iterator[GpuLibrary]:
    for record in environment.conda:
        library = _CONDA.get(record.name)
        if library:
            provider = conda_name(record.name)
            yield GpuLibrary(name=library, version=safe_version(record.version), provider=provider)


def _of_files(environment: Environment) -> Iterator[GpuLibrary]:
    """Find what packages bring inside them. A stub, that programs are linked against only, is none."""
    for provider, file in provided_files(environment):
        library = _library_of(_base(file)) if "/stubs/" not in file.path else ""
        if library and not provider.startswith(("nvidia-", "conda:")):
            yield GpuLibrary(name=library, version=_file_version(_base(file)), provider=provider)


def _base(file: InstalledFile) -> str:
    return file.path.rpartition("/")[2]


def _library_of(name: str) -> str:
    match = _FILE.match(name)
    return _BY_FILE.get(match[1], "") if match else ""


def _file_version(name: str) -> str:
    match = _FILE.match(name)
    return (match[2] or "") if match else ""
