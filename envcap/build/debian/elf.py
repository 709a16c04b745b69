"""Read of a shared library what `ldconfig` reads: SONAME and the x86 ISA level.

Only program headers count, as for the loader (gABI chapter 5; glibc elf/readelflib.c): section headers may be
stripped or hostile. pyelftools walks section headers without a bound and takes 4 ms a library, hence these few reads.
Every count is bounded.
"""

import struct
import tempfile
from dataclasses import dataclass
from typing import IO, Final

from envcap.entry import Content

_MACHINES: Final = {"amd64": 62, "arm64": 183}  # EM_X86_64, EM_AARCH64
_IN_MEMORY: Final = 8 << 20
_MAX_OFFSET: Final = 1 << 40
_MAX_SEGMENTS: Final = 256
_MAX_TAGS: Final = 4096
_MAX_NAME: Final = 256
_MAX_NOTES: Final = 64 << 10

_HEADER = struct.Struct("<4sBBB9xHHIQQQIHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_TAG = struct.Struct("<qQ")
_ELFCLASS64, _ELFDATA2LSB, _ET_DYN = 2, 1, 3
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_PROPERTY = 1, 2, 0x6474E553
_DT_NULL, _DT_STRTAB, _DT_SONAME = 0, 5, 14
_NT_GNU_PROPERTY_TYPE_0, _X86_ISA_1_NEEDED = 5, 0xC0008002


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLibrary:
    """What the cache needs to know of a shared library.

    Attributes:
        soname: DT_SONAME, or an empty string.
        isa_level: x86-64 level that the file says it needs: 0 for the baseline or nothing, 1 for x86-64-v2 and so on.
    """

    soname: str
    isa_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read_shared_library(content: Content, *, architecture: str) -> SharedLibrary | None:
    """Read a file's SONAME; None if it isn't a 64-bit shared library for the architecture, or is damaged."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        for chunk in content.chunks():
            if not file.tell() and not chunk.startswith(b"\x7fELF"):
                return None  # a linker script, a debugger's helper: most non-libraries end here
            file.write(chunk)
        try:
            return _read(file, _MACHINES[architecture])
        except (struct.error, OverflowError, ValueError):
            return None


def _read(file: IO[bytes], machine: int) -> SharedLibrary | None:
    segments = _segments(file, machine)
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None or not dynamic.size:
        return None
    tags = _tags(file, dynamic)
    if _DT_STRTAB not in tags:
        return None
    strings = _file_offset(segments, tags[_DT_STRTAB])
    soname = ""
    if strings is not None and _DT_SONAME in tags:
        raw = _at(file, strings + tags[_DT_SONAME], _MAX_NAME + 1)
        name, end, _ = raw.partition(b"\0")
        if not end:
            return None
        soname = name.decode("ascii", "surrogateescape")
    return SharedLibrary(soname=soname, isa_level=_isa_level(file, segments))


def _at(file: IO[bytes], offset: int, size: int) -> bytes:
    if offset > _MAX_OFFSET:
        raise ValueError(offset)
    file.seek(offset)
    return file.read(size)


def _segments(file: IO[bytes], machine: int) -> list[_Segment]:
    """Read the program headers; none for anything but a little-endian 64-bit shared object of the machine."""
    header = _HEADER.unpack(_at(file, 0, _HEADER.size))
    magic, bits, order, _, kind, found, _, _, offset, _, _, _, size, count = (*header,)
    wanted = (b"\x7fELF", _ELFCLASS64, _ELFDATA2LSB, _ET_DYN, machine, _SEGMENT.size)
    if (magic, bits, order, kind, found, size) != wanted or count > _MAX_SEGMENTS:
        return []
    segments = []
    for raw in _SEGMENT.iter_unpack(_at(file, offset, _SEGMENT.size * count)):
        kind, _, position, address, _, filesz, _, _ = raw
        segments.append(_Segment(kind=kind, offset=position, address=address, size=filesz))
    return segments


def _tags(file: IO[bytes], dynamic: _Segment) -> dict[int, int]:
    """Read the dynamic section up to DT_NULL; of a repeated tag the first counts."""
    raw = _at(file, dynamic.offset, min(dynamic.size, _TAG.size * _MAX_TAGS))
    tags: dict[int, int] = {}
    for tag, value in _TAG.iter_unpack(raw[: len(raw) // _TAG.size * _TAG.size]):
        if tag == _DT_NULL:
            break
        tags.setdefault(tag, value)
    return tags


def _file_offset(segments: list[_Segment], address: int) -> int | None:
    for segment in segments:
        if segment.kind == _PT_LOAD and 0 <= address - segment.address < segment.size:
            return address - segment.address + segment.offset
    return None


def _isa_level(file: IO[bytes], segments: list[_Segment]) -> int:
    """Read GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI, "Program Property"): the number of its highest bit."""
    for segment in segments:
        if segment.kind == _PT_GNU_PROPERTY:  # ldconfig looks at no plain PT_NOTE (seen with 2.36 and 2.41)
            level = _isa_of_notes(_at(file, segment.offset, min(segment.size, _MAX_NOTES)))
            if level:
                return level
    return 0


def _isa_of_notes(notes: bytes) -> int:
    while len(notes) >= 16:  # noqa: PLR2004 - three words and `GNU\0`
        name_size, size, kind = struct.unpack_from("<III", notes)
        start = 12 + (name_size + 3) // 4 * 4
        if kind == _NT_GNU_PROPERTY_TYPE_0 and notes[12:16] == b"GNU\0":
            return _isa_of_properties(notes[start : start + size])
        notes = notes[start + (size + 3) // 4 * 4 :]
    return 0


def _isa_of_properties(properties: bytes) -> int:
    while len(properties) >= 12:  # noqa: PLR2004 - type, size and a word
        kind, size, value = struct.unpack_from("<III", properties)
        if kind == _X86_ISA_1_NEEDED:
            return max(int(value).bit_length() - 1, 0)
        properties = properties[8 + (size + 7) // 8 * 8 :]
    return 0
