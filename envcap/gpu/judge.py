"""Judge a machine as it is: which kinds of device run an environment. Pure; `verdict.py` adds the fix."""

from envcap.gpu.amd_device import judge_amd, read_amd_driver
from envcap.gpu.model import AMD, NVIDIA, VENDOR_NAMES, GpuMachine, GpuStack
from envcap.gpu.nvidia_device import judge_nvidia
from envcap.gpu.nvidia_driver import DriverFacts, read_driver
from envcap.gpu.preflight import MACHINE_LEVELS, DeviceVerdict, Finding, Level, Preflight, Reason, worst
from envcap.gpu.runtimes import wanted_vendors
from envcap.gpu.table import GpuTable


def judge_machine(stack: GpuStack, machine: GpuMachine, table: GpuTable, *, cdi: bool | None = None) -> Preflight:
    """Judge without looking for a fix.

    Args:
        stack: The lock's.
        machine: As captured, or as asked about.
        table: The compatibility table.
        cdi: Whether containers of this machine can be given its GPUs; None if nobody looked, or none is used.
    """
    vendors = wanted_vendors(stack)
    if not vendors:
        return Preflight(rules=table.rules)
    findings: list[Finding] = []
    devices: list[DeviceVerdict] = []
    for vendor in vendors:
        if any(device.vendor == vendor for device in machine.devices):
            found, judged = _judge_vendor(vendor, stack, machine, table)
            findings += found
            devices += judged
    cpu_only = not devices
    if cpu_only:
        findings += _without_device(vendors, machine, table)
        cpu_only = any(finding.reason == Reason.NO_DEVICE for finding in findings)
    if cdi is False and not cpu_only:
        words = "containers of this machine can't be given its GPUs: no CDI specification and no NVIDIA runtime"
        findings.append(Finding(reason=Reason.NO_CDI, words=words))
    level = worst(
        *(device.level for device in devices), *(MACHINE_LEVELS.get(finding.reason, Level.OK) for finding in findings)
    )
    return Preflight(
        rules=table.rules,
        vendors=vendors,
        level=level,
        cpu_only=cpu_only,
        findings=tuple(findings),
        devices=tuple(devices),
    )


def _judge_vendor(
    vendor: str, stack: GpuStack, machine: GpuMachine, table: GpuTable
) -> tuple[tuple[Finding, ...], list[DeviceVerdict]]:
    devices = [device for device in machine.devices if device.vendor == vendor]
    if vendor == NVIDIA:
        facts, findings = read_driver(machine, table)
        # Code that is not there can be told without the driver.
        facts = facts or DriverFacts(version=None, api=None)
        return findings, [judge_nvidia(stack, device, facts, machine.context, table) for device in devices]
    if vendor == AMD:
        findings = read_amd_driver(stack, machine, table)
        return findings, [judge_amd(stack, device, table) for device in devices]
    words = (
        f"envcap has no rules for GPUs of {VENDOR_NAMES.get(vendor, vendor)}: compare with the machine of the snapshot"
    )
    unknown = [DeviceVerdict(device=device, level=Level.UNKNOWN) for device in devices]
    return (Finding(reason=Reason.VENDOR, words=words),), unknown


def _without_device(vendors: tuple[str, ...], machine: GpuMachine, table: GpuTable) -> list[Finding]:
    """Say why no device was judged: there is none, there are others, or the driver doesn't tell."""
    wanted = " or ".join(VENDOR_NAMES.get(vendor, vendor) for vendor in vendors)
    if any(driver.vendor in vendors for driver in machine.drivers):
        found = list(read_driver(machine, table)[1]) if NVIDIA in vendors else []
        if mismatch := [finding for finding in found if finding.reason == Reason.MISMATCH]:
            return mismatch  # which is why nothing else can be read
        if machine.gaps:
            reasons = "; ".join(f"{gap.fact}: {gap.why}" for gap in machine.gaps[:3])
            words = f"there is a driver of {wanted}, but its devices can't be read ({reasons})"
            return [*found, Finding(reason=Reason.DEVICES, words=words)]
    others = ", ".join(dict.fromkeys(device.name for device in machine.devices))
    words = f"this machine has no {wanted} GPU" + (f", only {others}" if others else "")
    return [Finding(reason=Reason.NO_DEVICE, words=words + ": programs run on the CPU only, where they can")]
