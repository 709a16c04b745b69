"""`capture_gpu`: what this machine has of GPUs, as evidence.

Order, for each maker: files of the kernel, then the driver's library in a process of its own, then its tool. Whatever
answered is named with what it said; what could not be had is a gap, and a contradiction a finding. Where there is no
GPU, a few folders are looked at and nothing is started.
"""

from collections.abc import Mapping
from pathlib import Path

from envcap.driver.amd import capture_amd
from envcap.driver.context import Surroundings, look_around
from envcap.driver.facts import VendorFacts, count_devices, sort_gaps
from envcap.driver.intel import capture_intel
from envcap.driver.nvidia import capture_nvidia
from envcap.driver.pci import list_pci_gpus
from envcap.driver.root import SystemRoot
from envcap.driver.run import Asker
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine


def capture_gpu(root: Path, environ: Mapping[str, str], *, asker: Asker) -> tuple[GpuMachine, tuple[Finding, ...]]:
    """Capture the GPUs and drivers of a machine.

    Args:
        root: The system's root: `/`, or a tree that stands for one.
        environ: The user's variables, for what they say of loader, ROCm and containers.
        asker: Asks a driver; `Asker(run=ProgramRunner(environ=environ))` outside of tests.

    Returns:
        The machine, empty if it has no GPU and no driver, and what the user should know. Neither holds anything that
        identifies the machine.
    """
    system = SystemRoot(root)
    around = look_around(system, environ)
    pci = list_pci_gpus(system)
    nvidia = capture_nvidia(system, environ, asker=asker, around=around, pci=pci)
    vendors = (capture_amd(system, environ, pci=pci), capture_intel(system, pci=pci), nvidia)
    devices = count_devices(device for facts in vendors for device in facts.devices)
    machine = GpuMachine(
        context=_context(around, vendors) if devices else "",
        drivers=tuple(facts.driver for facts in vendors if facts.driver),
        devices=devices,
        gaps=sort_gaps(gap for facts in vendors for gap in facts.gaps),
    )
    return machine, tuple(finding for facts in vendors for finding in facts.findings)


def _context(around: Surroundings, vendors: tuple[VendorFacts, ...]) -> str:
    """Name the surroundings that decide most: a container on WSL2 is WSL2's."""
    if around.wsl:
        return "wsl2"
    if around.l4t:
        return "jetson"
    if around.container:
        return "container"
    return "vgpu" if any(facts.virtual for facts in vendors) else "bare"
