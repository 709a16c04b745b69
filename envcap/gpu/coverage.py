"""How much of a library has code for a device, container by container. Pure.

A library has a container for each translation unit, and needs code in each: the union of its targets proves nothing
(measured in `notes/gpu.md` §3). Two kinds of container are no gap where they have no code for a device: those made
for one architecture on purpose (all targets end in `a` or `f`) beside others made for all, and those of libraries that
choose code by device themselves, which the table names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from envcap.gpu.lookup import known_library
from envcap.gpu.model import AMD, NVIDIA, CodeSet, GpuCode
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import (
    AmdTarget,
    CudaTarget,
    can_compile,
    is_native,
    runs_on_processor,
    target_or_none,
    vendor_of_target,
)
from envcap.gpu.versions import Version

_VARIANT = re.compile(r"(?<![a-z])(?:cuda|cu|sm_?|rocm)[0-9]{2,4}[af]?(?![0-9a-z])")
"""What in a path tells variants of one library apart, of which a program loads one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Containers of one library, by what a device can do with them.

    Attributes:
        native: With machine code for it.
        compiled: By PTX ISA, those that the driver must compile; an empty version where nobody told the ISA.
        missing: Without code for it.
    """

    native: int = 0
    compiled: Mapping[Version, int]
    missing: int = 0

    @property
    def total(self) -> int:
        """Give the number of containers that count for the device."""
        return self.native + sum(self.compiled.values()) + self.missing


def sets_for(code: GpuCode, vendor: str) -> tuple[CodeSet, ...]:
    """Give the containers with code for a vendor's devices."""
    return tuple(row for row in code.sets if vendor in _vendors(row.targets))


def cover_capability(code: GpuCode, capability: Version) -> Coverage:
    """Count what a library has for a compute capability."""
    native, missing, special_missing, general = 0, 0, 0, False
    compiled: dict[Version, int] = {}
    for row in sets_for(code, NVIDIA):
        reach = _reach(row.targets, capability)
        general |= not reach.special
        if reach.native:
            native += row.count
        elif reach.isa is not None:
            compiled[reach.isa] = compiled.get(reach.isa, 0) + row.count
        elif reach.special:
            special_missing += row.count
        else:
            missing += row.count
    return Coverage(native=native, compiled=compiled, missing=missing + (0 if general else special_missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What a compute capability can do with a container.

    Attributes:
        special: Whether it was made for one architecture on purpose.
        native: Whether it has machine code for the capability.
        isa: Of the PTX nearest to the capability, if one can be compiled for it.
    """

    special: bool
    native: bool
    isa: Version | None


# Asked for by what a container holds: a library has few kinds of them, and a large one's hash takes longer than this.
@lru_cache(maxsize=32768)
def _reach(texts: tuple[str, ...], capability: Version) -> _Reach:
    targets = [target for target in _targets(texts) if isinstance(target, CudaTarget)]
    ptx = [target for target in targets if can_compile(target, capability)]
    return _Reach(
        special=bool(targets) and all(target.suffix for target in targets),
        native=any(is_native(target, capability) for target in targets),
        # The driver takes the PTX nearest to the device.
        isa=max(ptx, key=lambda target: (target.capability, target.isa)).isa if ptx else None,
    )


@lru_cache(maxsize=32768)
def _vendors(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(vendor_of_target, texts))


def cover_processor(code: GpuCode, processor: str, traits: Mapping[str, str], table: GpuTable) -> Coverage:
    """Count what a library has for a processor of AMD."""
    generics = {row.target: row.processors for row in table.generics}
    native = missing = 0
    for row in sets_for(code, AMD):
        targets = [target for target in _targets(row.targets) if isinstance(target, AmdTarget)]
        if any(runs_on_processor(target, processor, traits, generics) for target in targets):
            native += row.count
        else:
            missing += row.count
    return Coverage(native=native, compiled={}, missing=missing)


def runs_whole(code: GpuCode, capability: Version, table: GpuTable) -> bool:
    """Tell whether a library runs on a compute capability with a driver that is new enough for its PTX."""
    coverage = cover_capability(code, capability)
    library = known_library(code.file, table)
    if library is None:
        return not coverage.missing
    return library.optional or coverage.missing < coverage.total


def alternatives(codes: Iterable[GpuCode], vendor: str) -> tuple[tuple[GpuCode, ...], ...]:
    """Group the libraries with code for a vendor's devices by what a program loads one of.

    Returns:
        Groups of one, but for variants of a package that differ in the number of a toolkit or an architecture in their
        path, as `libbitsandbytes_cuda126.so` and `libbitsandbytes_cuda130.so` do: the package chooses when it runs.
    """
    groups: dict[tuple[str, str], list[GpuCode]] = {}
    for code in codes:
        if sets_for(code, vendor):
            groups.setdefault((code.provider, _VARIANT.sub("*", code.file)), []).append(code)
    return tuple(tuple(group) for group in groups.values())


def runs_group(group: tuple[GpuCode, ...], capability: Version, table: GpuTable) -> bool:
    """Tell whether one of the variants of a library runs on a compute capability."""
    return any(runs_whole(code, capability, table) for code in group)


def _targets(texts: tuple[str, ...]) -> list[CudaTarget | AmdTarget]:
    return [target for text in texts if (target := target_or_none(text)) is not None]
