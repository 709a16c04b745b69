"""What an environment needs of a server, derived from its files and the compatibility table. Pure.

Nothing here comes from the machine of the snapshot. Needs are minimal: no driver for PTX that a lower bound covers
already, no ceiling where some GPU has none; and each has its reasons.
"""

from collections.abc import Iterable, Sequence

from envcap.gpu.coverage import alternatives, cover_capability, cover_processor, runs_group
from envcap.gpu.lookup import cuda_of_ptx, floor_of, kernel_drivers_for, known_library, native_driver
from envcap.gpu.model import AMD, NVIDIA, GpuCode, GpuFramework, GpuLibrary, GpuNeed
from envcap.gpu.runtimes import cuda_runtimes, rocm_runtimes
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import TEGRA, format_capability
from envcap.gpu.versions import Version, dotted, parse_version

DRIVER, CAPABILITY, JIT = "nvidia-driver", "compute-capability", "nvidia-driver-jit"
AMDGPU, GFX = "amdgpu", "gfx"
_TARGETS_SHOWN = 12

Group = tuple[GpuCode, ...]


def derive_needs(
    libraries: Iterable[GpuLibrary], frameworks: Iterable[GpuFramework], code: Iterable[GpuCode], table: GpuTable
) -> tuple[GpuNeed, ...]:
    """Derive what a server must have.

    Args:
        libraries: Parts of the GPU stack in the environment; see `cuda_runtimes`.
        frameworks: What was built for which toolkit.
        code: GPU code by file.
        table: The compatibility table; a lock says by which `rules` its needs were derived.

    Returns:
        Needs, sorted by subject and bound: `nvidia-driver`, `compute-capability`, `nvidia-driver-jit` (with the
        capabilities that need it in `one_of`), `amdgpu`, `gfx`. A need without any bound says that nothing suits.
    """
    libraries, frameworks, code = tuple(libraries), tuple(frameworks), tuple(sorted(code, key=_place))
    needs = [
        *_nvidia(libraries, frameworks, code, table),
        *_amd(libraries, frameworks, code, table),
    ]
    return tuple(sorted(needs, key=lambda need: (need.subject, parse_version(need.at_least) or (), need.one_of)))


def capabilities_of(groups: Sequence[Group], table: GpuTable) -> tuple[Version, ...]:
    """List the known compute capabilities on which all of some libraries run."""
    known = [row.version for row in table.capabilities]
    return tuple(version for version in known if all(runs_group(group, version, table) for group in groups))


def required_groups(code: Iterable[GpuCode], table: GpuTable) -> tuple[Group, ...]:
    """List the libraries with code for NVIDIA that a program may need; features that may be missing are none."""
    groups = alternatives(code, NVIDIA)
    return tuple(group for group in groups if not all(_is_optional(one, table) for one in group))


def _nvidia(
    libraries: tuple[GpuLibrary, ...],
    frameworks: tuple[GpuFramework, ...],
    code: tuple[GpuCode, ...],
    table: GpuTable,
) -> list[GpuNeed]:
    groups = required_groups(code, table)
    capabilities = capabilities_of(groups, table)
    ceilings = [row.last_branch for row in table.capabilities if row.version in capabilities]
    ceiling = str(max(ceilings)) if groups and ceilings and all(ceilings) else ""
    runtimes = cuda_runtimes(libraries, frameworks, code, table)
    floors = {runtime: floor.driver for runtime in runtimes if (floor := floor_of(runtime.version[0], table))}
    lowest = max(floors.values(), key=_order, default="")
    needs = []
    if lowest or ceiling:
        because = {runtime.because for runtime, driver in floors.items() if driver == lowest}
        needs.append(
            GpuNeed(subject=DRIVER, at_least=lowest, at_most=ceiling, because=tuple(sorted(because)[:_TARGETS_SHOWN]))
        )
    if groups:
        needs.append(_capability_need(groups, capabilities, table))
        needs += _jit_needs(groups, capabilities, lowest, table)
    return needs


def _capability_need(groups: tuple[Group, ...], capabilities: tuple[Version, ...], table: GpuTable) -> GpuNeed:
    # Jetson's lie between those of cards and belong to none: they part no range, and the code itself says them exactly.
    every = (row.version for row in table.capabilities)
    known = tuple(version for version in every if version in capabilities or version not in TEGRA)
    first = known.index(capabilities[0]) if capabilities else 0
    unbroken = bool(capabilities) and known[first : first + len(capabilities)] == capabilities
    open_end = unbroken and capabilities[-1] == known[-1]
    return GpuNeed(
        subject=CAPABILITY,
        at_least=format_capability(capabilities[0]) if unbroken else "",
        at_most=format_capability(capabilities[-1]) if unbroken and not (open_end and _forward(groups)) else "",
        one_of=() if unbroken else tuple(format_capability(version) for version in capabilities),
        because=tuple(sorted(_say_code(group) for group in _deciding(groups, capabilities, table))),
    )


def _forward(groups: tuple[Group, ...]) -> bool:
    """Tell whether all have PTX for GPUs to come."""
    return all(
        any(not cover_capability(code, (99, 0)).missing and cover_capability(code, (99, 0)).total for code in group)
        for group in groups
    )


def _deciding(groups: tuple[Group, ...], capabilities: tuple[Version, ...], table: GpuTable) -> list[Group]:
    """Choose few libraries that alone leave the same capabilities: the strictest first, until nothing is left over."""
    own = {group: set(capabilities_of((group,), table)) for group in groups}
    left = {row.version for row in table.capabilities}
    chosen: list[Group] = []
    rest = sorted(groups, key=lambda group: (len(own[group]), group[0].provider, group[0].file))
    while left != set(capabilities) and rest:
        best = min(rest, key=lambda group: len(left & own[group]))
        rest.remove(best)
        if left & own[best] != left:
            left &= own[best]
            chosen.append(best)
    return chosen or rest[:1]


def _jit_needs(
    groups: tuple[Group, ...], capabilities: tuple[Version, ...], lowest: str, table: GpuTable
) -> list[GpuNeed]:
    """Tell which driver compiles the PTX that some capabilities run on, where the lowest driver doesn't."""
    wanted: dict[str, tuple[set[Version], set[str]]] = {}
    for capability in capabilities:
        if capability in TEGRA:
            continue  # whose drivers are numbered otherwise
        for group in groups:
            if (cuda := _jit_cuda(group, capability, table)) is None:
                continue
            driver = native_driver(cuda, table) or f"CUDA {dotted(cuda)}"
            if lowest and parse_version(driver) and _order(driver) <= _order(lowest):
                continue
            which, because = wanted.setdefault(driver, (set(), set()))
            which.add(capability)
            because.add(f"PTX of CUDA {dotted(cuda)} in {_name(group[0])}")
    return [
        GpuNeed(
            subject=JIT,
            at_least=driver,
            one_of=tuple(format_capability(version) for version in sorted(which)),
            because=tuple(sorted(because)),
        )
        for driver, (which, because) in wanted.items()
    ]


def _jit_cuda(group: Group, capability: Version, table: GpuTable) -> Version | None:
    """Give the CUDA that the best variant of a library needs of the driver's compiler; None if it needs none."""
    found: list[Version] = []
    for code in group:
        if not runs_group((code,), capability, table):
            continue
        coverage = cover_capability(code, capability)
        known = known_library(code.file, table)
        if not coverage.compiled or (known and known.dispatches and coverage.native):
            return None
        needed = [cuda for isa in coverage.compiled if (cuda := cuda_of_ptx(isa, table))]
        found += [max(needed)] if needed else []
    return min(found) if found else None


def _amd(
    libraries: tuple[GpuLibrary, ...],
    frameworks: tuple[GpuFramework, ...],
    code: tuple[GpuCode, ...],
    table: GpuTable,
) -> list[GpuNeed]:
    needs = []
    # Packages for CUDA carry code for AMD beside it: only an environment with ROCm runs it.
    runtimes = rocm_runtimes(libraries, frameworks)
    if not runtimes and cuda_runtimes(libraries, frameworks, code, table):
        return []
    if runtimes and (drivers := kernel_drivers_for(dotted(runtimes[0].version), table)):
        because = tuple(sorted(one.because for one in runtimes if one.version == runtimes[0].version))
        needs.append(GpuNeed(subject=AMDGPU, one_of=drivers, because=because))
    if groups := alternatives(code, AMD):
        known = dict.fromkeys(model.arch for model in table.models if model.vendor == AMD)
        runs = tuple(arch for arch in known if all(_runs_on(group, arch, table) for group in groups))
        strict = [group for group in groups if not all(_runs_on(group, arch, table) for arch in known)]
        because = tuple(sorted(_say_code(group) for group in strict[:_TARGETS_SHOWN]))
        needs.append(GpuNeed(subject=GFX, one_of=runs, because=because))
    return needs


def _runs_on(group: Group, arch: str, table: GpuTable) -> bool:
    for code in group:
        coverage = cover_processor(code, arch, {}, table)
        known = known_library(code.file, table)
        if coverage.native and (not coverage.missing or (known and known.dispatches)):
            return True
    return False


def _is_optional(code: GpuCode, table: GpuTable) -> bool:
    known = known_library(code.file, table)
    return known is not None and known.optional


def _say_code(group: Group) -> str:
    code = group[0]
    targets = dict.fromkeys(target for one in group for row in one.sets for target in row.targets)
    shown = sorted(targets, key=lambda target: (not target.startswith("sm_"), len(target.partition("@")[0]), target))
    more = ", …" if len(shown) > _TARGETS_SHOWN else ""
    return f"{_name(code)} has {', '.join(shown[:_TARGETS_SHOWN])}{more}"


def _name(code: GpuCode) -> str:
    name = code.file.rpartition("/")[2]
    return f"{name} of {code.provider}" if code.provider else name


def _place(code: GpuCode) -> tuple[object, ...]:
    return code.file, code.provider, tuple((row.count, row.targets) for row in code.sets), code.jit


def _order(driver: str) -> Version:
    return parse_version(driver) or ()
