"""Which runtimes an environment starts: CUDA, ROCm, and thus whose devices it wants. Pure.

The library that is in the environment counts before what a framework was built for: `libcudart` is what asks the
driver. Where a framework has it linked into itself, its own word counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envcap.gpu.lookup import cuda_of_ptx
from envcap.gpu.model import AMD, INTEL, NVIDIA, GpuCode, GpuFramework, GpuLibrary, GpuStack
from envcap.gpu.table import GpuTable
from envcap.gpu.targets import CudaTarget, target_or_none, vendor_of_target
from envcap.gpu.versions import Version, dotted, parse_major_minor

_VENDORS = {"cuda": NVIDIA, "cudart": NVIDIA, "rocm": AMD, "hip": AMD, "xpu": INTEL, "level-zero": INTEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A runtime of CUDA or ROCm.

    Attributes:
        version: Its first two numbers.
        provider: Package that brings it or was built for it.
        because: The evidence, as a lock says it.
    """

    version: Version
    provider: str
    because: str


def cuda_runtimes(
    libraries: Iterable[GpuLibrary], frameworks: Iterable[GpuFramework], code: Iterable[GpuCode], table: GpuTable
) -> tuple[Runtime, ...]:
    """List the CUDA runtimes of an environment, newest first.

    Args:
        libraries: Those named `cudart…` are runtimes, and `cuda` is the toolkit as a whole.
        frameworks: `built_for` counts for a major of CUDA that no `cudart` is there for.
        code: A `cudart` without a version is linked into a library: the newest PTX of its package tells the toolkit.
        table: Tells the toolkit of a PTX ISA.
    """
    newest = _newest_ptx(code)
    found = [runtime for library in libraries if (runtime := _of_library(library, newest, table))]
    exact = [runtime for runtime in found if not runtime.because.startswith("cuda ")]
    majors = {runtime.version[0] for runtime in exact}
    rest = [one for one in found if one.because.startswith("cuda ") and one.version[0] not in majors]
    majors |= {runtime.version[0] for runtime in rest}
    built = [
        Runtime(
            version=version,
            provider=framework.name,
            because=f"{framework.name} {framework.version} built for {framework.built_for}",
        )
        for framework in frameworks
        if (version := _built_for(framework, "cuda")) and version[0] not in majors
    ]
    return tuple(sorted({*exact, *rest, *built}, key=lambda one: ([-part for part in one.version], one.because)))


def rocm_runtimes(libraries: Iterable[GpuLibrary], frameworks: Iterable[GpuFramework]) -> tuple[Runtime, ...]:
    """List the versions of ROCm of an environment, newest first."""
    found = {
        Runtime(version=version, provider=library.provider, because=f"rocm {dotted(version)} of {_provided(library)}")
        for library in libraries
        if library.name == "rocm" and (version := parse_major_minor(library.version))
    }
    built = {
        Runtime(
            version=version,
            provider=framework.name,
            because=f"{framework.name} {framework.version} built for {framework.built_for}",
        )
        for framework in frameworks
        if (version := _built_for(framework, "rocm"))
    }
    return tuple(sorted(found or built, key=lambda one: ([-part for part in one.version], one.because)))


def wanted_vendors(stack: GpuStack) -> tuple[str, ...]:
    """Tell whose devices an environment wants, sorted; empty for one that wants none.

    What its libraries and frameworks say counts first: packages carry code for several vendors and load one of it.
    """
    named = {vendor for library in stack.libraries if (vendor := _VENDORS.get(library.name.partition(" ")[0]))}
    named |= {vendor for row in stack.frameworks if (vendor := _VENDORS.get(row.built_for.partition(" ")[0]))}
    if not named:
        targets = (target for code in stack.code for row in code.sets for target in row.targets)
        named = {vendor for target in targets if (vendor := vendor_of_target(target))}
    return tuple(sorted(named))


def _of_library(library: GpuLibrary, newest: Mapping[str, Version], table: GpuTable) -> Runtime | None:
    name = library.name.partition(" ")[0]
    if name not in {"cuda", "cudart"}:
        return None
    version = parse_major_minor(library.version)
    if version is None and (isa := newest.get(library.provider)):
        version = cuda_of_ptx(isa, table)
    if version is None:
        return None
    because = f"{library.name} {dotted(version)} of {_provided(library)}"
    return Runtime(version=version, provider=library.provider, because=because)


def _provided(library: GpuLibrary) -> str:
    """Name a package; the version of a runtime that is linked into it is not its own."""
    return library.provider if " " in library.name else f"{library.provider} {library.version}".strip()


def _newest_ptx(code: Iterable[GpuCode]) -> Mapping[str, Version]:
    """Give the newest PTX ISA by package; once for all of its libraries, of which a lock may have thousands."""
    found: dict[str, Version] = {}
    for row in code:
        for text in {target for containers in row.sets for target in containers.targets}:
            target = target_or_none(text)
            if isinstance(target, CudaTarget) and target.isa:
                found[row.provider] = max(found.get(row.provider, ()), target.isa)
    return found


def _built_for(framework: GpuFramework, kind: str) -> Version | None:
    name, _, version = framework.built_for.partition(" ")
    return parse_major_minor(version) if name == kind else None
