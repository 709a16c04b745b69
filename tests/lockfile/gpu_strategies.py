"""Hypothesis strategies for the GPU tables of locks: everything that `check_gpu` accepts."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from envcap.gpu.model import (
    CodeSet,
    GpuCode,
    GpuDevice,
    GpuDriver,
    GpuFramework,
    GpuGap,
    GpuLibrary,
    GpuMachine,
    GpuNeed,
    GpuStack,
)

T = TypeVar("T")

_VERSIONS = ("13.2.2", "580.95.05", "9.26.0.51", "7.0", "6.8.0-31-generic")
_TARGETS = ("sm_75", "sm_90a", "sm_100f", "compute_90@9.0", "gfx90a", "gfx9-4-generic", "spir64")
_WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Nd", "Zl", "Zp"]), min_size=1, max_size=20)


def _ordered(values: SearchStrategy[T], key: Callable[[T], object], size: int = 3) -> SearchStrategy[tuple[T, ...]]:
    unique = st.lists(values, max_size=size, unique_by=key)
    return unique.map(lambda rows: tuple(sorted(rows, key=key)))  # type: ignore[arg-type]  # keys are texts or tuples


def gpu_stacks() -> SearchStrategy[GpuStack]:
    """Any `[gpu]`."""
    targets = _ordered(st.sampled_from(_TARGETS), str)
    code = st.builds(
        GpuCode,
        file=st.sampled_from(["lib/a.so", "lib/python3.11/site-packages/torch/lib/libtorch_cuda.so"]),
        provider=st.sampled_from(["", "torch", "conda:cudnn"]),
        sets=_ordered(st.builds(CodeSet, count=st.integers(1, 5000), targets=targets), lambda row: row.targets),
        jit=_ordered(st.sampled_from(["lto", "relocatable"]), str),
    )
    need = st.builds(
        GpuNeed,
        subject=st.sampled_from(["nvidia-driver", "compute-capability", "gfx"]),
        at_least=st.sampled_from(_VERSIONS),
        at_most=st.sampled_from(["", *_VERSIONS]),
        one_of=_ordered(st.sampled_from(["7.5", "gfx942"]), str),
        because=_ordered(_WORDS, str),
    )
    libraries = st.builds(
        GpuLibrary, name=st.sampled_from(["cuda", "cudnn"]), version=st.sampled_from(_VERSIONS), provider=_WORDS
    )
    frameworks = st.builds(
        GpuFramework, name=st.sampled_from(["torch", "jax"]), version=st.sampled_from(_VERSIONS), built_for=_WORDS
    )
    return st.builds(
        GpuStack,
        rules=st.sampled_from(["", "2026.11.1"]),
        libraries=_ordered(libraries, lambda row: (row.name, row.provider, row.version)),
        frameworks=_ordered(frameworks, lambda row: row.name),
        code=_ordered(code, lambda row: row.file),
        needs=_ordered(need, lambda row: (row.subject, row.at_least, row.at_most, row.one_of)),
        blind=_ordered(_WORDS, str),
    )


def gpu_machines() -> SearchStrategy[GpuMachine]:
    """Any `[session.gpu]`."""
    vendors = st.sampled_from(["nvidia", "amd", "intel"])
    driver = st.builds(
        GpuDriver,
        vendor=vendors,
        version=st.sampled_from(["", *_VERSIONS]),
        user=st.sampled_from(["", *_VERSIONS]),
        api=st.sampled_from(["", "13.0"]),
        flavour=st.sampled_from(["", "open", "in-tree"]),
        library=st.sampled_from(["", "host", "compat"]),
        sources=st.dictionaries(st.sampled_from(["/proc/driver/nvidia/version", "NVML"]), st.sampled_from(_VERSIONS)),
    )
    device = st.builds(
        GpuDevice,
        vendor=vendors,
        name=st.sampled_from(["NVIDIA H100 80GB HBM3", "AMD Instinct MI300X"]),
        arch=st.sampled_from(["", "9.0", "gfx942"]),
        pci=st.sampled_from(["", "10de:2330"]),
        count=st.integers(1, 16),
        memory_mib=st.integers(0, 1 << 20),
        traits=st.dictionaries(st.sampled_from(["mig", "ecc", "link"]), _WORDS, max_size=2),
    )
    return st.builds(
        GpuMachine,
        context=st.sampled_from(["", "bare", "container", "wsl2"]),
        drivers=_ordered(driver, lambda row: row.vendor),
        devices=_ordered(
            device,
            lambda row: (row.vendor, row.name, row.arch, row.pci, row.memory_mib, tuple(sorted(row.traits.items()))),
        ),
        gaps=_ordered(
            st.builds(GpuGap, fact=st.sampled_from(["ecc", "driver"]), why=_WORDS), lambda row: (row.fact, row.why)
        ),
    )
