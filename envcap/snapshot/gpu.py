"""The GPU side of a snapshot: what an environment holds for GPUs, what that needs, and what this machine has."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from envcap.environment import Environment
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine, GpuStack
from envcap.gpu.needs import derive_needs
from envcap.gpu.table import gpu_table
from envcap.scan.gpu_stack import scan_gpu_stack

_DPKG = Path("/var/lib/dpkg")
_DEBIAN = "debian:"

CaptureGpu = Callable[[], tuple[GpuMachine, tuple[Finding, ...]]]
"""Asks this machine for its GPUs and drivers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedGpu:
    """The GPU tables of a lock.

    Attributes:
        stack: `[gpu]`: derived from files, the same on every machine.
        machine: `[session.gpu]`: what the machine of the snapshot had.
        findings: What the user should know.
    """

    stack: GpuStack = field(default_factory=GpuStack)
    machine: GpuMachine = field(default_factory=GpuMachine)
    findings: tuple[Finding, ...] = ()


def lock_gpu(environment: Environment, system: Collection[str], capture: CaptureGpu) -> LockedGpu:
    """Lock what an environment holds for GPUs.

    The machine is asked only for an environment that has something for a GPU: of others it says nothing.

    Args:
        environment: The scan.
        system: OS packages that the image gets: a library of another one is this machine's alone.
        capture: Asks this machine.
    """
    found, findings = scan_gpu_stack(environment, dpkg=_DPKG)
    if found == GpuStack():
        return LockedGpu(findings=findings)
    table = gpu_table()
    brought = (row.provider.removeprefix(_DEBIAN) for row in found.libraries if row.provider.startswith(_DEBIAN))
    foreign = {f"{_DEBIAN}{name}" for name in brought if name not in system}
    found = replace(found, libraries=tuple(row for row in found.libraries if row.provider not in foreign))
    needs = derive_needs(found.libraries, found.frameworks, found.code, table)
    machine, more = capture()
    return LockedGpu(stack=replace(found, rules=table.rules, needs=needs), machine=machine, findings=(*findings, *more))
