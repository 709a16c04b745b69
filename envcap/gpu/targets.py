"""Targets of GPU code: their spelling, and which device runs which. Pure.

Rules for NVIDIA (CUDA Programming Guide, "Compute capabilities"; LLVM D138600, D155851):
machine code `sm_XY` runs on X.Z with Z >= Y; the suffix `a` binds it to its own capability, `f` to the family, that is
its major; PTX `compute_XY` can be compiled for every capability from X.Y on, within the same limits of `a` and `f`.
Tegra, the chip of Jetson, runs machine code of its own capability alone, and nothing else runs that (CUDA Programming
Guide, "Binary compatibility": "not supported for Tegra"; measured on an Orin in jax-ml/jax#40492: no `sm_80`, PTX yes).

AMD has nothing like PTX: code runs on the processor it names, or on the processors of its generic target, and where
it names a feature (`xnack+`) the device must have it so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from envcap.errors import EnvcapError
from envcap.gpu.model import AMD, NVIDIA
from envcap.gpu.versions import Version

_CUDA = re.compile(r"(sm|compute)_([1-9][0-9]{0,2})([0-9])([af]?)(?:@([0-9]{1,2})\.([0-9]{1,2}))?", re.ASCII)
_GFX = re.compile(r"(gfx[0-9a-f]{3,5}|gfx[0-9]{1,2}(?:-[0-9]{1,2})?-generic)((?::[a-z]{1,16}[+-]){0,4})", re.ASCII)
_CAPABILITY = re.compile(r"([1-9][0-9]{0,2})\.([0-9])", re.ASCII)

TEGRA = frozenset({(3, 2), (5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)})
"""Capabilities of Tegra (NVIDIA "CUDA GPUs", Jetson); Thor's 10.1 is called 11.0 since CUDA 13 (LLVM PR 156857)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaTarget:
    """What a compiler of NVIDIA made code for.

    Attributes:
        ptx: Whether it is PTX, compiled by the driver, and not machine code.
        capability: (9, 0).
        suffix: `a`, `f` or empty.
        isa: Version of the PTX ISA, (9, 0); empty for machine code and where nobody told.
    """

    ptx: bool
    capability: Version
    suffix: str = ""
    isa: Version = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdTarget:
    """What a compiler of AMD made code for.

    Attributes:
        processor: `gfx90a` or `gfx9-4-generic`.
        features: Features that must be as said, such as (`xnack`, `+`).
    """

    processor: str
    features: tuple[tuple[str, str], ...] = ()


def vendor_of_target(text: str) -> str:
    """Tell by its spelling whose devices a target is for; empty if nobody's that envcap knows rules for."""
    if text.startswith(("sm_", "compute_")):
        return NVIDIA
    return AMD if text.startswith("gfx") else ""


def parse_target(text: str) -> CudaTarget | AmdTarget:
    """Read a target.

    Raises:
        EnvcapError: It is none.
    """
    if match := _CUDA.fullmatch(text):
        code, major, minor, suffix, isa_major, isa_minor = match.groups()
        if isa_major is None or code == "compute":
            isa = () if isa_major is None else (int(isa_major), int(isa_minor))
            return CudaTarget(ptx=code == "compute", capability=(int(major), int(minor)), suffix=suffix, isa=isa)
    if match := _GFX.fullmatch(text):
        processor, features = match.groups()
        pairs = tuple((feature[:-1], feature[-1]) for feature in features.split(":") if feature)
        return AmdTarget(processor=processor, features=pairs)
    raise EnvcapError(f"{text[:40]!r} is no target of GPU code: expected one such as sm_90a, compute_90@9.0, gfx90a")


@lru_cache(maxsize=4096)
def target_or_none(text: str) -> CudaTarget | AmdTarget | None:
    """Read a target; None for what nobody here knows, which has nothing for any device."""
    try:
        return parse_target(text)
    except EnvcapError:
        return None


def parse_capability(text: str) -> Version | None:
    """Read a compute capability, (9, 0) of `9.0`; None for anything else."""
    match = _CAPABILITY.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def format_capability(capability: Version) -> str:
    """Write a compute capability as its maker does."""
    return ".".join(map(str, capability))


def is_native(target: CudaTarget, capability: Version) -> bool:
    """Tell whether a device of a compute capability runs this machine code."""
    if target.capability != capability and not TEGRA.isdisjoint((target.capability, capability)):
        return False
    return not target.ptx and target.capability[0] == capability[0] and _fits(target, capability)


def can_compile(target: CudaTarget, capability: Version) -> bool:
    """Tell whether a driver can compile this PTX for a compute capability; whether one does depends on its ISA."""
    return target.ptx and _fits(target, capability)


def _fits(target: CudaTarget, capability: Version) -> bool:
    match target.suffix:
        case "a":
            return capability == target.capability
        case "f":
            return capability[0] == target.capability[0] and capability >= target.capability
        case _:
            return capability >= target.capability


def runs_on_processor(
    target: AmdTarget, processor: str, traits: Mapping[str, str], generics: Mapping[str, tuple[str, ...]]
) -> bool:
    """Tell whether a device of AMD runs this code.

    Args:
        target: What the code was made for.
        processor: The device's, `gfx942`.
        traits: The device's features, such as `{"xnack": "-"}`; what isn't there is not known, and forbids nothing.
        generics: Processors by generic target.
    """
    if target.processor != processor and processor not in generics.get(target.processor, ()):
        return False
    return all(_sign(traits.get(name, "")) in {"", sign} for name, sign in target.features)


def _sign(trait: str) -> str:
    return {"+": "+", "on": "+", "enabled": "+", "-": "-", "off": "-", "disabled": "-"}.get(trait, "")
