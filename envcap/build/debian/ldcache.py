"""Write `/etc/ld.so.cache` without running `ldconfig`: byte for byte what glibc 2.36 to 2.41 writes.

Without the cache `ctypes.util.find_library` finds nothing and libraries outside the default directories aren't loaded.
The real tool can't run on a foreign architecture or as a user, and its auxiliary cache holds inodes and times.
Format: glibc sysdeps/generic/dl-cache.h (`cache_file_new`, version 1.1) and elf/cache.c. Both architectures are
little-endian.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from envcap.build.debian.libraries import FoundLibrary, find_libraries, library_directories, version_key
from envcap.build.debian.tree import Tree
from envcap.errors import BuildError

_FLAGS: Final = {"amd64": 0x0303, "arm64": 0x0A03}  # FLAG_X8664_LIB64, FLAG_AARCH64_LIB64, each with FLAG_ELF_LIBC6
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_SECTION = struct.Struct("<IIII")
_MAGIC = b"glibc-ld.so.cache1.1"
_LITTLE_ENDIAN = 2
_EXTENSION_MAGIC = 0xEAA42174
_TAG_GENERATOR, _TAG_HWCAPS = 0, 1
_HWCAP_EXTENSION = 1 << 62
_ISA_SHIFT = 32


def ld_so_cache(tree: Tree, *, architecture: str, libc_version: str) -> bytes:
    """Build the bytes of `/etc/ld.so.cache` for a tree.

    Args:
        tree: The whole file system of the image, as far as libraries go.
        architecture: Debian's name: `amd64` or `arm64`.
        libc_version: Full version of the package libc6 (`2.36-9+deb12u14`), which the cache's last line names.

    Raises:
        BuildError: The architecture isn't known, or the version isn't one of Debian's glibc.
    """
    if architecture not in _FLAGS:
        raise BuildError(
            f"Can't write ld.so.cache for the architecture {architecture!r} (expected {' or '.join(_FLAGS)})"
        )
    directories = library_directories(tree, architecture=architecture)
    # Names of empty glibc-hwcaps directories are in ldconfig's string table too.
    hwcaps = {directory.hwcaps for directory in directories if directory.hwcaps}
    libraries = _in_cache_order(find_libraries(tree, architecture=architecture))
    return _serialize(libraries, hwcaps, flags=_FLAGS[architecture], generator=_generator(libc_version))


def _generator(libc_version: str) -> bytes:
    match = re.fullmatch(r"(?:[0-9]+:)?(([0-9]+\.[0-9]+)[A-Za-z0-9.+~-]*)", libc_version)
    if match is None:
        raise BuildError(f"Can't read the version of libc6: {libc_version!r} (expected one like 2.36-9+deb12u14)")
    return f"ldconfig (Debian GLIBC {match[1]}) stable release version {match[2]}".encode("ascii")


def _in_cache_order(libraries: Iterable[FoundLibrary]) -> list[FoundLibrary]:
    """Sort descending by soname; of one soname glibc-hwcaps first, by name, then in the order of the directories."""
    by_hwcaps = sorted(libraries, key=lambda found: (not found.directory.hwcaps, found.directory.hwcaps))
    return sorted(by_hwcaps, key=lambda found: version_key(found.soname), reverse=True)


def _serialize(libraries: Sequence[FoundLibrary], hwcaps: set[str], *, flags: int, generator: bytes) -> bytes:
    base = _HEADER.size + _ENTRY.size * len(libraries)
    names = hwcaps | {text for found in libraries for text in (found.soname, found.path)}
    table, offsets = _string_table({name.encode("utf-8", "surrogateescape") for name in names})
    position = {name: base + offsets[name.encode("utf-8", "surrogateescape")] for name in names}
    levels = sorted({found.directory.hwcaps for found in libraries} - {""})
    extension_at = (base + len(table) + 3) // 4 * 4
    parts = [_HEADER.pack(_MAGIC, len(libraries), len(table), _LITTLE_ENDIAN, extension_at)]
    for found in libraries:
        hwcap = 0
        if found.directory.hwcaps:
            index = levels.index(found.directory.hwcaps)
            hwcap = _HWCAP_EXTENSION | found.isa_level << _ISA_SHIFT | index
        parts.append(_ENTRY.pack(flags, position[found.soname], position[found.path], 0, hwcap))
    parts.append(table.ljust(extension_at - base, b"\0"))
    parts.append(_extensions(extension_at, [position[level] for level in levels], generator))
    return b"".join(parts)


def _string_table(strings: set[bytes]) -> tuple[bytes, dict[bytes, int]]:
    """Lay out NUL-terminated strings; one that ends another shares its tail."""
    table = bytearray()
    offsets: dict[bytes, int] = {}
    previous = b""
    for string in sorted(strings, key=lambda text: text[::-1], reverse=True):
        if offsets and previous.endswith(string):
            offsets[string] = offsets[previous] + len(previous) - len(string)
        else:
            offsets[string] = len(table)
            table += string + b"\0"
        previous = string
    return bytes(table), offsets


def _extensions(start: int, levels: Sequence[int], generator: bytes) -> bytes:
    count = 2 if levels else 1
    levels_at = start + 8 + _SECTION.size * count
    generator_at = levels_at + 4 * len(levels)
    parts = [struct.pack("<II", _EXTENSION_MAGIC, count)]
    parts.append(_SECTION.pack(_TAG_GENERATOR, 0, generator_at, len(generator)))
    if levels:
        parts.append(_SECTION.pack(_TAG_HWCAPS, 0, levels_at, 4 * len(levels)))
    parts.append(struct.pack(f"<{len(levels)}I", *levels))
    parts.append(generator)
    return b"".join(parts)
