"""What is found of one maker's GPUs, before it becomes a `GpuMachine`. Pure nouns, and how like devices are counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from envcap.finding import Finding
from envcap.gpu.model import GpuDevice, GpuDriver, GpuGap


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFacts:
    """One maker's driver and devices.

    Attributes:
        driver: None where nothing of it was seen.
        devices: In no order; like ones needn't be counted together yet.
        gaps: What could not be had.
        findings: What the user should know.
        virtual: Whether a hypervisor shares a device out (vGPU).
    """

    driver: GpuDriver | None = None
    devices: tuple[GpuDevice, ...] = ()
    gaps: tuple[GpuGap, ...] = ()
    findings: tuple[Finding, ...] = ()
    virtual: bool = False


def count_devices(devices: Iterable[GpuDevice]) -> tuple[GpuDevice, ...]:
    """Count like devices together, sorted by maker, name, architecture and traits."""
    found: dict[tuple[object, ...], GpuDevice] = {}
    for device in devices:
        key = _key(device)
        known = found.get(key)
        found[key] = replace(known, count=known.count + device.count) if known else device
    return tuple(found[key] for key in sorted(found, key=repr))


def sort_gaps(gaps: Iterable[GpuGap]) -> tuple[GpuGap, ...]:
    """Sort gaps, each once."""
    return tuple(sorted(set(gaps), key=lambda gap: (gap.fact, gap.why)))


def known_only(traits: Mapping[str, str]) -> dict[str, str]:
    """Leave out what nobody told."""
    return {key: value for key, value in sorted(traits.items()) if value}


def _key(device: GpuDevice) -> tuple[object, ...]:
    traits = tuple(sorted(device.traits.items()))
    return (device.vendor, device.name, device.arch, traits, device.pci, device.memory_mib)
