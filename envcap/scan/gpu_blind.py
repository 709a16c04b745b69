"""Names the GPU code of an environment that no reading of its libraries can tell: what is made while it runs, and data.

A lock says so rather than promise what nobody checked. Sources: the documentation of each project on how it compiles;
of cuDNN, "Backend descriptor types" (engines compiled at run time).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from envcap.environment import Environment, InstalledFile
from envcap.gpu.model import GpuLibrary
from envcap.scan.gpu_files import dist_name, provided_files, safe_version

_COMPILES: Final = "compiles its kernels when they run"
_JIT: Final = {
    "cupy": "compiles most of its kernels with NVRTC when they run",
    "flashinfer-python": "compiles its kernels when they run",
    "numba-cuda": _COMPILES,
    "pytorch-triton": _COMPILES,
    "pytorch-triton-rocm": _COMPILES,
    "pytorch-triton-xpu": _COMPILES,
    "taichi": _COMPILES,
    "tilelang": _COMPILES,
    "triton": _COMPILES,
    "triton-rocm": _COMPILES,
    "triton-xpu": _COMPILES,
    "warp-lang": _COMPILES,
}
_JIT_NAMES: Final = (
    (re.compile(r"cupy-(?:cuda|rocm)[0-9x-]{1,8}\Z"), _JIT["cupy"]),
    (re.compile(r"jax-(?:cuda|rocm)\d{2,3}-plugin\Z"), "compiles through XLA when it runs"),
)
_JIT_WITH_GPU: Final = {"numba": _COMPILES, "tensorflow": "compiles through XLA when a program asks for it"}
"""What compiles for GPUs only where there is something of a GPU beside it."""

_DATA: Final = ("cubin", "fatbin", "hsaco", "ptx")
_TESTS: Final = frozenset({"test", "tests"})
_PTXAS: Final = re.compile(r"triton/backends/nvidia/bin/(ptxas[a-z-]{0,16})\Z")
_RELEASE: Final = re.compile(rb"release \d{1,3}\.\d{1,3}, V(\d{1,3}\.\d{1,3}\.\d{1,5})")
_CUDNN_JIT: Final = re.compile(r"libcudnn_engines_runtime_compiled\.so")
_CHUNK: Final = 4 << 20
_OVERLAP: Final = 64
_LARGEST_TOOL: Final = 256 << 20


def find_blind_spots(environment: Environment, libraries: tuple[GpuLibrary, ...], *, has_code: bool) -> tuple[str, ...]:
    """Say what the analysis can't see, sorted.

    Args:
        environment: What is installed.
        libraries: What `envcap.scan.gpu_libraries` found in it.
        has_code: Whether `envcap.scan.gpu_code` found code in it.
    """
    data = _data_files(environment)
    with_gpu = has_code or bool(libraries)
    said = [f"{name} {version} {how}{_tools(environment, name)}" for name, version, how in _jit(environment, with_gpu)]
    said += [
        f"nvrtc {row.version} of {row.provider} compiles kernels when a program asks for it"
        for row in libraries
        if row.name == "nvrtc"
    ]
    said += [
        f"{provider or 'the environment'} brings {_count(data[provider, kind])} of GPU code (.{kind}) that only its "
        "own program can tell"
        for provider, kind in sorted(data)
    ]
    if any(_CUDNN_JIT.match(file.path.rpartition("/")[2]) for _, file in provided_files(environment)):
        said.append("cudnn compiles some of its kernels when they run")
    return tuple(sorted(set(said)))


def _jit(environment: Environment, with_gpu: bool) -> Iterator[tuple[str, str, str]]:  # noqa: FBT001  # of this module
    names = [(dist_name(one), one.version) for one in environment.distributions]
    names += [(record.name, record.version) for record in environment.conda]
    for name, version in sorted(set(names)):
        how = _JIT.get(name) or next((text for pattern, text in _JIT_NAMES if pattern.match(name)), "")
        how = how or (_JIT_WITH_GPU.get(name, "") if with_gpu else "")
        if how:
            yield name, safe_version(version), how


def _data_files(environment: Environment) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for provider, file in provided_files(environment):
        kind = file.path.rpartition(".")[2]
        if kind in _DATA and not _TESTS.isdisjoint(file.path.split("/")[:-1]):
            continue  # numba brings PTX for its own tests, to those who use it on CPUs alone as well
        if kind in _DATA:
            counts[provider, kind] = counts.get((provider, kind), 0) + 1
    return counts


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _tools(environment: Environment, name: str) -> str:
    """Name the assemblers that Triton brings: they, not the CUDA beside it, say which GPUs it knows."""
    if "triton" not in name:
        return ""
    found = {
        match[1]: _tool_version(environment.prefix, file)
        for _, file in provided_files(environment)
        if (match := _PTXAS.search(file.path))
    }
    named = ", ".join(f"{tool} {found[tool]}" for tool in sorted(found) if found[tool])
    return f" ({named})" if named else ""


def _tool_version(prefix: Path, file: InstalledFile) -> str:
    """Search a program for what it says about itself."""
    tail, done = b"", 0
    try:
        with file.location(prefix).open("rb") as stream:
            while done < _LARGEST_TOOL and (chunk := stream.read(_CHUNK)):
                done += len(chunk)
                if match := _RELEASE.search(tail + chunk):
                    return match[1].decode()
                tail = chunk[-_OVERLAP:]
    except OSError:
        pass
    return ""
