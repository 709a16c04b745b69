"""What a live environment takes from the operating system."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfNeed:
    """A shared library that the environment needs from outside itself.

    Attributes:
        soname: Such as `libGL.so.1`.
        needed_by: Paths (relative to the prefix; `python` for the interpreter) that need it, sorted.
    """

    soname: str
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFacts:
    """What the ELF files of an environment (and its interpreter) ask of the operating system.

    Attributes:
        needs: Sonames that nothing in the environment provides, sorted.
        glibc: Highest `GLIBC_x.y` version needed, such as `2.28`, or empty.
        glibcxx: Highest `GLIBCXX_x.y.z` version needed, or empty.
        files: Number of ELF files read.
        cpu: Highest level of x86-64 above the baseline that a file needs, such as `x86-64-v3`, or empty.
    """

    needs: tuple[ElfNeed, ...] = ()
    glibc: str = ""
    glibcxx: str = ""
    files: int = 0
    cpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsPackage:
    """A package of the operating system that holds Python modules which the environment sees.

    Attributes:
        name: Binary package, such as `python3-numpy`.
        version: Debian version.
    """

    name: str
    version: str
