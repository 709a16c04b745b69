"""Tells for which GPU toolkit frameworks were built, as their own files say: read, never imported.

What is read: `torch/version.py` and `tensorflow/python/platform/build_info.py` as literals, the requirements of
`jax-cuda12-plugin`, and names: `cupy-cuda12x`, `faiss-gpu-cu12`, a version's label `+cu128` (PEP 440, local version
identifiers), a conda build string `cuda126py311…`. That a framework was built for a toolkit says nothing about what is
installed beside it: that is `envcap.scan.gpu_libraries`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from envcap.environment import CondaRecord, Distribution, Environment, InstalledFile
from envcap.gpu.model import GpuFramework
from envcap.scan.gpu_files import dist_name, safe_version

CPU: Final = "cpu"

_LARGEST: Final = 64 << 10
_LARGEST_METADATA: Final = 1 << 20
_SAID: Final = re.compile(r"(\d{1,8}(?:\.\d{1,4})?)(?:[.+-].{0,60})?\Z")
_TORCH: Final = "torch/version.py"
_TENSORFLOW: Final = "tensorflow/python/platform/build_info.py"
_JAX: Final = re.compile(r"jax-(cuda|rocm)(\d{2,3})-plugin\Z")
_JAX_COMPILER: Final = re.compile(
    r"^Requires-Dist: nvidia-cuda-nvcc(?:-cu\d{2})?>=(\d{1,3}\.\d{1,3})[.\d]{0,12}", re.MULTILINE
)
_NAME: Final = re.compile(r"(.{1,64}?)-(?:gpu-)?(?:(?:cuda|cu)(\d{2})(\d)?x?|rocm-(\d{1,2})-(\d{1,2}))\Z")
_LABEL: Final = re.compile(
    r"[^+]{1,64}\+(?:.{0,32}\.)?(?:(cu)(\d{2})(\d)|(rocm)(\d{1,2})\.(\d{1,2})|(xpu)|(cpu))(?![0-9a-z])"
)
_BUILD: Final = re.compile(r"(?:.{0,32}_)?cuda_?(\d{2})(\d)(?!\d)")
_PARTS: Final = re.compile(
    r"(?:nvidia|cuda|rocm|pytorch-triton|triton|jax|cutensor|cuquantum|custatevec|tensorrt)(?:-|\Z)"
)
"""Libraries, which `envcap.scan.gpu_libraries` lists, and parts of frameworks."""


def find_gpu_frameworks(environment: Environment) -> tuple[GpuFramework, ...]:
    """List frameworks that say what they were built for, sorted by name; those for the CPU alone are `cpu`."""
    found: dict[str, GpuFramework] = {}
    for row in (
        *_of_names(environment), *_of_builds(environment), *_of_jax(environment), *_of_literals(environment)
    ):  # fmt: skip
        found[row.name] = row  # what a file of its own says comes last, and counts
    return tuple(found[name] for name in sorted(found))


def _of_names(environment: Environment) -> Iterator[GpuFramework]:
    for distribution in environment.distributions:
        name = dist_name(distribution)
        match = _NAME.match(name)
        if match and not _PARTS.match(name):
            major, minor = match[2] or match[4], match[3] or match[5]
            toolkit = f"{'cuda' if match[2] else 'rocm'} {major}{f'.{minor}' if minor else ''}"
            yield GpuFramework(name=match[1], version=_version(distribution), built_for=toolkit)
        elif (label := _LABEL.match(distribution.version)) and not _PARTS.match(name):
            yield GpuFramework(name=name, version=_version(distribution), built_for=_of_label(label))


def _of_label(label: re.Match[str]) -> str:
    if label[1]:
        return f"cuda {label[2]}.{label[3]}"
    return f"rocm {label[5]}.{label[6]}" if label[4] else label[7] or CPU


def _of_builds(environment: Environment) -> Iterator[GpuFramework]:
    for record in environment.conda:
        match = _BUILD.match(record.build)
        if match and not _PARTS.match(record.name) and re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", record.name):
            version = safe_version(record.version)
            yield GpuFramework(name=record.name, version=version, built_for=f"cuda {match[1]}.{match[2]}")


def _of_jax(environment: Environment) -> Iterator[GpuFramework]:
    """Read what JAX's plugins need: the CUDA compiler that they demand is the one of their build, or older."""
    for distribution in environment.distributions:
        match = _JAX.match(dist_name(distribution))
        if not match:
            continue
        toolkit = f"cuda {match[2]}" if match[1] == "cuda" else f"rocm {match[2][0]}.{match[2][1:]}"
        text = _text(environment.prefix, distribution.files, f"{distribution.directory}/METADATA", _LARGEST_METADATA)
        if compiler := _JAX_COMPILER.search(text):
            toolkit = f"cuda {compiler[1]}"
        yield GpuFramework(name="jax", version=_version(distribution), built_for=toolkit)


def _of_literals(environment: Environment) -> Iterator[GpuFramework]:
    owners: list[Distribution | CondaRecord] = [*environment.distributions, *environment.conda]
    for owner in owners:
        for file in owner.files:
            if file.path.endswith(f"/{_TORCH}"):
                said = _literals(_read(file.location(environment.prefix)))
                yield GpuFramework(name="torch", version=_version(owner), built_for=_of_torch(said))
            elif file.path.endswith(f"/{_TENSORFLOW}"):
                said = _literals(_read(file.location(environment.prefix)))
                toolkit = _toolkit("cuda", said.get("cuda_version", "")) or CPU
                yield GpuFramework(name="tensorflow", version=_version(owner), built_for=toolkit)


def _of_torch(said: Mapping[str, str]) -> str:
    rocm = said.get("rocm") or said.get("hip", "")
    return (
        _toolkit("cuda", said.get("cuda", "")) or _toolkit("rocm", rocm) or _toolkit("xpu", said.get("xpu", "")) or CPU
    )


def _toolkit(name: str, said: str) -> str:
    match = _SAID.match(said)
    return f"{name} {match[1]}" if match else ""


def _literals(source: str) -> dict[str, str]:
    """Collect the texts that a module assigns to names, or pairs with texts as keys in a table."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                found.update(_pairs(name, value))
            case _:
                pass
    return found


def _pairs(name: str, value: ast.expr | None) -> Iterator[tuple[str, str]]:
    match value:
        case ast.Constant(value=str(text)):
            yield name, text
        case ast.Dict(keys=keys, values=values):
            for key, one in zip(keys, values, strict=True):
                match key, one:
                    case ast.Constant(value=str(text)), ast.Constant(value=str(other)):
                        yield text, other
                    case _:
                        pass
        case ast.Call(args=[ast.Dict() as table]):
            yield from _pairs(name, table)
        case ast.Call(args=[ast.List(elts=rows)]):
            for row in rows:
                match row:
                    case ast.Tuple(elts=[ast.Constant(value=str(text)), ast.Constant(value=str(other))]):
                        yield text, other
                    case _:
                        pass
        case _:
            pass


def _text(prefix: Path, files: tuple[InstalledFile, ...], path: str, largest: int) -> str:
    return next((_read(file.location(prefix), largest) for file in files if file.path == path), "")


def _read(path: Path, largest: int = _LARGEST) -> str:
    """Read a small file; empty where it is larger than such files are, or can't be read."""
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= largest else ""


def _version(owner: Distribution | CondaRecord) -> str:
    return safe_version(owner.version)
