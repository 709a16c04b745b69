"""Reads what NVIDIA's kernel module tells in /proc and /sys: no library is loaded and no GPU woken.

Source: NVIDIA driver README, "The /proc File System Interface"; the kernel's files of modules
(`Documentation/ABI/stable/sysfs-module`). On a Jetson the device tree names the board.
"""

import re
from dataclasses import dataclass, field

from envcap.driver.allowed import driver_version, hex_number, pci_id, product
from envcap.driver.root import SystemRoot
from envcap.gpu.model import NVIDIA, GpuDevice

SYS_VERSION = "/sys/module/nvidia/version"
PROC_VERSION = "/proc/driver/nvidia/version"

_TRACES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvhost-ctrl-gpu", "/proc/driver/nvidia", "/sys/module/nvidia")
_GPUS = "/proc/driver/nvidia/gpus"
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_MAX_DEVICES = 64
# Compute capability by the system on a chip; these are Tegra's alone (nvcc, "GPU Feature List").
_TEGRA = {"nvidia,tegra210": "5.3", "nvidia,tegra186": "6.2", "nvidia,tegra194": "7.2", "nvidia,tegra234": "8.7"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What the kernel's files tell.

    Attributes:
        trace: Whether anything of NVIDIA's is there at all.
        versions: Of the module, by the file that says so.
        flavour: `open`, `proprietary`, or empty.
        devices: One each, uncounted; names and models only.
        usable: Whether this process was given devices: `/dev/nvidiactl` is there.
    """

    trace: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    flavour: str = ""
    devices: tuple[GpuDevice, ...] = ()
    usable: bool = False


def read_kernel(root: SystemRoot) -> KernelFacts:
    """Read the files of NVIDIA's kernel module."""
    if not any(map(root.exists, _TRACES)):
        return KernelFacts()
    title, words = _split_title(root.read(PROC_VERSION))
    versions = {
        SYS_VERSION: driver_version(root.read(SYS_VERSION)),
        PROC_VERSION: next(filter(None, map(driver_version, words)), ""),
    }
    flavour = ""
    if "Kernel Module" in title:
        flavour = "open" if "Open Kernel Module" in title else "proprietary"
    return KernelFacts(
        trace=True,
        versions={name: value for name, value in versions.items() if value},
        flavour=flavour,
        devices=tuple(_read_gpus(root)),
        usable=root.exists("/dev/nvidiactl") or root.exists("/dev/nvhost-ctrl-gpu"),
    )


def read_tegra(root: SystemRoot) -> GpuDevice:
    """Read the GPU of a Jetson from its device tree (strings there end with NUL)."""
    board = root.read("/proc/device-tree/model").rstrip("\0")
    chips = root.read("/proc/device-tree/compatible").split("\0")
    arch = next((_TEGRA[chip] for chip in chips if chip in _TEGRA), "")
    return GpuDevice(vendor=NVIDIA, name=product(board) or "NVIDIA Jetson", arch=arch)


def _split_title(text: str) -> tuple[str, list[str]]:
    """Split `NVRM version: NVIDIA UNIX x86_64 Kernel Module  375.74  Wed Jun …`, whose parts are two spaces apart."""
    line = next((line for line in text.splitlines() if line.startswith("NVRM version:")), "")
    title, *words = line.split("  ")
    return title, words[:4]


def _read_gpus(root: SystemRoot) -> list[GpuDevice]:
    """Read names and models; the files' other lines, a UUID among them, are not looked at."""
    found: list[GpuDevice] = []
    for address in filter(_ADDRESS.fullmatch, root.names(_GPUS)[:_MAX_DEVICES]):
        lines = (line.partition(":") for line in root.read(f"{_GPUS}/{address}/information").splitlines())
        name = next((product(value) for key, _, value in lines if key.strip() == "Model"), "")
        folder = f"/sys/bus/pci/devices/{address}"
        model = pci_id(hex_number(root.read(f"{folder}/vendor")), hex_number(root.read(f"{folder}/device")))
        found.append(GpuDevice(vendor=NVIDIA, name=name or model or "unknown", pci=model))
    return found
