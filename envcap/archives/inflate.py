"""Inflating raw DEFLATE within bounds: never more memory than a chunk, never a byte more than announced.

A small stream goes through libdeflate in one call, a large one through isal in chunks: both are two to three times as
fast as zlib, and RFC 1951 leaves no freedom in what comes out, so the result depends on no library or CPU.
(Compressing is another matter: envcap never compresses with isal.)
"""

import struct
from collections.abc import Callable, Iterable, Iterator

import deflate
from isal import igzip_lib, isal_zlib

from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError

# isal's stubs call the class an instance.
INFLATE_ERRORS: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]

_GARBAGE = "has data after the end of its DEFLATE stream"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def inflate_whole(raw: bytes, *, size: int, crc: int) -> bytearray | None:
    """Inflate a whole raw DEFLATE stream in one call, or leave it to `inflate_pairs`, which tells what is wrong.

    Libdeflate's binding does not tell where a stream ended, so data could hide behind it. As a gzip member it can't:
    libdeflate compares the eight bytes that follow the stream with the CRC and the length of what came out (RFC 1952,
    section 2.3.1), and if those eight bytes stand nowhere before the end, it was the end that followed the stream.

    Args:
        raw: The stream.
        size: Bytes that it must inflate to, at least one.
        crc: CRC-32 that they must have.

    Returns:
        The content, with all that `inflate_pairs` checks checked; None if anything is amiss or not certain.
    """
    end = struct.pack("<LL", crc, size & 0xFFFFFFFF)
    member = b"".join((_GZIP_HEADER, raw, end))
    if member.find(end, len(_GZIP_HEADER)) != len(member) - len(end):
        return None
    try:
        content: bytearray = deflate.gzip_decompress(member, size)
    except deflate.DeflateError:
        return None
    return content if len(content) == size else None


def inflate_pairs(
    raws: Iterable[bytes], *, size: int, crc: int, fault: Callable[[str], ArchiveError]
) -> Iterator[tuple[bytes, bytes]]:
    """Inflate a raw DEFLATE stream, yielding each raw chunk with what it inflates to.

    A raw chunk that inflates to more than `CHUNK_SIZE` is followed by pairs that bring only content.

    Args:
        raws: The stream in chunks.
        size: Bytes that it must inflate to.
        crc: CRC-32 that they must have.
        fault: Makes the error from what is wrong.

    Raises:
        ArchiveError: As `fault` made it: the stream is malformed, doesn't end exactly with the last chunk, or its
            content has another size or CRC.
    """
    inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
    left = size
    found = 0
    for raw in raws:
        if inflater.eof:
            raise fault(_GARBAGE)
        given = fed = raw
        while True:
            try:
                # One byte more than expected is asked for, so that a stream that is too long shows itself.
                inflated = inflater.decompress(fed, min(left + 1, CHUNK_SIZE))
            except INFLATE_ERRORS as error:
                raise fault(f"is not a DEFLATE stream ({error})") from error
            left -= len(inflated)
            if left < 0:
                raise fault(f"inflates to more than its {size} bytes")
            found = isal_zlib.crc32(inflated, found)
            if given or inflated:
                yield given, inflated
            given = fed = b""
            if _drained(inflater) or not inflated:
                break
    _check_end(inflater, left, fault)
    if found != crc:
        raise fault(f"has CRC {found:08x} (expected {crc:08x})")


def _drained(inflater: igzip_lib.IgzipDecompressor) -> bool:
    return inflater.eof or inflater.needs_input


def _check_end(inflater: igzip_lib.IgzipDecompressor, left: int, fault: Callable[[str], ArchiveError]) -> None:
    if not inflater.eof:
        raise fault("is truncated: its DEFLATE stream doesn't end")
    if left:
        raise fault(f"inflates to {left} bytes less than announced")
    if inflater.unused_data:
        raise fault(_GARBAGE)
