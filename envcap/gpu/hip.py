"""Reads for which targets HIP's offload bundles hold code, from their headers alone.

The section `.hip_fatbin` has a bundle for each translation unit, aligned to pages: a table of entries with offset,
size and identifier (`hipv4-amdgcn-amd-amdhsa--gfx90a`), or a compressed one, `CCOB`, of which only the table is
decompressed. Sources: clang "Clang Offload Bundler" (bundled and compressed file layout), LLVM "AMDGPU usage" (target
identifiers); measured with the wheels of cupy and bitsandbytes for ROCm 6.4 to 7.15.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import zstandard

from envcap.errors import ScanError
from envcap.gpu.tally import FoundCode, Tally, damaged

SECTION: Final = ".hip_fatbin"

_PLAIN: Final = b"__CLANG_OFFLOAD_BUNDLE__"
_COMPRESSED: Final = b"CCOB"
_COUNT: Final = struct.Struct("<Q")
_ENTRY: Final = struct.Struct("<QQQ")
"""Offset, size, length of the identifier, which follows."""
_HEADERS: Final = {1: struct.Struct("<4sHHIQ"), 2: struct.Struct("<4sHHIIQ"), 3: struct.Struct("<4sHHQQQ")}
"""By version: magic, version, method, (from 2 on) size of the bundle, size decompressed, hash."""
_ZLIB, _ZSTD = 0, 1
_PAGE: Final = 4096
_MAX_ENTRIES: Final = 256
_MAX_IDENTIFIER: Final = 256
_MAX_TABLE: Final = 64 << 10
_MAX_WINDOW: Final = 1 << 30
"""zstd's window: memory is asked for, but touched only as far as the table reaches."""
_DEVICE: Final = re.compile(
    r"(?:hip|hipv4)-(?:amdgcn|spirv64)-amd-amdhsa-(?:(?:unknown)?-)?"
    r"([a-z0-9][a-z0-9-]{0,31}(?::[a-z]{1,16}[+-]){0,4})\Z"
)
_HOST: Final = "host-"


def read_bundles(data: memoryview) -> FoundCode:
    """Read the bundles of a section `.hip_fatbin`.

    Raises:
        ScanError: It is damaged, or holds more than any compiler writes.
    """
    return _read(data, strict=True)


def find_bundles(data: memoryview) -> FoundCode:
    """Look for bundles anywhere in a file, at the starts of pages. What only looks like one is passed over.

    Raises:
        ScanError: It holds more than any compiler writes.
    """
    return _read(data, strict=False)


def _read(data: memoryview, *, strict: bool) -> FoundCode:
    tally = Tally()
    position = 0
    while position < len(data):
        start = bytes(data[position : position + len(_PLAIN)])
        end = position + 1
        if start == _PLAIN or start.startswith(_COMPRESSED):
            try:
                end, identifiers = (_read_plain if start == _PLAIN else _read_compressed)(data, position)
                _count(identifiers, tally)
            except ScanError:
                if strict:
                    raise
                tally.add(())  # counted, so that a file full of them ends
        elif strict and not position:
            raise damaged("no offload bundle where one should start")
        position = max(end, position + 1)
        position += -position % _PAGE
    return tally.result()


def _read_plain(data: memoryview, position: int) -> tuple[int, list[str]]:
    """Return where the bundle ends, and its identifiers."""
    end = position
    identifiers = []
    for offset, size, identifier in _entries(bytes(data[position : position + _MAX_TABLE])):
        if offset + size > len(data) - position:
            raise damaged(f"an offload bundle at {position} has code beyond the section's end")
        end = max(end, position + offset + size)
        identifiers.append(identifier)
    return end, identifiers


def _read_compressed(data: memoryview, position: int) -> tuple[int, list[str]]:
    version, method = struct.unpack_from("<HH", data[position : position + 8].tobytes().ljust(8, b"\0"), 4)
    header = _HEADERS.get(version)
    if header is None or method not in (_ZLIB, _ZSTD) or position + header.size > len(data):
        raise damaged(f"a compressed offload bundle of version {version}, method {method}")
    fields = header.unpack_from(data, position)
    size = header.size if version == 1 else fields[3]
    if not header.size <= size <= len(data) - position:
        raise damaged(f"a compressed offload bundle of {size} bytes at {position}")
    end = len(data) if version == 1 else position + size
    table = _decompress(data[position + header.size : end], method)
    if not table.startswith(_PLAIN):
        raise damaged(f"no offload bundle in the compressed one at {position}")
    return position + size, [identifier for _, _, identifier in _entries(table)]


def _decompress(payload: memoryview, method: int) -> bytes:
    """Decompress the start of a bundle, enough for its table."""
    try:
        if method == _ZSTD:
            with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(payload) as reader:
                return reader.read(_MAX_TABLE)
        return zlib.decompressobj().decompress(payload[: 4 * _MAX_TABLE], _MAX_TABLE)
    except (zstandard.ZstdError, zlib.error, MemoryError) as error:
        raise damaged("a compressed offload bundle that can't be decompressed") from error


def _entries(table: bytes) -> Iterator[tuple[int, int, str]]:
    """Walk the table of a bundle: offset and size of the code, identifier."""
    at = len(_PLAIN)
    try:
        count = _COUNT.unpack_from(table, at)[0]
        if count > _MAX_ENTRIES:
            raise damaged(f"an offload bundle of {count} entries")
        at += _COUNT.size
        for _ in range(count):
            offset, size, length = _ENTRY.unpack_from(table, at)
            at += _ENTRY.size
            if length > _MAX_IDENTIFIER or at + length > len(table):
                raise damaged(f"an identifier of {length} bytes in an offload bundle")
            yield offset, size, table[at : at + length].decode("ascii", "replace")
            at += length
    except struct.error as error:
        raise damaged("an offload bundle cut off") from error


def _count(identifiers: list[str], tally: Tally) -> None:
    targets = []
    for identifier in identifiers:
        device = _DEVICE.match(identifier)
        if device:
            targets.append(device[1])
        elif not identifier.startswith(_HOST):
            tally.note("unknown-bundle")
    tally.add(targets)
