"""A GPU stack in brief: one library for all that run and fail together on an architecture. Pure.

Whether a library runs is asked for each architecture with each driver branch, and a lock may have thousands of
libraries, each of which would be judged hundreds of times. On one architecture they differ in little: whether some of
their containers have machine code, PTX of which ISA, or nothing (`nvidia_device.py` asks for no more).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from envcap.gpu.coverage import alternatives, cover_capability
from envcap.gpu.lookup import known_library
from envcap.gpu.model import NVIDIA, GpuCode, GpuLibrary, GpuStack
from envcap.gpu.preflight import DeviceVerdict
from envcap.gpu.runtimes import cuda_runtimes
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import parse_capability
from envcap.gpu.versions import Version, dotted

_RUNTIMES = frozenset({"cuda", "cudart"})
_Group = tuple[GpuCode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A stack that is judged as a larger one, but for how many libraries it has.

    Attributes:
        stack: With the first library, by name, of each kind.
        alike: By its file, the groups that fare as it does on the architecture, and its place in such a group.
    """

    stack: GpuStack
    alike: Mapping[str, tuple[tuple[_Group, ...], int]] = field(default_factory=dict)

    def excluding(self, verdict: DeviceVerdict) -> tuple[str, ...]:
        """List, sorted, what decides a verdict on this stack: packages, files that nobody brings, runtimes."""
        names: set[str] = set()
        for part in verdict.libraries:
            if part.level == verdict.level:
                groups, place = self.alike.get(part.file, ((), 0))
                names.update(group[place].provider or group[place].file for group in groups)
                names.update(() if groups else (part.name,))
        return tuple(sorted(names))


def abridge(stack: GpuStack, arch: str, table: GpuTable) -> Brief:
    """Leave out the libraries that fare as another does on an architecture of NVIDIA.

    Args:
        stack: The lock's.
        arch: `9.0`; with one that can't be read, the stack stays as it is.
        table: The compatibility table.
    """
    capability = parse_capability(arch)
    if capability is None:
        return Brief(stack=stack)
    kinds: dict[tuple[object, ...], list[_Group]] = {}
    for group in alternatives(stack.code, NVIDIA):
        kinds.setdefault(tuple(_kind(code, capability, table) for code in group), []).append(group)
    code: list[GpuCode] = []
    alike: dict[str, tuple[tuple[_Group, ...], int]] = {}
    for groups in kinds.values():
        first = min(groups, key=lambda group: (group[0].provider or group[0].file, group[0].file))
        code += first
        alike |= {one.file: (tuple(groups), place) for place, one in enumerate(first)}
    # What is linked when it runs is named by its package, wherever it lies, or by its file where nobody brings it.
    linked = {row.provider or row.file: replace(row, sets=(), jit=("lto",)) for row in _linked(stack.code)}
    code += [row for row in linked.values() if row.file not in alike]
    return Brief(stack=replace(stack, libraries=_libraries(stack, table), code=tuple(code)), alike=alike)


def _kind(code: GpuCode, capability: Version, table: GpuTable) -> tuple[object, ...]:
    coverage = cover_capability(code, capability)
    known = known_library(code.file, table)
    return (
        coverage.native > 0,
        frozenset(coverage.compiled),
        coverage.missing > 0,
        known is not None and known.dispatches,
        known is not None and known.optional,
    )


def _linked(code: tuple[GpuCode, ...]) -> list[GpuCode]:
    return [row for row in code if "lto" in row.jit]


def _libraries(stack: GpuStack, table: GpuTable) -> tuple[GpuLibrary, ...]:
    """Write the runtimes with their versions: that of a linked one is told by code, which may be left out."""
    runtimes = cuda_runtimes(stack.libraries, stack.frameworks, stack.code, table)
    if not runtimes:
        return stack.libraries
    rest = [row for row in stack.libraries if row.name.partition(" ")[0] not in _RUNTIMES]
    told = [GpuLibrary(name="cudart", version=dotted(one.version), provider=one.provider) for one in runtimes]
    return (*told, *rest)
