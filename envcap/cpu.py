"""The levels of the x86-64 instruction set: what a binary says that it needs, and what a machine has. Pure.

Source: x86-64 psABI 1.0, "Micro-Architecture Levels" (table 3.1) and "Program Property"
(GNU_PROPERTY_X86_ISA_1_NEEDED); the kernel's spelling of the features is that of `arch/x86/include/asm/cpufeatures.h`.

Only what a linker was told with `-z x86-64-v3` is in a binary's note. A library that chooses its code at run time
(numpy, OpenBLAS) has none, rightly, and neither has code compiled with `-march=native` and linked without that option.
"""

from collections.abc import Iterable
from itertools import takewhile

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
"""Levels above the baseline, lowest first; each includes those below it."""

_NEEDED_BITS = {"x86-64-v2": 1 << 1, "x86-64-v3": 1 << 2, "x86-64-v4": 1 << 3}
_FLAGS = {
    "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
    "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}


def level_of_bits(bits: int) -> str:
    """Give the level that the bits of GNU_PROPERTY_X86_ISA_1_NEEDED ask for; empty for the baseline."""
    return highest_level(level for level, bit in _NEEDED_BITS.items() if bits & bit)


def highest_level(levels: Iterable[str]) -> str:
    """Give the highest of some levels; empty where there is none. What is no level doesn't count."""
    return max((level for level in levels if level in LEVELS), key=LEVELS.index, default="")


def level_of_machine(cpuinfo: str) -> str | None:
    """Tell which level a machine has, by the text of its `/proc/cpuinfo`.

    Returns:
        The level, empty for the baseline, or None where the text doesn't tell: another kind of machine.
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = next((frozenset(value.split()) for name, _, value in lines if name.strip() == "flags"), None)
    if flags is None or "lm" not in flags:  # long mode: every x86-64
        return None
    return highest_level(takewhile(lambda level: _FLAGS[level] <= flags, LEVELS))


def is_below(machine: str | None, needed: str) -> bool:
    """Tell whether a machine is known to lack a level."""
    if machine is None or needed not in LEVELS:
        return False
    return machine not in LEVELS or LEVELS.index(machine) < LEVELS.index(needed)
