"""Whether an environment's code runs on one kind of AMD device. Pure.

ROCm lives in the image, only the kernel's driver is the machine's. AMD tests pairs of the two and refuses none, so an
untested pair is a warning. The driver that comes with Linux itself has no published range.
"""

from envcap.gpu.coverage import alternatives, cover_processor
from envcap.gpu.lookup import is_tested_pair, kernel_drivers_for, known_library
from envcap.gpu.model import AMD, GpuCode, GpuDevice, GpuMachine, GpuStack
from envcap.gpu.preflight import DeviceVerdict, Finding, Level, LibraryVerdict, Reason, rank, rank_parts
from envcap.gpu.runtimes import rocm_runtimes
from envcap.gpu.table import GpuTable
from envcap.gpu.versions import dotted


def judge_amd(stack: GpuStack, device: GpuDevice, table: GpuTable) -> DeviceVerdict:
    """Judge every library of an environment on one kind of device."""
    own: list[Finding] = []
    parts: list[LibraryVerdict] = []
    level = Level.OK
    if not device.arch.startswith("gfx"):
        words = f"the processor of {device.name} can't be read"
        own.append(Finding(reason=Reason.ARCH, words=words))
        level = Level.UNKNOWN
    else:
        parts = [
            min((_judge_code(code, device, table) for code in group), key=lambda one: rank(one.level))
            for group in alternatives(stack.code, AMD)
        ]
    return rank_parts(device, level, own, parts)


def read_amd_driver(stack: GpuStack, machine: GpuMachine, table: GpuTable) -> tuple[Finding, ...]:
    """Tell what is to be said of a machine's AMD driver with an environment's ROCm."""
    driver = next((one for one in machine.drivers if one.vendor == AMD), None)
    if driver is None or not driver.version:
        return (Finding(reason=Reason.DRIVER, words="the version of the AMD driver can't be read"),)
    runtimes = rocm_runtimes(stack.libraries, stack.frameworks)
    if not runtimes:
        words = "nothing in the environment tells which ROCm its code starts"
        return (Finding(reason=Reason.RUNTIME, words=words),)
    rocm = dotted(runtimes[0].version)
    if driver.flavour == "in-tree":
        words = f"the kernel's own amdgpu {driver.version}: AMD publishes no range for it with ROCm {rocm}"
        return (Finding(reason=Reason.IN_TREE, words=words),)
    if is_tested_pair(driver.version, rocm, table):
        return ()
    tested = kernel_drivers_for(rocm, table)
    known = f", but with {', '.join(tested)}" if tested else ""
    words = f"AMD is not known to have tested ROCm {rocm} with the driver amdgpu {driver.version}{known}"
    return (Finding(reason=Reason.ROCM_PAIR, words=words),)


def _judge_code(code: GpuCode, device: GpuDevice, table: GpuTable) -> LibraryVerdict:
    coverage = cover_processor(code, device.arch, device.traits, table)
    known = known_library(code.file, table)
    level = Level.OK
    findings: tuple[Finding, ...] = ()
    if not coverage.native:
        level = Level.WILL_NOT_RUN
        targets = sorted({target for row in code.sets for target in row.targets if target.startswith("gfx")})
        shown = ", ".join(targets[:8]) + (", …" if len(targets) > 8 else "")  # noqa: PLR2004
        findings = (Finding(reason=Reason.GFX_MISSING, words=f"has no code for {device.arch}, only for {shown}"),)
    elif coverage.missing and not (known and known.dispatches):
        level = Level.PARTIAL
        words = f"{coverage.native} of {coverage.total} parts have code for {device.arch}"
        findings = (Finding(reason=Reason.PART, words=words),)
    return LibraryVerdict(
        name=code.provider or code.file,
        file=code.file,
        level=level,
        findings=findings,
        have=coverage.native,
        total=coverage.total,
    )
