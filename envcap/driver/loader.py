"""Finds the library that the dynamic loader would take, without loading it.

Order: LD_LIBRARY_PATH, `/etc/ld.so.cache`, the default folders (ld.so(8)); RPATH doesn't apply, since libcuda and NVML
are opened by name. Source of the cache's layout: glibc `sysdeps/generic/dl-cache.h` (`cache_file_new`).
"""

import re
import struct
from collections.abc import Iterator, Mapping

from envcap.driver.root import SystemRoot

_DEFAULT = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    # No folders of the loader's; where drivers put their libraries and tell it by other means.
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
)
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sII")  # magic and version, number of libraries, size of the strings
_HEADER_SIZE = 48
_ENTRY = struct.Struct("<iIIIQ")  # flags, offset of the name, offset of the path, OS version, hwcap
_FLAGS_64_BIT = {0x0303, 0x0A03}  # ELF libc6 for x86-64 and AArch64 (FLAG_X8664_LIB64, FLAG_AARCH64_LIB64)
_LARGEST_CACHE = 16 << 20
_LONGEST_PATH = 4096
_MAX_FOLDERS = 256
_ELF64 = b"\x7fELF\x02"


def find_library(root: SystemRoot, soname: str, environ: Mapping[str, str]) -> str:
    """Give the real path of a library, all links followed; empty if the loader would find none."""
    for candidate in _candidates(root, soname, environ):
        try:
            real = root.resolve(candidate)
        except OSError:
            continue
        if root.read_bytes(real, len(_ELF64)) == _ELF64:  # the loader skips those of another class as well
            return real
    return ""


def _candidates(root: SystemRoot, soname: str, environ: Mapping[str, str]) -> Iterator[str]:
    folders = re.split("[:;]", environ.get("LD_LIBRARY_PATH", ""))[:_MAX_FOLDERS]
    yield from (f"{folder}/{soname}" for folder in folders if folder.startswith("/"))
    yield from _cached(root.read_bytes("/etc/ld.so.cache", _LARGEST_CACHE), soname.encode())
    yield from (f"{folder}/{soname}" for folder in _DEFAULT)


def _cached(data: bytes, soname: bytes) -> Iterator[str]:
    """Yield the paths that a cache has for a name, in its order."""
    start = data.find(_MAGIC)  # behind a cache of the old format, if there is one
    if start < 0 or b"\0" + soname + b"\0" not in data:
        return
    cache = memoryview(data)[start:]
    if len(cache) < _HEADER_SIZE:
        return
    count = _HEADER.unpack_from(cache)[1]
    count = min(count, (len(cache) - _HEADER_SIZE) // _ENTRY.size)
    for flags, name, path, _, _ in _ENTRY.iter_unpack(cache[_HEADER_SIZE : _HEADER_SIZE + count * _ENTRY.size]):
        if flags in _FLAGS_64_BIT and bytes(cache[name : name + len(soname) + 1]) == soname + b"\0":
            text, end, _ = bytes(cache[path : path + _LONGEST_PATH]).partition(b"\0")
            if end and text.startswith(b"/"):
                yield text.decode("utf-8", "surrogateescape")
