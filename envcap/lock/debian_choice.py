"""Which Debian suite an environment's image is made of: the oldest that its binaries can run on."""

import re
from collections.abc import Callable
from typing import Final

from envcap.environment import ElfFacts
from envcap.errors import SystemPackageError
from envcap.lock.debian_base import interpreter_packages
from envcap.sources.debian_archive import DebianSuite

SUITES: Final = ("bookworm", "trixie")
"""Supported suites, oldest first: an older C library runs on more kernels and hosts, and holds its pins longer."""

_GLIBCXX_OF_GCC: Final = {9: 26, 10: 28, 11: 29, 12: 30, 13: 32, 14: 33, 15: 34}
"""Highest GLIBCXX_3.4.N of libstdc++ by GCC release (GCC manual, "ABI Policy and Guidelines")."""

_NUMBERS: Final = re.compile(r"\d+")

OpenSuite = Callable[[str], DebianSuite]
"""Opens a suite by its codename."""


def choose_suite(elf: ElfFacts, *, origin: str, version: str, wanted: str | None, open_suite: OpenSuite) -> DebianSuite:
    """Choose the suite.

    Args:
        elf: What the environment's binaries need.
        origin: Of the interpreter: `debian`, `standalone` or `captured`.
        version: Full version of the interpreter.
        wanted: The user's choice, or None.
        open_suite: Opens a suite; asked for the oldest first, and no further than needed.

    Raises:
        SystemPackageError: No suite serves, or the wanted one doesn't.
        SourceError: A mirror fails.
    """
    lacks: list[str] = []
    for name in (wanted,) if wanted else SUITES:
        suite = open_suite(name)
        lack = _find_lack(suite, elf, origin, version)
        if not lack:
            return suite
        lacks.append(f"{name}: {lack}")
    names = " or ".join(SUITES)
    raise SystemPackageError(
        f"The environment can't run on Debian {wanted or names} ({'; '.join(lacks)})",
        hint="choose another suite with `--suite`"
        if wanted
        else "capture the interpreter as a tree instead"
        if origin == "debian"
        else "rebuild what needs the newer library, or install its manylinux wheel",
    )


def _find_lack(suite: DebianSuite, elf: ElfFacts, origin: str, version: str) -> str:
    """Say what a suite lacks, or nothing."""
    glibc = _version_of(suite, "libc6")
    if elf.glibc and _numbers(elf.glibc) > _numbers(glibc):
        return f"glibc {elf.glibc} is needed, {glibc} found"
    lack = _find_libstdcxx_lack(suite, elf)
    if lack:
        return lack
    for package in interpreter_packages(origin, version):
        found = _version_of(suite, package)
        if found != version:
            return f"python {version} is needed, {f'{package} {found}' if found else f'no {package}'} found"
    return ""


def _find_libstdcxx_lack(suite: DebianSuite, elf: ElfFacts) -> str:
    # Whoever ships a libstdc++ of their own answers for it; then the soname is no need of the system.
    if not elf.glibcxx or all(need.soname != "libstdc++.so.6" for need in elf.needs):
        return ""
    found = _version_of(suite, "libstdc++6")
    gcc = (*_numbers(found), 0)[0]
    if gcc <= max(_GLIBCXX_OF_GCC) and _numbers(elf.glibcxx) > (3, 4, _GLIBCXX_OF_GCC.get(gcc, 0)):
        return f"libstdc++ with GLIBCXX_{elf.glibcxx} is needed, GCC {found} found"
    return ""


def _version_of(suite: DebianSuite, package: str) -> str:
    """Return the upstream version of a package's newest build, or an empty string."""
    for found in suite.versions(package):
        return found.version.partition(":")[2 if ":" in found.version else 0].rpartition("-")[0].partition("+")[0]
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(version))
