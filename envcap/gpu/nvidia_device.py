"""Whether an environment's code runs on one kind of NVIDIA device with a driver. Pure."""

from envcap.gpu.coverage import Coverage, alternatives, cover_capability
from envcap.gpu.lookup import capability_of, cuda_of_ptx, known_library, native_driver
from envcap.gpu.model import NVIDIA, GpuCode, GpuDevice, GpuStack
from envcap.gpu.models import kind_of_device
from envcap.gpu.nvidia_driver import DriverFacts, effective_api, judge_runtime
from envcap.gpu.preflight import DeviceVerdict, Finding, Level, LibraryVerdict, Reason, rank, rank_parts
from envcap.gpu.runtimes import cuda_runtimes
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import format_capability, parse_capability
from envcap.gpu.versions import Version, dotted, two_components

_RUN_TIME_COMPILERS = frozenset({"nvrtc", "nvjitlink"})
_TO_MACHINE_CODE = frozenset({"triton"})
"""Compilers that bring their own `ptxas` and give the driver no PTX."""


def judge_nvidia(
    stack: GpuStack, device: GpuDevice, facts: DriverFacts, context: str, table: GpuTable
) -> DeviceVerdict:
    """Judge every library of an environment on one kind of device.

    Args:
        stack: The lock's.
        device: The kind of device.
        facts: What counts of the machine's driver.
        context: Of the machine: Jetson's devices are a kind of their own.
        table: The compatibility table.
    """
    kind = kind_of_device(device.name, context, table)
    runtimes = cuda_runtimes(stack.libraries, stack.frameworks, stack.code, table)
    # A runtime is judged and named by its version, whichever of many packages brings it.
    versions = {runtime.version: runtime for runtime in reversed(runtimes)}
    parts = [judge_runtime(runtime, facts, kind, table) for runtime in versions.values()]
    groups = alternatives(stack.code, NVIDIA)
    if not runtimes and groups:
        words = "nothing in the environment tells which CUDA its code starts"
        parts.append(_part("CUDA", Level.UNKNOWN, Finding(reason=Reason.RUNTIME, words=words)))
    own: list[Finding] = []
    capability = parse_capability(device.arch)
    if capability is None:
        words = f"the compute capability of {device.name} can't be read"
        own.append(Finding(reason=Reason.ARCH, words=words))
        level = Level.UNKNOWN
    else:
        own += _driver_for(capability, device, facts, table)
        level = Level.WILL_NOT_RUN if own else Level.OK
        api = effective_api(facts, kind, table)
        # A runtime that a package will bridge brings the API of that package.
        if any(part.level == Level.COMPAT for part in parts):
            api = max((runtime.version for runtime in runtimes), default=api)
        parts += [_judge_group(group, capability, api, table) for group in groups]
    minor = any(part.level == Level.MINOR for part in parts)
    if minor and (sources := _compiles_later(stack)):
        words = f"PTX that {sources} compiles when it runs may be too new for this driver"
        own.append(Finding(reason=Reason.JIT_BLOCKED, words=words))
    return rank_parts(device, level, own, parts)


def _driver_for(capability: Version, device: GpuDevice, facts: DriverFacts, table: GpuTable) -> list[Finding]:
    """Tell whether the driver's own half, which drives the device, knows it; cuda-compat changes nothing about that."""
    known = capability_of(capability, table)
    if known is None:
        return []
    branch = facts.version[0] if facts.version else 0
    if known.last_branch and branch > known.last_branch:
        words = (
            f"R{known.last_branch} is the last driver branch for compute capability {format_capability(capability)} "
            f"({device.name}), this is R{branch}"
        )
        return [Finding(reason=Reason.ARCH_DROPPED, words=words)]
    if facts.api is not None and facts.api < known.cuda:
        driver = two_components(native_driver(known.cuda, table))
        words = (
            f"compute capability {format_capability(capability)} ({device.name}) came with CUDA {dotted(known.cuda)} "
            f"and driver {driver}, this driver speaks CUDA {dotted(facts.api)}"
        )
        return [Finding(reason=Reason.ARCH_TOO_NEW, words=words)]
    return []


def _judge_group(
    group: tuple[GpuCode, ...], capability: Version, api: Version | None, table: GpuTable
) -> LibraryVerdict:
    """Judge variants of a library, of which the package loads one: the best counts."""
    return min((_judge_code(code, capability, api, table) for code in group), key=lambda one: rank(one.level))


def _judge_code(code: GpuCode, capability: Version, api: Version | None, table: GpuTable) -> LibraryVerdict:
    coverage = cover_capability(code, capability)
    known = known_library(code.file, table)
    if known and known.dispatches and coverage.native:
        # It chooses by device: what has no machine code for this one is for others.
        coverage = Coverage(native=coverage.native, compiled={})
    fresh, blocked, untold = _by_driver(coverage, api, table)
    have = coverage.native + fresh
    shown = format_capability(capability)
    level, findings = Level.OK, []
    if fresh:
        level = Level.JIT
        words = "the driver compiles its code when it first runs, which takes minutes: keep ~/.nv/ComputeCache"
        findings.append(Finding(reason=Reason.FIRST_RUN_SLOW, words=words))
    if blocked:
        isa = max(blocked)
        need = cuda_of_ptx(isa, table)
        words = (
            f"its PTX {dotted(isa)} needs a driver for CUDA {dotted(need or ())}, "
            f"this one speaks CUDA {dotted(api or ())}"
        )
        findings.append(Finding(reason=Reason.PTX_TOO_NEW, words=words))
    if untold:
        words = "which driver compiles its PTX is not known"
        findings.append(Finding(reason=Reason.DRIVER, words=words))
    lacking = coverage.total - have
    if lacking and not have and known and known.optional:
        file = code.file.rpartition("/")[2]
        words = f"{file} has no code for compute capability {shown}: features that need it are missing"
        findings = [Finding(reason=Reason.FEATURES, words=words)]
    elif lacking and not have and untold:
        level = Level.UNKNOWN
    elif lacking and (not have or (blocked and not (known and known.dispatches))):
        level = Level.WILL_NOT_RUN
        if not blocked:
            words = f"has no code for compute capability {shown}, only for {_holds(code)}"
            findings = [Finding(reason=Reason.NO_IMAGE, words=words)]
    elif lacking and not (known and known.dispatches):
        level = Level.PARTIAL
        words = f"{have} of {coverage.total} parts have code for compute capability {shown}"
        findings.append(Finding(reason=Reason.PART, words=words))
    return LibraryVerdict(
        name=code.provider or code.file,
        file=code.file,
        level=level,
        findings=tuple(findings),
        have=have,
        total=coverage.total,
    )


def _by_driver(coverage: Coverage, api: Version | None, table: GpuTable) -> tuple[int, list[Version], int]:
    """Part what must be compiled: containers that the driver compiles, ISAs that it can't, containers not told of."""
    fresh, untold, blocked = 0, 0, []
    for isa, count in coverage.compiled.items():
        need = cuda_of_ptx(isa, table)
        if need is None or api is None:
            untold += count
        elif api >= need:
            fresh += count
        else:
            blocked.append(isa)
    return fresh, blocked, untold


def _compiles_later(stack: GpuStack) -> str:
    """Name what compiles GPU code when it runs, if anything does."""
    names = {library.name for library in stack.libraries if library.name in _RUN_TIME_COMPILERS}
    names |= {code.provider or code.file for code in stack.code if "lto" in code.jit}
    names |= {blind.partition(" ")[0] for blind in stack.blind if " compiles " in blind} - _TO_MACHINE_CODE
    return ", ".join(sorted(names))


def _holds(code: GpuCode) -> str:
    targets = sorted(
        {target for row in code.sets for target in row.targets if target.startswith(("sm_", "compute_"))},
        key=lambda target: (len(target.partition("@")[0]), target),
    )
    return ", ".join(targets[:8]) + (", …" if len(targets) > 8 else "")  # noqa: PLR2004


def _part(name: str, level: Level, *findings: Finding) -> LibraryVerdict:
    return LibraryVerdict(name=name, level=level, findings=findings)
