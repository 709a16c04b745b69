"""What is said of GPUs: the code in an image, what it needs of a server, and what a machine has.

`GpuStack` is the lock's `[gpu]`, derived from files alone and thus the same on every machine. `GpuMachine` is evidence,
the lock's `[session.gpu]`: it is shown and compared, and never part of an environment's identity. Its fields are an
allow-list: nothing here can hold a UUID, a serial number, a bus address or a host name. Source: `notes/gpu.md` §7.

Targets are written as compilers write them: `sm_90`, `sm_90a`, `sm_100f` (machine code for NVIDIA), `compute_90@9.0`
(PTX, with its ISA version), `gfx90a`, `gfx90a:xnack-`, `gfx9-4-generic` (AMD), `spir64` (SYCL). Architectures of
devices are written as their makers do: `9.0` (CUDA's compute capability), `gfx942`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NVIDIA, AMD, INTEL = "nvidia", "amd", "intel"
VENDOR_NAMES = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel"}
"""As the makers write themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSet:
    """Containers of one library that hold code for the same targets.

    A library has a container for each translation unit, and runs on a device if each of them has code for it. The
    union of their targets would say that it runs where some kernels are missing.

    Attributes:
        count: How many such containers.
        targets: Sorted as text.
    """

    count: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCode:
    """The GPU code of one file.

    Attributes:
        file: Relative to the environment's prefix.
        provider: Package that brings it, or empty.
        sets: Sorted by targets.
        jit: Kinds of code in it that no target tells: `lto` (compiled when it runs), `relocatable` (of no use by
            itself), `unknown-…`.
    """

    file: str
    provider: str = ""
    sets: tuple[CodeSet, ...] = ()
    jit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLibrary:
    """A part of the GPU stack that is in the image.

    Attributes:
        name: `cuda`, `cudart`, `cudart (static)`, `cudnn`, `nccl`, `cublas`, …, `rocm`, `level-zero`.
        version: Its version, or empty if nobody says it.
        provider: Package that brings it, with how it was seen: `nvidia-cudnn-cu13`, `conda:cudnn`, `debian:libnccl2`.
    """

    name: str
    version: str
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFramework:
    """What a framework was built for, as its files say.

    Attributes:
        name: `torch`, `jax`, `tensorflow`, `cupy`, ….
        version: Its version.
        built_for: Toolkit: `cuda 13.2`, `rocm 7.0`, `xpu 2026.0`, `cpu`.
    """

    name: str
    version: str
    built_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNeed:
    """One thing that a server must have, derived and minimal.

    Attributes:
        subject: What it is about: `nvidia-driver` (version of the kernel driver), `compute-capability`,
            `nvidia-driver-jit` (driver that compiles the PTX which some device needs), `amdgpu`, `gfx`.
        at_least: Lowest version that runs, or empty. A need without any bound says that nothing suits.
        at_most: Highest version or branch that runs, or empty.
        one_of: Values that run, where they are no range, in the subject's order; for `nvidia-driver-jit` the
            capabilities that need such a driver.
        because: Reasons, sorted: `cudart 13.2 of nvidia-cuda-runtime 13.2.75`.
    """

    subject: str
    at_least: str = ""
    at_most: str = ""
    one_of: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuStack:
    """The lock's `[gpu]`: empty for an environment without GPU code.

    Attributes:
        rules: Version of the compatibility table by which `needs` was derived.
        libraries: Sorted by name and provider.
        frameworks: Sorted by name.
        code: Sorted by file.
        needs: Sorted by subject.
        blind: What the analysis can't see, sorted: `triton 3.9.0 compiles its kernels when they run`.
    """

    rules: str = ""
    libraries: tuple[GpuLibrary, ...] = ()
    frameworks: tuple[GpuFramework, ...] = ()
    code: tuple[GpuCode, ...] = ()
    needs: tuple[GpuNeed, ...] = ()
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDriver:
    """The driver of one maker on a machine.

    Attributes:
        vendor: `nvidia`, `amd` or `intel`.
        version: Of the kernel's half: `580.95.05`; for an AMD driver of the kernel itself, the kernel's release.
        user: Of the user's half (libcuda, ROCm, compute-runtime) where it was seen, else empty.
        api: Highest CUDA that it speaks, such as `13.0`, else empty.
        flavour: `open`, `proprietary`, `in-tree`, `dkms`, or empty.
        library: What libcuda is: `host`, `compat`, `wsl`, `stub`, or empty.
        sources: Version by each source that answered: `{"/proc/driver/nvidia/version": "580.95.05"}`.
    """

    vendor: str
    version: str = ""
    user: str = ""
    api: str = ""
    flavour: str = ""
    library: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDevice:
    """Devices of one kind on a machine.

    Attributes:
        vendor: `nvidia`, `amd` or `intel`.
        name: As its maker sells it.
        arch: `9.0` or `gfx942`; empty if nobody told.
        pci: Vendor and device, `10de:2330`: a model, not a device.
        count: How many.
        memory_mib: Memory of one in MiB, 0 if nobody told.
        traits: What changes what runs or results: `mig`, `mig-devices`, `ecc`, `persistence`, `compute-mode`, `link`,
            `partition`, `xnack`, `driver`.
    """

    vendor: str
    name: str
    arch: str = ""
    pci: str = ""
    count: int = 1
    memory_mib: int = 0
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuGap:
    """A fact that could not be had.

    Attributes:
        fact: `ecc`, `driver`, ….
        why: In the source's words, scrubbed: `NVML 4: no permission`.
    """

    fact: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMachine:
    """What a machine has; empty where it has no GPU.

    Attributes:
        context: `bare`, `container`, `wsl2`, `jetson`, `vgpu`, or empty with no GPU.
        drivers: Sorted by vendor.
        devices: Sorted by vendor, name, architecture and traits.
        gaps: Sorted.
    """

    context: str = ""
    drivers: tuple[GpuDriver, ...] = ()
    devices: tuple[GpuDevice, ...] = ()
    gaps: tuple[GpuGap, ...] = ()
