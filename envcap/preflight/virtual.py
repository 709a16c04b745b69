"""What a lock's conda packages ask of a machine, judged: by the image's own glibc, and by the machine at hand.

glibc comes with the image, so that its version is that of the lock's Debian packages. CUDA's driver, the CPU and the
kernel are those of the machine that runs it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envcap.conda.virtual import ARCHSPEC, CUDA, GLIBC, LINUX, is_cpu_met, is_met
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.lockfile.model import Lockfile, VirtualPackage
from envcap.lockfile.virtual import required_virtual

_OF_MACHINE = frozenset({ARCHSPEC, CUDA, LINUX})
_UPSTREAM = re.compile(r"(?:[0-9]+:)?(?P<version>[0-9]+(?:\.[0-9]+)+)")
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """Something that is asked for and not there.

    Attributes:
        row: What is asked for.
        found: What is there instead: version and build, or empty for nothing.
        certain: False where a CPU of another kind may do as well.
    """

    row: VirtualPackage
    found: str = ""
    certain: bool = True


def wanted_virtual(lockfile: Lockfile) -> tuple[VirtualPackage, ...]:
    """Give what a lock's conda packages ask for, also of a lock that is older than the rows that say it."""
    return lockfile.virtual or required_virtual(lockfile.conda)


def wanted_of_machine(lockfile: Lockfile) -> tuple[VirtualPackage, ...]:
    """Give what is asked of the machine that runs the image."""
    return tuple(row for row in wanted_virtual(lockfile) if row.name in _OF_MACHINE)


def find_unmet(lockfile: Lockfile, machine: Mapping[str, str], level: str | None) -> tuple[Unmet, ...]:
    """Compare a lock with a machine.

    Args:
        lockfile: The lock.
        machine: Its virtual packages; not empty: each has at least `__unix`.
        level: Its level of x86-64, empty for the baseline, None where that is not known.
    """
    found = []
    for row in wanted_of_machine(lockfile):
        fact = machine.get(row.name, "")
        if not fact:
            found += [] if row.optional else [Unmet(row=row)]
            continue
        is_cpu = row.name == ARCHSPEC
        met = is_cpu_met(row.wanted, fact, level) if is_cpu else is_met(row.name, row.wanted, fact)
        if met is False or (met is None and is_cpu):
            found.append(Unmet(row=row, found=fact, certain=met is False))
    return tuple(found)


def glibc_findings(lockfile: Lockfile) -> Iterator[Finding]:
    """Warn where the image's glibc is not one that a conda package asks for.

    It is no refusal: the suite was chosen by the symbols that the binaries really need (`lock.debian_choice`).
    """
    glibc = _image_glibc(lockfile)
    for row in wanted_virtual(lockfile):
        if row.name == GLIBC and glibc and is_met(GLIBC, row.wanted, glibc) is False:
            message = (
                f"conda's {named(row)} asks for {GLIBC} {row.wanted}, and the image has glibc {glibc} of Debian: "
                "choose a newer suite with `--suite`, if there is one"
            )
            yield Finding(code="conda-glibc", message=message, level=FindingLevel.WARNING)


def named(row: VirtualPackage) -> str:
    """Name those who ask, the first few of many."""
    return few(row.because, _NAMED)


def _image_glibc(lockfile: Lockfile) -> str:
    row = next((row for row in lockfile.system if row.name == "libc6"), None)
    match = _UPSTREAM.match(row.version) if row else None
    return match["version"] if match else ""
