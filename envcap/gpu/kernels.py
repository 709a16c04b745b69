"""Tells GPU code without kernels: a device for which it is missing misses nothing.

The device linker adds such a container to every library that is linked with the CUDA runtime, for its own default
architecture, and a source file without kernels gives one too. A cubin is an ELF file with a section `.text.KERNEL`
for each function, `.nv.global*` and `.nv.constant3` for variables (NVIDIA "CUDA Binary Utilities"); PTX says `.entry`,
`.func`, `.global`, `.const` (PTX ISA, "Directives"). Only small code is looked into: it alone can be empty.
"""

import struct
from typing import Final

from envcap.gpu.payload import decode

_SMALL: Final = 4 << 10
"""Bytes: of 2,200 such cubins of cublasLt each had 870 to 2,000, compressed 220 to 860."""
_MAX_ASKED: Final = 4096
_HEADER: Final = struct.Struct("<4s36xQ10xHHH")
"""Magic, offset of the section table, size of an entry, count, index of the section of names (gABI chapter 4)."""
_SECTION: Final = struct.Struct("<I20xQQ24x")
"""Name, offset, size."""
_MAX_SECTIONS: Final = 256
_CUBIN_CONTENT: Final = (b".text.", b".nv.global", b".nv.constant3")
_PTX_CONTENT: Final = (b".entry", b".func", b".global", b".const", b".alias")


class EmptyCode:
    """Tells what is empty. Remembers it by content: most such cubins of a library are one and the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[bool, int, int, bytes], bool] = {}

    def has(self, payload: memoryview, *, cubin: bool, flags: int, full_size: int) -> bool:
        """Tell whether code has neither functions nor variables; False where that can't be told.

        Args:
            payload: As it lies in the container.
            cubin: Whether it is a cubin; else it is PTX.
            flags: How it is compressed, among others.
            full_size: Its bytes uncompressed; 0 where it isn't compressed.
        """
        if len(payload) > _SMALL or full_size > _SMALL:
            return False
        key = (cubin, flags, full_size, bytes(payload))
        known = self._known.get(key)
        if known is None and len(self._known) < _MAX_ASKED:
            content = decode(payload, flags, full_size)
            known = _is_empty_cubin(content) if cubin else _is_empty_ptx(content)
            self._known[key] = known
        return known or False


def _is_empty_cubin(cubin: bytes) -> bool:
    try:
        magic, offset, entry_size, count, names = _HEADER.unpack_from(cubin)
        if magic != b"\x7fELF" or entry_size != _SECTION.size or not names < count <= _MAX_SECTIONS:
            return False
        _, start, length = _SECTION.unpack_from(cubin, offset + names * _SECTION.size)
        strings = cubin[start : start + length]
        return not any(
            strings.startswith(_CUBIN_CONTENT, _SECTION.unpack_from(cubin, offset + index * _SECTION.size)[0])
            for index in range(count)
        )
    except (struct.error, OverflowError):
        return False


def _is_empty_ptx(text: bytes) -> bool:
    return b".version" in text and not any(word in text for word in _PTX_CONTENT)
