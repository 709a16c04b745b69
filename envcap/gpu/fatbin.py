"""Reads for which targets NVIDIA's fat binaries hold code, from their headers alone.

A library has a container for each translation unit, in the section `.nv_fatbin`; a container is a header and a chain
of entries, each machine code (a cubin) or PTX for one architecture. Nothing is decompressed, so that hundreds of MB
take milliseconds: the reader hops by lengths. Layout as measured against cuobjdump 13.5 (`notes/gpu.md` §3); NVIDIA
documents none, `fatbinary_section.h` of the toolkit has the wrapper's magic alone.
"""

import heapq
import itertools
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envcap.errors import ScanError
from envcap.gpu.kernels import EmptyCode
from envcap.gpu.payload import decode
from envcap.gpu.tally import FoundCode, Tally, damaged

SECTION: Final = ".nv_fatbin"
RELOCATABLE_SECTION: Final = "__nv_relfatbin"
"""Code of `-rdc=true` before the device linker: what it made of it lies in `.nv_fatbin`."""

_CONTAINER: Final = struct.Struct("<IHHQ")
"""Magic, version, size of this header, size of the entries."""
_ENTRY: Final = struct.Struct("<H2xIQ8xHHI8xQ8xQ")
"""Kind, size of this header, padded size of the payload, minor, major, architecture, flags, size uncompressed."""
_MAGIC: Final = b"\x50\xed\x55\xba"
_START: Final = re.compile(rb"\x50\xed\x55\xba\x01\x00\x10\x00")
_PTX, _CUBIN, _LTO = 1, 2, 8
_SPECIFIC, _FAMILY = 0x100000, 0x200000
"""Flags of `sm_90a` and `sm_100f`."""
_RELEASE: Final = re.compile(rb"release \d{1,3}\.\d{1,3}, V(\d{1,3}\.\d{1,3}\.\d{1,5})")
_ASKED: Final = 4
_HEADER_SIZES: Final = range(_ENTRY.size, 4097)
_ARCHITECTURES: Final = range(10, 1000)
_MOST_VERSION: Final = 99
_MAX_ENTRIES: Final = 100_000
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of code in a container.

    Attributes:
        kind: 1 for PTX, 2 for a cubin, 8 for LTO-IR; others are not known.
        target: `sm_90a` or `compute_90@9.0`; empty for what no device loads as it is.
        start: Offset of its payload.
        size: Bytes of its payload, with padding.
        flags: Among them how it is compressed.
        full_size: Bytes uncompressed; 0 where it isn't compressed.
    """

    kind: int
    target: str
    start: int
    size: int
    flags: int
    full_size: int


def read_fatbins(data: memoryview) -> FoundCode:
    """Read the containers of a section `.nv_fatbin`, or of a file that is one.

    Raises:
        ScanError: It is damaged, or holds more than any compiler writes.
    """
    return _tally(data, read_containers(data))


def find_fatbins(data: memoryview) -> FoundCode:
    """Look for containers anywhere in a file: one whose section table is stripped doesn't say where they lie.

    What only looks like one is passed over.

    Raises:
        ScanError: It holds more than any compiler writes.
    """
    return _tally(data, _read(data, strict=False))


def read_containers(data: memoryview) -> Iterator[tuple[Entry, ...]]:
    """Walk the containers of a section `.nv_fatbin`, each with its pieces of code.

    Raises:
        ScanError: It is damaged, or holds more than any compiler writes.
    """
    return _read(data, strict=True)


def read_toolkit(data: memoryview) -> str:
    """Tell the version of the compiler that made a section `.nv_fatbin`, such as `12.9.86`; empty if none says it.

    Machine code of CUDA 13, and that of CUDA 12.8 for Blackwell, says it in a note; older code doesn't.

    Raises:
        ScanError: It is damaged, or holds more than any compiler writes.
    """
    cubins = (entry for entries in read_containers(data) for entry in entries if entry.kind == _CUBIN)
    smallest = heapq.nsmallest(_ASKED, cubins, key=lambda entry: (-int(entry.target[3:].rstrip("af")), entry.size))
    said = {
        found[1].decode()
        for entry in smallest
        for found in _RELEASE.finditer(
            decode(data[entry.start : entry.start + entry.size], entry.flags, entry.full_size)
        )
    }
    return max(said, key=lambda version: tuple(map(int, version.split("."))), default="")


def _read(data: memoryview, *, strict: bool) -> Iterator[tuple[Entry, ...]]:
    budget = _MAX_ENTRIES
    position = _next(data, 0)
    while position >= 0:
        try:
            end = _container_end(data, position)
            entries = tuple(itertools.islice(_entries(data, position + _CONTAINER.size, end), budget + 1))
        except ScanError:
            if strict:
                raise
            # Each false start costs one unit too, so that a file full of them ends.
            end, entries, budget = position + _CONTAINER.size, (), budget - 1
        budget -= len(entries)
        if budget < 0:
            raise damaged(f"more than {_MAX_ENTRIES} pieces of code")
        yield entries
        position = _next(data, end)


def _next(data: memoryview, position: int) -> int:
    """Give the next container's position, or -1. They are aligned, with padding between them."""
    position += -position % _ALIGNMENT
    if bytes(data[position : position + len(_MAGIC)]) == _MAGIC:
        return position
    return next((at for at in map(re.Match.start, _START.finditer(data, position)) if at % _ALIGNMENT == 0), -1)


def _container_end(data: memoryview, position: int) -> int:
    if position + _CONTAINER.size > len(data):
        raise damaged(f"a container cut off at {position}")
    _, version, header, body = _CONTAINER.unpack_from(data, position)
    end = position + _CONTAINER.size + int(body)
    if (version, header) != (1, _CONTAINER.size) or end > len(data):
        raise damaged(f"the container at {position} says version {version}, {header} and {body} bytes")
    return end


def _entries(data: memoryview, position: int, end: int) -> Iterator[Entry]:
    """Walk a container's entries; each is longer than nothing, so that the walk ends."""
    while position < end:
        if position + _ENTRY.size > end:
            raise damaged(f"an entry cut off at {position}")
        kind, header, size, minor, major, architecture, flags, full_size = _ENTRY.unpack_from(data, position)
        if header not in _HEADER_SIZES or position + header + size > end:
            raise damaged(f"the entry at {position} says {header} and {size} bytes")
        target = ""
        if kind in (_PTX, _CUBIN):
            if architecture not in _ARCHITECTURES or major > _MOST_VERSION or minor > _MOST_VERSION:
                raise damaged(f"the entry at {position} is for architecture {architecture}, version {major}.{minor}")
            suffix = "a" if flags & _SPECIFIC else "f" if flags & _FAMILY else ""
            name = f"{architecture}{suffix}"
            target = f"sm_{name}" if kind == _CUBIN else f"compute_{name}@{major}.{minor}"
        yield Entry(kind, target, position + header, size, flags, full_size)
        position += header + size


def _tally(data: memoryview, containers: Iterable[tuple[Entry, ...]]) -> FoundCode:
    tally, empty = Tally(), EmptyCode()
    for entries in containers:
        for kind in {entry.kind for entry in entries if not entry.target}:
            tally.note("lto" if kind == _LTO else f"unknown-{kind}")
        is_empty = all(
            entry.kind in (_PTX, _CUBIN)
            and empty.has(
                data[entry.start : entry.start + entry.size],
                cubin=entry.kind == _CUBIN,
                flags=entry.flags,
                full_size=entry.full_size,
            )
            for entry in entries
        )
        tally.add(() if is_empty else (entry.target for entry in entries if entry.target))
    return tally.result()
