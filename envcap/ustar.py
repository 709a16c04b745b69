"""The tar header block of POSIX.1-1988 (ustar), and the zeros around it: pure bytes, used for layers and layouts.

`tarfile` is not used to write: its bytes differ between Python versions and locales.
"""

import struct
import zlib

BLOCK = 512
RECORD = 10240
"""An archive's length is a multiple of this many bytes (POSIX "record", blocking factor 20)."""

NAME_LENGTH, PREFIX_LENGTH, LINK_LENGTH = 100, 155, 100
MAX_OCTAL_SIZE = 0o77777777777
MAX_OCTAL_ID = 0o7777777
REGULAR, HARDLINK, SYMLINK, DIRECTORY, EXTENDED = b"0", b"1", b"2", b"5", b"x"

_BLOCK = struct.Struct("100s 48s 8s c 100s 8s 64x 16s 155s 12x")
"""Name; numbers; checksum; kind; link; magic and version; user and group names; device numbers; prefix. Zero-filled."""

_CHECKSUM = slice(148, 156)
_SPACES = b" " * 8


def header_block(  # the fields of the header
    name: bytes,
    *,
    kind: bytes = REGULAR,
    size: int = 0,
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
    epoch: int = 0,
    prefix: bytes = b"",
    link: bytes = b"",
) -> bytes:
    """Write one header block: no user or group names, device numbers 0.

    Args:
        name: At most 100 bytes.
        kind: The type flag.
        size: Bytes of content, at most 8 GiB.
        mode: Permission bits.
        owner: User and group number.
        epoch: Modification time, whole seconds.
        prefix: At most 155 bytes; joined to the name by a slash.
        link: Target of a link, at most 100 bytes.
    """
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, *owner, size, epoch)
    block = _BLOCK.pack(name, numbers, _SPACES, kind, link, b"ustar\x0000", b"0000000\0" * 2, prefix)
    checksum = b"%06o\0 " % (_sum(block[:256]) + _sum(block[256:]))
    return b"".join((block[: _CHECKSUM.start], checksum, block[_CHECKSUM.stop :]))


def extended_header(records: list[tuple[bytes, bytes]], *, epoch: int = 0) -> bytes:
    """Write a PAX extended header (POSIX.1-2001) with its records in the order given."""
    body = b"".join(_pax_record(key, value) for key, value in records)
    return header_block(b"pax_header", kind=EXTENDED, size=len(body), epoch=epoch) + body + padding(len(body))


def padding(size: int) -> bytes:
    """Write the zeros that follow `size` bytes of content, up to a whole block."""
    return bytes(-size % BLOCK)


def trailer(size: int) -> bytes:
    """Write the end of an archive of `size` bytes: two zero blocks, then zeros up to a whole record."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def _sum(half: bytes) -> int:
    """Add up the bytes of half a block. Adler-32 does it in its lower 16 bits (RFC 1950, section 8.2).

    It starts at 1 and counts modulo 65521, which 256 bytes can't reach. (`sum` was the costliest step of a header.)
    """
    return (zlib.adler32(half) & 0xFFFF) - 1


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Write length, space, `key=value` and a newline, where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest
