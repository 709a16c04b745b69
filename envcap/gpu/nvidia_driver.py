"""What an NVIDIA driver offers, and whether the runtime of a CUDA starts on it. Pure.

The gate is in libcudart: it asks libcuda for the highest CUDA that it speaks and refuses a lower major (error 35,
proved with a stub: `notes/gpu.md` §2a). The kernel driver's version says the same, but for Windows' drivers under WSL
and those of Jetson, whose numbers are others: there only what libcuda says counts.
"""

from dataclasses import dataclass

from envcap.gpu.lookup import api_of_driver, compat_package, floor_of, is_newer_than_table, native_driver
from envcap.gpu.model import NVIDIA, GpuDriver, GpuGap, GpuMachine
from envcap.gpu.preflight import Finding, Level, LibraryVerdict, Reason
from envcap.gpu.runtimes import Runtime
from envcap.gpu.table import GpuTable
from envcap.gpu.versions import Version, dotted, parse_major_minor, parse_version, same_release, two_components

_NVML_MISMATCH = "NVML 18:"
"""How a gap says NVML_ERROR_LIB_RM_VERSION_MISMATCH (nvml.h)."""

_OTHER_NUMBERS = frozenset({"wsl2", "jetson"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """What counts of an NVIDIA driver.

    Attributes:
        shown: Version as the driver tells it.
        version: Of the kernel's half, or None: not known, or numbered otherwise.
        api: Highest CUDA of the host's driver.
        compat: Highest CUDA of a forward-compatibility libcuda in front of the host's.
    """

    version: Version | None
    api: Version | None
    compat: Version | None = None
    shown: str = ""


def read_driver(machine: GpuMachine, table: GpuTable) -> tuple[DriverFacts | None, tuple[Finding, ...]]:
    """Read what counts of a machine's NVIDIA driver.

    Returns:
        The facts, or None if no driver was seen or none of its facts can be read; and what is to be said of it.
    """
    driver = next((one for one in machine.drivers if one.vendor == NVIDIA), None)
    if driver is None:
        return None, (Finding(reason=Reason.DRIVER, words="no NVIDIA driver was seen"),)
    version = None if machine.context in _OTHER_NUMBERS else parse_version(driver.version)
    told = parse_major_minor(driver.api) if driver.api else None
    findings = [*_stub(driver), *_mismatch(driver, machine), *_new_branch(version, table)]
    by_version = api_of_driver(version, table) if version else None
    own = driver.library in {"", "host", "wsl"}
    facts = DriverFacts(
        version=version,
        api=told if own and told else by_version,
        compat=told if driver.library == "compat" else None,
        shown=driver.version,
    )
    if facts.version is None and facts.api is None:
        words = "neither the version of the NVIDIA driver nor the CUDA that it speaks can be read"
        return None, (*findings, Finding(reason=Reason.DRIVER, words=words))
    return facts, tuple(findings)


def judge_runtime(runtime: Runtime, facts: DriverFacts, kind: str, table: GpuTable) -> LibraryVerdict:
    """Judge whether the runtime of a CUDA starts.

    Args:
        runtime: What the environment starts.
        facts: What counts of the driver.
        kind: Of the device, `datacenter`, `workstation`, `consumer`, `jetson` or empty: forward compatibility is
            allowed on some.
        table: The compatibility table.
    """
    level, findings = _judge(runtime, facts, kind, table)
    return LibraryVerdict(name=f"CUDA {dotted(runtime.version)}", level=level, findings=findings)


def effective_api(facts: DriverFacts, kind: str, table: GpuTable) -> Version | None:
    """Give the highest CUDA that programs may use: that of a forward-compatibility libcuda where it may run."""
    if facts.compat is not None and not _compat_refused(facts, kind, table):
        return facts.compat
    return facts.api


def _judge(runtime: Runtime, facts: DriverFacts, kind: str, table: GpuTable) -> tuple[Level, tuple[Finding, ...]]:
    floor = floor_of(runtime.version[0], table)
    if floor is None and runtime.version[0] > table.floors[-1].major:
        words = f"is newer than what rules {table.rules} know of drivers"
        return Level.UNKNOWN, (Finding(reason=Reason.NEW_TOOLKIT, words=words),)
    if facts.compat is not None and (refused := _compat_refused(facts, kind, table)):
        return Level.WILL_NOT_RUN, (refused,)
    api = effective_api(facts, kind, table)
    lowest = parse_version(floor.driver) if floor else None
    if facts.compat is None and facts.version is not None and lowest is not None:
        below = facts.version < lowest[: len(facts.version)]
    else:
        below = api is not None and api[0] < runtime.version[0]
    if below:
        return _below(runtime, facts, kind, floor.driver if floor else "", table)
    if api is None:
        words = "the CUDA that the driver speaks can't be read"
        return Level.UNKNOWN, (Finding(reason=Reason.DRIVER, words=words),)
    if api < runtime.version:
        words = (
            f"functions newer than CUDA {dotted(api)}, which the driver speaks, fail with error 36"
            f"{_until(native_driver(runtime.version, table))}"
        )
        return Level.MINOR, (Finding(reason=Reason.NEW_API, words=words),)
    return Level.OK, ()


def _until(driver: str) -> str:
    return f"; driver {two_components(driver)} has all" if driver else ""


def _below(
    runtime: Runtime, facts: DriverFacts, kind: str, floor: str, table: GpuTable
) -> tuple[Level, tuple[Finding, ...]]:
    seen = f"this is {facts.shown}" if facts.version else f"this speaks CUDA {dotted(facts.api or ())}"
    below = Finding(reason=Reason.BELOW_FLOOR, words=f"needs an NVIDIA driver {two_components(floor)} or newer, {seen}")
    package = compat_package(runtime.version, table)
    if package is None or facts.version is None or facts.version[0] not in package.branches or facts.compat:
        return Level.WILL_NOT_RUN, (below,)
    name = compat_name(package.cuda)
    match table.compat_kinds.get(kind):
        case "no":
            words = f"{name} would bridge that, but a {kind} GPU refuses it with error 804"
            return Level.WILL_NOT_RUN, (below, Finding(reason=Reason.COMPAT_GPU_CLASS, words=words))
        case "yes":
            extra: tuple[Finding, ...] = ()
        case _:
            words = f"NVIDIA supports {name} on data center GPUs and select RTX cards: whether on this one is not known"
            extra = (Finding(reason=Reason.COMPAT_GPU, words=words),)
    return Level.COMPAT, (Finding(reason=Reason.COMPAT, words=f"{below.words}; {name} bridges that"), *extra)


def compat_name(cuda: Version) -> str:
    """Name NVIDIA's package of forward compatibility."""
    return "cuda-compat-" + "-".join(str(part) for part in cuda)


def is_nvml_mismatch(gap: GpuGap) -> bool:
    """Tell whether NVML itself found that the libraries are of another version than the kernel module."""
    return gap.fact == "nvml" and gap.why.startswith(_NVML_MISMATCH)


def _compat_refused(facts: DriverFacts, kind: str, table: GpuTable) -> Finding | None:
    """Tell why a forward-compatibility libcuda doesn't start, if so: for the kind of GPU, or for a newer host."""
    if table.compat_kinds.get(kind) == "no":
        words = f"a libcuda of cuda-compat is in front of the driver's own, and a {kind} GPU refuses it with error 804"
        return Finding(reason=Reason.COMPAT_GPU_CLASS, words=words)
    if facts.compat and facts.api and facts.compat < facts.api:
        words = (
            f"a libcuda of cuda-compat for CUDA {dotted(facts.compat)} is in front of the driver's own, which speaks "
            f"CUDA {dotted(facts.api)} and refuses an older one"
        )
        return Finding(reason=Reason.MISMATCH, words=words)
    package = next((one for one in table.compat if one.cuda == facts.compat), None)
    if package and facts.version and facts.version[0] not in package.branches and facts.api != facts.compat:
        words = f"{compat_name(package.cuda)} does not run on drivers R{facts.version[0]}"
        return Finding(reason=Reason.BELOW_FLOOR, words=words)
    return None


def _stub(driver: GpuDriver) -> list[Finding]:
    if driver.library != "stub":
        return []
    words = "the libcuda that the loader finds is a stub for linking: programs that load it see no GPU"
    return [Finding(reason=Reason.STUB, words=words)]


def _mismatch(driver: GpuDriver, machine: GpuMachine) -> list[Finding]:
    """Compare the halves of a driver; under WSL they are numbered otherwise, cuda-compat differs on purpose."""
    if any(map(is_nvml_mismatch, machine.gaps)):
        # In a container the kernel's half may not tell its version; NVML has compared them itself.
        seen = f"{driver.version or 'unknown'} in the kernel, {driver.user or 'unknown'} for programs"
        words = f"the two halves of the NVIDIA driver differ (NVML 18): {seen}"
        return [Finding(reason=Reason.MISMATCH, words=words)]
    if not driver.user or not driver.version or driver.library in {"compat", "stub", "wsl"}:
        return []
    if machine.context == "wsl2" or same_release(driver.user, driver.version):
        return []
    words = f"the kernel runs NVIDIA driver {driver.version} and the programs' half is {driver.user}"
    return [Finding(reason=Reason.MISMATCH, words=words)]


def _new_branch(version: Version | None, table: GpuTable) -> list[Finding]:
    if version is None or not is_newer_than_table(version, table):
        return []
    words = (
        f"driver R{version[0]} came after rules {table.rules}: taken for one that does what "
        f"R{table.branches[-1].number} does"
    )
    return [Finding(reason=Reason.NEW_BRANCH, words=words)]
