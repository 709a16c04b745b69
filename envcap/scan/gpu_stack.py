"""Joins what is in an environment of the GPU stack: code, libraries, frameworks and blind spots."""

from pathlib import Path

from envcap.environment import Environment
from envcap.finding import Finding
from envcap.gpu.model import GpuStack
from envcap.scan.gpu_blind import find_blind_spots
from envcap.scan.gpu_code import find_gpu_code
from envcap.scan.gpu_frameworks import CPU, find_gpu_frameworks
from envcap.scan.gpu_libraries import SYSTEM, find_gpu_libraries, find_system_libraries


def scan_gpu_stack(environment: Environment, *, dpkg: Path) -> tuple[GpuStack, tuple[Finding, ...]]:
    """Look for all of it. `needs` and `rules` stay empty: they are derived, not seen.

    Args:
        environment: What is installed.
        dpkg: dpkg's administrative folder, `/var/lib/dpkg`: who owns libraries of the operating system.

    Returns:
        The stack, empty for an environment that has nothing for a GPU, and the findings about files that can't be read.
    """
    facts = find_gpu_code(environment)
    # A library of this machine that no package brings is in no image.
    outside = [
        row
        for row in find_system_libraries((need.soname for need in environment.elf.needs), dpkg=dpkg)
        if row.provider != SYSTEM
    ]
    libraries = (*find_gpu_libraries(environment), *facts.static, *outside)
    blind = find_blind_spots(environment, libraries, has_code=bool(facts.code))
    frameworks = find_gpu_frameworks(environment)
    if not (libraries or facts.code or blind) and all(row.built_for == CPU for row in frameworks):
        return GpuStack(), facts.findings
    stack = GpuStack(
        libraries=tuple(sorted(libraries, key=lambda row: (row.name, row.provider))),
        frameworks=frameworks,
        code=facts.code,
        blind=blind,
    )
    return stack, facts.findings
