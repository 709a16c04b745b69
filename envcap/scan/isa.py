"""Which processor some machine code was compiled for, as far as the file itself says so.

Three witnesses, none of which must be there: the note `.note.gnu.property` (x86 ISA needed), the section
`.GCC.command.line` (`-frecord-gcc-switches`), and the producer that GCC writes into debug information (`-g`, the
default of many builds of Python), where `-march=native` stands resolved, with each extension. Sources: x86-64 psABI
(levels v1 to v4, GNU_PROPERTY_X86_ISA_1_NEEDED), GCC manual "x86 Options".
"""

import re
from pathlib import Path
from typing import Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from envcap.elf_reader import MAGIC

BASELINE: Final = 1
"""What every x86-64 processor has."""

_LARGEST_SECTION: Final = 256 << 20
_ISA_NEEDED: Final = 0xC0008002
_SECTIONS: Final = (".GCC.command.line", ".debug_str", ".debug_line_str")
_PRODUCER: Final = re.compile(rb"GNU (?:C|Fortran|Go|Ada|D|Rust|GIMPLE)[^\0]{0,40} -[^\0]{0,8000}")
_MARCH: Final = re.compile(rb"(?<![^ ])-march=([A-Za-z0-9_.+-]{1,40})")
_EXTENSIONS: Final = ((4, b" -mavx512f "), (3, b" -mavx2 "), (2, b" -msse4.2 "))
"""By level, an extension that the level has and the one below lacks; `native` is resolved to such a list."""

_NAMES: Final = {
    "x86-64": 1, "k8": 1, "nocona": 1, "core2": 1, "x86-64-v2": 2, "nehalem": 2, "westmere": 2, "sandybridge": 2,
    "ivybridge": 2, "silvermont": 2, "goldmont": 2, "tremont": 2, "btver2": 2, "x86-64-v3": 3, "haswell": 3,
    "broadwell": 3, "skylake": 3, "alderlake": 3, "znver1": 3, "znver2": 3, "znver3": 3, "x86-64-v4": 4,
    "skylake-avx512": 4, "cascadelake": 4, "cooperlake": 4, "icelake-client": 4, "icelake-server": 4,
    "tigerlake": 4, "rocketlake": 4, "sapphirerapids": 4, "graniterapids": 4, "znver4": 4, "znver5": 4,
}  # fmt: skip


def read_isa_level(path: Path) -> int:
    """Give the x86-64 level that a file's code was compiled for: 2, 3 or 4; 1 where it is the baseline or not said.

    Raises:
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return BASELINE
        try:
            elf = ELFFile(file)
            if elf.get_machine_arch() != "x64":
                return BASELINE
            return max(_needed(elf), *(_compiled(elf, name) for name in _SECTIONS))
        # A damaged file is no reason to stop: the loader will have its own say.
        except (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, MemoryError, OverflowError):
            return BASELINE


def _needed(elf: ELFFile) -> int:
    section = elf.get_section_by_name(".note.gnu.property")
    level = BASELINE
    for note in section.iter_notes() if section is not None and hasattr(section, "iter_notes") else ():
        for row in note["n_desc"] if note["n_type"] == "NT_GNU_PROPERTY_TYPE_0" else ():
            if row.pr_type in (_ISA_NEEDED, "GNU_PROPERTY_X86_ISA_1_NEEDED"):
                bits = row.pr_data if isinstance(row.pr_data, int) else int.from_bytes(bytes(row.pr_data), "little")
                level = max(level, min(bits.bit_length(), 4))
    return level


def _compiled(elf: ELFFile, name: str) -> int:
    section = elf.get_section_by_name(name)
    if section is None or section.data_size > _LARGEST_SECTION:
        return BASELINE
    return max((_level(found[0]) for found in _PRODUCER.finditer(section.data())), default=BASELINE)


def _level(options: bytes) -> int:
    """Tell the level of one command line. Without `-march` the code stays with what the rest of the program does.

    Extensions given alone are left out: they are how libraries build code that they choose at run time.
    """
    found = _MARCH.search(options)
    if found is None or found[1] == b"x86-64":
        return BASELINE
    named = _NAMES.get(found[1].decode(), BASELINE)
    listed = next((level for level, extension in _EXTENSIONS if extension in options + b" "), BASELINE)
    return max(named, listed)
