"""Questions to the compatibility table. Pure.

None, zero or an empty text means that the table doesn't tell: the caller makes that a verdict `unknown`, never `ok`.
"""

from fnmatch import fnmatchcase
from functools import lru_cache

from envcap.gpu.table import Capability, CompatPackage, Floor, GpuTable, KnownLibrary
from envcap.gpu.versions import Version, parse_version


def floor_of(major: int, table: GpuTable) -> Floor | None:
    """Give the lowest driver on which the runtime of a CUDA major starts."""
    return next((floor for floor in table.floors if floor.major == major), None)


def native_driver(cuda: Version, table: GpuTable) -> str:
    """Give the driver packaged with the first toolkit that is at least a CUDA: it speaks its API, compiles its PTX."""
    return next((toolkit.driver for toolkit in table.toolkits if toolkit.cuda >= cuda), "")


def api_of_driver(version: Version, table: GpuTable) -> Version | None:
    """Give the highest CUDA that a driver speaks; a branch between two known ones speaks that of the lower."""
    known = [branch for branch in table.branches if branch.number <= version[0]]
    return known[-1].cuda if known else None


def is_newer_than_table(version: Version, table: GpuTable) -> bool:
    """Tell whether a driver's branch came after all that the table knows."""
    return version[0] > table.branches[-1].number


def cuda_of_ptx(isa: Version, table: GpuTable) -> Version | None:
    """Give the first CUDA whose driver compiles a PTX ISA."""
    return next((row.cuda for row in table.ptx if row.isa == isa[:2]), None)


def capability_of(version: Version, table: GpuTable) -> Capability | None:
    """Give what is known of a compute capability."""
    return next((row for row in table.capabilities if row.version == version), None)


def compat_package(cuda: Version, table: GpuTable) -> CompatPackage | None:
    """Choose the forward-compatibility package for a runtime.

    Returns:
        That of its own version, else the next newer of its major, else the newest of its major: minor-version
        compatibility holds for the package's libcuda as for any other.
    """
    same = [package for package in table.compat if package.cuda[0] == cuda[0]]
    return next((package for package in same if package.cuda >= cuda[:2]), same[-1] if same else None)


def known_library(file: str, table: GpuTable) -> KnownLibrary | None:
    """Find a library that is known to choose code by device, by the name of its file."""
    found = _matching(file.rpartition("/")[2], tuple(library.name for library in table.libraries))
    return None if found is None else table.libraries[found]


@lru_cache(maxsize=4096)
def _matching(name: str, patterns: tuple[str, ...]) -> int | None:
    soname = name.partition(".so")[0] + ".so"
    return next((index for index, pattern in enumerate(patterns) if fnmatchcase(soname, pattern)), None)


def kernel_drivers_for(rocm: str, table: GpuTable) -> tuple[str, ...]:
    """List AMD's kernel drivers that were tested with a version of ROCm, `7.2`, oldest first."""
    return tuple(".".join(map(str, pair.driver)) for pair in table.rocm if rocm in pair.rocm)


def is_tested_pair(driver: str, rocm: str, table: GpuTable) -> bool | None:
    """Tell whether a kernel driver was tested with a version of ROCm; None if the driver is not in the table."""
    version = parse_version(driver)
    if version is None:
        return None
    row = next((pair for pair in table.rocm if pair.driver == version[:2]), None)
    return None if row is None else rocm in row.rocm
