"""Cutting a zstd stream into pieces that can't hold much: a decoder gives out all that its input holds.

A kilobyte may hold 256 blocks of 128 KiB, so input is cut where blocks end, and only so many blocks go in at a time.
Nothing is judged here: what is no zstd is handed on in small pieces for the decoder to refuse.
Source: RFC 8878, sections 3.1.1 (frames: magic, header, blocks, checksum) and 3.1.2 (skippable frames).
"""

import enum
import io
from typing import BinaryIO

BLOCKS = 4
"""Blocks in one piece: 512 KiB of output at most (a block holds 128 KiB, RFC 8878, section 3.1.1.2.3)."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_STRANGE = 1 << 10
"""Bytes of a piece whose meaning is not known: what they hold is bounded by 32 MiB."""
_SKIPPED = 64 << 10
_RLE, _RESERVED = 1, 3
_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZES = (0, 2, 4, 8)


class _State(enum.Enum):
    FRAME = enum.auto()
    BLOCKS = enum.auto()
    CHECKSUM = enum.auto()
    STRANGE = enum.auto()


class ZstdPieces:
    """Reads a compressed file piece by piece, in order and leaving nothing out."""

    def __init__(self, file: io.RawIOBase | io.BufferedIOBase | BinaryIO) -> None:
        """Begin where the file is."""
        self._file = file
        self._state = _State.FRAME
        self._has_checksum = False
        self._skip = 0

    def read(self, _size: int, /) -> bytes:
        """Give the next piece; nothing at the end of the file."""
        if self._skip:
            data = self._file.read(min(self._skip, _SKIPPED)) or b""
            self._skip -= len(data)
            return data
        match self._state:
            case _State.FRAME:
                return self._frame()
            case _State.BLOCKS:
                return self._blocks()
            case _State.CHECKSUM:
                self._state = _State.FRAME
                return self._take(4)
            case _State.STRANGE:
                return self._file.read(_STRANGE) or b""

    def _frame(self) -> bytes:
        """Give a frame's header, or a skippable frame's."""
        magic = self._take(4)
        if magic[1:] == _SKIPPABLE and magic[0] >> 4 == 0x5:  # noqa: PLR2004  # any of sixteen
            size = self._take(4)
            self._skip = int.from_bytes(size, "little")
            return magic + size
        descriptor = self._take(1) if magic == _MAGIC else b""
        if not descriptor:
            self._state = _State.STRANGE
            return magic
        flags = descriptor[0]
        is_single = flags >> 5 & 1
        content_size = _CONTENT_SIZES[flags >> 6] or is_single
        self._has_checksum = bool(flags >> 2 & 1)
        self._state = _State.BLOCKS
        return magic + descriptor + self._take(1 - is_single + _ID_SIZES[flags & 3] + content_size)

    def _blocks(self) -> bytes:
        parts = []
        for _ in range(BLOCKS):
            head = self._take(3)
            parts.append(head)
            value = int.from_bytes(head, "little")
            kind, size = value >> 1 & 3, value >> 3
            if len(head) < 3 or kind == _RESERVED:  # noqa: PLR2004  # a block's header
                self._state = _State.STRANGE
                break
            parts.append(self._take(1 if kind == _RLE else size))
            if value & 1:
                self._state = _State.CHECKSUM if self._has_checksum else _State.FRAME
                break
        return b"".join(parts)

    def _take(self, length: int) -> bytes:
        """Read so many bytes, fewer only at the end of the file."""
        data = self._file.read(length) or b""
        while len(data) < length and (more := self._file.read(length - len(data))):
            data += more
        return data
