"""Reads what the dynamic loader reads of an ELF file: needed libraries, own name, needed symbol versions.

A pure function of the file's content, so that callers may remember the answer by the content's hash. Only the ELF
header, the program headers and what PT_DYNAMIC points to are read: sections can be stripped, and the loader ignores
them too. Sources: System V gABI chapters 4 and 5 (ELF header, program header, dynamic section), LSB Core 10.7
(symbol versions), x86-64 psABI (the property that names the CPU level). Everything in the file is hostile: counts are
bounded, offsets checked by the read itself.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from envcap.cpu import level_of_bits
from envcap.errors import ScanError

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, size)`: the bytes at an offset, fewer at the end of the file."""

MAGIC = b"\x7fELF"

_MAX_PROGRAM_HEADERS = 512
_MAX_DYNAMIC_SIZE = 64 * 1024
_MAX_NEEDED = 1024
_MAX_VERSIONS = 4096
_MAX_NAME = 1024
_MAX_PROPERTIES = 4096
_CLASS_64 = 2
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_PROPERTY = 1, 2, 0x6474E553
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME = 0, 1, 5, 14
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_EM_X86_64 = 62
_NT_GNU_PROPERTY_TYPE_0, _GNU_PROPERTY_X86_ISA_1_NEEDED = 5, 0xC0008002


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """What one ELF file says to the dynamic loader.

    Attributes:
        machine: `e_machine`, the class in bits and the byte order: `62-64-little` for x86-64. Only files of one
            machine can be loaded together.
        needed: DT_NEEDED, in order.
        soname: DT_SONAME, or empty.
        versions: Pairs of library and symbol version it must offer, such as `("libc.so.6", "GLIBC_2.28")`.
        cpu: Level of x86-64 above the baseline that its note asks for, such as `x86-64-v3`, or empty.
    """

    machine: str
    needed: tuple[str, ...] = ()
    soname: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    cpu: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the structures of this class and byte order are packed."""

    order: str
    wide: bool

    @property
    def dynamic(self) -> struct.Struct:
        return struct.Struct(self.order + ("qQ" if self.wide else "iI"))

    @property
    def verneed(self) -> struct.Struct:
        """Elf_Verneed and Elf_Vernaux have one layout in both classes: 16 bytes each."""
        return struct.Struct(self.order + "HHIII")

    @property
    def vernaux(self) -> struct.Struct:
        return struct.Struct(self.order + "IHHII")


def read_elf(read_at: ReadAt) -> ElfFile:
    """Read an ELF file.

    Args:
        read_at: Reads the file's content.

    Raises:
        ScanError: It is no ELF file, or damaged.
    """
    header = read_at(0, 4096)
    try:
        return _read(header, read_at)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise ScanError(f"Damaged ELF file ({error})", hint="reinstall the package that owns it") from error


def _read(header: bytes, read_at: ReadAt) -> ElfFile:
    if header[:4] != MAGIC or header[4] not in (1, 2) or header[5] not in (1, 2):
        raise ValueError("no ELF header")
    layout = _Layout("<" if header[5] == 1 else ">", header[4] == _CLASS_64)
    machine = struct.unpack_from(layout.order + "H", header, 18)[0]
    name = f"{machine}-{64 if layout.wide else 32}-{'little' if layout.order == '<' else 'big'}"
    loads, dynamic, properties = _read_program_headers(layout, header, read_at)
    cpu = _read_cpu_level(layout, *properties, read_at) if properties and machine == _EM_X86_64 else ""
    if dynamic is None:  # statically linked, or an object file
        return ElfFile(machine=name, cpu=cpu)
    tags = _read_dynamic(layout, *dynamic, read_at)
    first = dict(reversed(tags))  # of a tag that comes twice the first counts
    if _DT_STRTAB not in first:
        return ElfFile(machine=name, cpu=cpu)
    strings = _Strings(read_at, _file_offset(loads, first[_DT_STRTAB]))
    needed = [strings.at(value) for tag, value in tags if tag == _DT_NEEDED]
    if len(needed) > _MAX_NEEDED:
        raise ValueError(f"{len(needed)} needed libraries")
    versions: list[tuple[str, str]] = []
    if _DT_VERNEED in first:
        offset = _file_offset(loads, first[_DT_VERNEED])
        versions = sorted(set(_read_versions(layout, offset, first.get(_DT_VERNEEDNUM, 0), strings, read_at)))
    soname = strings.at(first[_DT_SONAME]) if _DT_SONAME in first else ""
    return ElfFile(machine=name, needed=tuple(needed), soname=soname, versions=tuple(versions), cpu=cpu)


def _read_program_headers(
    layout: _Layout, header: bytes, read_at: ReadAt
) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None, tuple[int, int] | None]:
    """Return the PT_LOAD segments as (address, offset, file size), PT_DYNAMIC and PT_GNU_PROPERTY as (offset, size)."""
    offset = struct.unpack_from(layout.order + ("Q" if layout.wide else "I"), header, 32 if layout.wide else 28)[0]
    entry_size, count = struct.unpack_from(layout.order + "HH", header, 54 if layout.wide else 42)
    # One type at the front, then (wide) flags, offset, address … or (narrow) offset, address …
    fields = struct.Struct(layout.order + ("IIQQQQ" if layout.wide else "IIIII"))
    if count and (count > _MAX_PROGRAM_HEADERS or entry_size != (56 if layout.wide else 32)):
        raise ValueError(f"{count} program headers of {entry_size} bytes")
    size = count * entry_size
    table = header[offset : offset + size] if offset + size <= len(header) else _read_exactly(read_at, offset, size)
    loads: list[tuple[int, int, int]] = []
    dynamic = properties = None
    for index in range(count):
        values = fields.unpack_from(table, index * entry_size)
        where, address, file_size = (
            (values[2], values[3], values[5]) if layout.wide else (values[1], values[2], values[4])
        )
        if values[0] == _PT_LOAD:
            loads.append((address, where, file_size))
        elif values[0] == _PT_DYNAMIC:
            dynamic = (where, file_size)
        elif values[0] == _PT_GNU_PROPERTY:
            properties = (where, file_size)
    return loads, dynamic, properties


def _read_cpu_level(layout: _Layout, offset: int, size: int, read_at: ReadAt) -> str:
    """Read the level from the note of properties; what isn't laid out as it should be says nothing, as in ld.so."""
    data = read_at(offset, min(size, _MAX_PROPERTIES))
    head = struct.Struct(layout.order + "III")
    if len(data) < head.size + 4:
        return ""
    name_size, properties_size, kind = head.unpack_from(data)
    if (name_size, kind, data[head.size : head.size + 4]) != (4, _NT_GNU_PROPERTY_TYPE_0, b"GNU\0"):
        return ""
    at, end = head.size + 4, min(len(data), head.size + 4 + properties_size)
    alignment = 8 if layout.wide else 4
    while at + 12 <= end:
        kind, length, bits = head.unpack_from(data, at)
        if kind == _GNU_PROPERTY_X86_ISA_1_NEEDED and length == 4:  # noqa: PLR2004  # psABI: one 4-byte integer
            return level_of_bits(bits)
        at += 8 + -(-length // alignment) * alignment
    return ""


def _read_dynamic(layout: _Layout, offset: int, size: int, read_at: ReadAt) -> list[tuple[int, int]]:
    """Return the dynamic section's (tag, value) pairs up to DT_NULL."""
    if size > _MAX_DYNAMIC_SIZE:
        raise ValueError(f"a dynamic section of {size} bytes")
    pair = layout.dynamic
    data = _read_exactly(read_at, offset, size - size % pair.size)
    tags: list[tuple[int, int]] = []
    for tag, value in pair.iter_unpack(data):
        if tag == _DT_NULL:
            break
        tags.append((tag, value))
    return tags


def _read_versions(
    layout: _Layout, offset: int, count: int, strings: "_Strings", read_at: ReadAt
) -> Iterator[tuple[str, str]]:
    """Walk the version needs: a chain of libraries, each with a chain of versions (LSB Core 10.7.4)."""
    if count > _MAX_NEEDED:
        raise ValueError(f"version needs of {count} libraries")
    steps = 0
    for _ in range(count):
        _, entries, file, auxiliary, following = layout.verneed.unpack(_read_exactly(read_at, offset, 16))
        at = offset + auxiliary
        library = strings.at(file)
        for _ in range(entries):
            steps += 1
            if steps > _MAX_VERSIONS:
                raise ValueError(f"more than {_MAX_VERSIONS} version needs")
            _, _, _, name, skip = layout.vernaux.unpack(_read_exactly(read_at, at, 16))
            yield library, strings.at(name)
            if not skip:
                break
            at += skip
        if not following:
            break
        offset += following


def _file_offset(loads: list[tuple[int, int, int]], address: int) -> int:
    """Map an address of the loaded image to an offset in the file."""
    for start, offset, size in loads:
        if start <= address < start + size:
            return address - start + offset
    raise ValueError(f"address {address:#x} in no segment")


def _read_exactly(read_at: ReadAt, offset: int, size: int) -> bytes:
    data = read_at(offset, size) if size else b""
    if len(data) != size:
        raise ValueError(f"the file ends before {offset + size}")
    return data


class _Strings:
    """The dynamic string table, read a piece at a time: it can be megabytes long."""

    def __init__(self, read_at: ReadAt, start: int) -> None:
        self._read_at = read_at
        self._start = start
        self._known: dict[int, str] = {}

    def at(self, offset: int) -> str:
        """Return the string at an offset of the table."""
        text = self._known.get(offset)
        if text is None:
            raw, end, _ = self._read_at(self._start + offset, _MAX_NAME).partition(b"\0")
            if not end:
                raise ValueError("a name without an end")
            text = raw.decode("ascii")
            if not text.isprintable():
                raise ValueError("a name that is not printable")
            self._known[offset] = text
        return text
