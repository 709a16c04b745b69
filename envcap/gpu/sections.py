"""Finds the sections of an ELF file in which compilers put GPU code.

Only 64-bit little-endian files are looked at: no GPU compiler makes others. Source: System V gABI chapter 4.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from envcap.gpu.tally import damaged

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, size)`: the bytes at an offset, fewer at the end of the file."""

_IDENT: Final = b"\x7fELF\x02\x01"
_HEADER: Final = struct.Struct("<40xQ10xHHH")
"""Offset of the section table, size of an entry, count, index of the section of names."""
_SECTION: Final = struct.Struct("<II16xQQI20x")
"""Name, type, offset, size, link."""
_NO_BITS: Final = 8
_EXTENDED_INDEX: Final = 0xFFFF
_MAX_SECTIONS: Final = 4096
_MAX_NAMES: Final = 1 << 20
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Section:
    """Where a section lies in its file, in bytes."""

    name: str
    offset: int
    size: int


def is_wide_elf(read_at: ReadAt) -> bool:
    """Tell whether it is an ELF file that can hold GPU code."""
    return read_at(0, len(_IDENT)) == _IDENT


def read_sections(read_at: ReadAt, prefixes: tuple[str, ...]) -> tuple[Section, ...] | None:
    """List the sections whose names start with one of `prefixes`, in the order of the table.

    Returns:
        None where there is no section table: it was stripped.

    Raises:
        ScanError: The table is damaged, or larger than a library's.
    """
    header = read_at(0, 64)
    if len(header) < _HEADER.size:
        raise damaged("an ELF header cut off")
    offset, entry_size, count, names = _HEADER.unpack_from(header)
    if not offset:
        return None
    first = read_at(offset, _SECTION.size)
    if entry_size != _SECTION.size or len(first) != _SECTION.size:
        raise damaged(f"section headers of {entry_size} bytes at {offset}")
    # gABI: where the numbers don't fit into the header, the first section holds them.
    count = count or _SECTION.unpack(first)[3]
    names = _SECTION.unpack(first)[4] if names == _EXTENDED_INDEX else names
    if not names < count <= _MAX_SECTIONS:
        raise damaged(f"{count} sections, named by number {names}")
    table = read_at(offset, count * _SECTION.size)
    if len(table) != count * _SECTION.size:
        raise damaged("a section table cut off")
    rows = list(_SECTION.iter_unpack(table))
    strings = read_at(rows[names][2], min(rows[names][3], _MAX_NAMES))
    starts = tuple(prefix.encode() for prefix in prefixes)
    found = [
        Section(_name(strings, name), start, size)
        for name, kind, start, size, _ in rows
        if kind != _NO_BITS and size and strings.startswith(starts, name)
    ]
    return tuple(found)


def _name(strings: bytes, start: int) -> str:
    return strings[start : start + _MAX_NAME].partition(b"\0")[0].decode("ascii", "replace")
