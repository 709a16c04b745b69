"""Gzip members whose bytes depend on nothing but their input: recipe 1, rule 4.

A layer is a chain of members (RFC 1952, section 2.2). Three kinds are written: *spliced* (a wheel's own DEFLATE stream
between a header and a trailer), *stored* (no compression) and *libdeflate* level 6. No member names a file, a time or
a system. The interpreter's zlib never compresses here: its bytes depend on which zlib it was linked with.
"""

import struct
import zlib

import deflate

from envcap.recipe import LIBDEFLATE_LEVEL

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Magic, method DEFLATE, no flags, no time, no extra flags, unknown system (RFC 1952, section 2.3)."""

_STORED_BLOCK = 0xFFFF
_STORED_HEAD = struct.Struct("<BHH")
_TRAILER = struct.Struct("<II")


def member_trailer(crc: int, size: int) -> bytes:
    """Write a member's end: CRC-32 and length modulo 2^32 of the uncompressed bytes."""
    return _TRAILER.pack(crc, size & 0xFFFFFFFF)


def stored_member(data: bytes | bytearray) -> bytes:
    """Write a member of stored blocks (RFC 1951, section 3.2.4)."""
    if len(data) <= _STORED_BLOCK:  # nearly always: a header and some padding
        block = _STORED_HEAD.pack(1, len(data), len(data) ^ 0xFFFF)
        return b"".join((HEADER, block, data, member_trailer(zlib.crc32(data), len(data))))
    view = memoryview(data)
    parts: list[bytes | memoryview] = [HEADER]
    for start in range(0, len(view), _STORED_BLOCK):
        block_data = view[start : start + _STORED_BLOCK]
        final = start + _STORED_BLOCK >= len(view)
        parts += [_STORED_HEAD.pack(final, len(block_data), len(block_data) ^ 0xFFFF), block_data]
    parts.append(member_trailer(zlib.crc32(view), len(view)))
    return b"".join(parts)


def libdeflate_member(data: bytes | bytearray) -> bytes:
    """Write a member compressed by libdeflate at the recipe's level."""
    body = deflate.deflate_compress(data, LIBDEFLATE_LEVEL)
    return b"".join((HEADER, body, member_trailer(zlib.crc32(data), len(data))))
