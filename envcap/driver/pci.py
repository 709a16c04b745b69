"""Lists the display and compute devices on the PCI bus: which maker, which model, which kernel driver.

Source: Linux `Documentation/ABI/testing/sysfs-bus-pci`; PCI Code and ID Assignment, classes 03h and 12h. A device's
address is used to look at its files and goes nowhere else.
"""

from dataclasses import dataclass

from envcap.driver.allowed import hex_number, pci_id
from envcap.driver.root import SystemRoot

VENDOR_NVIDIA, VENDOR_AMD, VENDOR_INTEL = 0x10DE, 0x1002, 0x8086

_BUS = "/sys/bus/pci/devices"
_CLASSES = {0x03, 0x12}  # display controllers; processing accelerators
_DRIVERS = {"amdgpu", "i915", "nouveau", "nova_core", "nvidia", "radeon", "simple-framebuffer", "vfio-pci", "xe"}
_MAX_DEVICES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """A GPU on the bus.

    Attributes:
        vendor: Number of its maker.
        model: `10de:2330`.
        driver: Kernel driver that has it, empty for none, `another` for one that we don't know.
        display: Whether it is a display controller, and not an accelerator of any kind.
        folder: Its folder in /sys, for this module's callers alone: it holds the device's address.
    """

    vendor: int
    model: str
    driver: str
    display: bool
    folder: str


def list_pci_gpus(root: SystemRoot) -> tuple[PciGpu, ...]:
    """List the GPUs on the bus."""
    found: list[PciGpu] = []
    for name in root.names(_BUS):
        folder = f"{_BUS}/{name}"
        kind = hex_number(root.read(f"{folder}/class")) >> 16
        if kind not in _CLASSES:
            continue
        vendor = hex_number(root.read(f"{folder}/vendor"))
        driver = root.link(f"{folder}/driver")
        if driver and driver not in _DRIVERS:
            driver = "another"
        found.append(
            PciGpu(
                vendor=vendor,
                model=pci_id(vendor, hex_number(root.read(f"{folder}/device"))),
                driver=driver,
                display=kind == 0x03,  # noqa: PLR2004
                folder=folder,
            )
        )
    return tuple(found[:_MAX_DEVICES])
