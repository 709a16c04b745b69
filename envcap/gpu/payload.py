"""Decompresses small pieces of GPU code: LZ4 blocks and zstd frames, as a fat binary's flags say.

Sources: LZ4 Block Format, RFC 8878. No library of the standard has LZ4, and what is decoded here has a few KB.
"""

from typing import Final

import zstandard

LARGEST: Final = 64 << 10
"""Bytes, decompressed: larger pieces are not asked for."""

_LZ4, _ZSTD = 0x2000, 0x8000
_MAX_WINDOW: Final = 1 << 27
_LONG: Final = 15
_CONTINUED: Final = 0xFF
_SHORTEST_MATCH: Final = 4


def decode(payload: memoryview, flags: int, full_size: int) -> bytes:
    """Give a piece of code as the compiler wrote it; nothing where it is damaged or large.

    Args:
        payload: As it lies in the container, with padding.
        flags: How it is compressed, among others.
        full_size: Its bytes uncompressed; of no meaning where it isn't compressed.
    """
    if not flags & (_LZ4 | _ZSTD):
        return bytes(payload[:LARGEST])
    if not 0 < full_size <= LARGEST or len(payload) > LARGEST:
        return b""
    if flags & _LZ4:
        return _decode_lz4(bytes(payload), full_size)
    try:
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(payload) as reader:
            return reader.read(full_size)
    except zstandard.ZstdError:
        return b""


def _decode_lz4(block: bytes, size: int) -> bytes:
    """Decode an LZ4 block of `size` bytes; what follows it is padding."""
    out, at = bytearray(), 0
    try:
        while len(out) < size:
            token = block[at]
            literals, at = _length(block, at + 1, token >> 4)
            out += block[at : at + literals]
            at += literals
            if len(out) >= size or at >= len(block):
                break
            distance = block[at] | block[at + 1] << 8
            matched, at = _length(block, at + 2, token & _LONG)
            matched += _SHORTEST_MATCH
            if not 0 < distance <= len(out) or matched > size:
                return b""
            # A match may reach into what it writes: then it repeats itself.
            out += (bytes(out[-distance:]) * (matched // distance + 1))[:matched]
    except IndexError:
        return b""
    return bytes(out) if len(out) == size else b""


def _length(block: bytes, at: int, value: int) -> tuple[int, int]:
    """Read on a length whose four bits are full: a full byte is followed by another."""
    if value == _LONG:
        value += block[at]
        while block[at] == _CONTINUED:
            at += 1
            value += block[at]
        at += 1
    return value, at
