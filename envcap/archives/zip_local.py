"""The bytes of one zip member: its local header compared with the central directory, then its raw data.

Some tools believe the local header (streaming readers), others the central one. Where the two differ, or where bytes
lie between members that belong to neither, two tools could see two archives, so both are refused.
Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header) and 4.3.9 (data descriptor).
"""

import struct
from collections.abc import Iterator

from envcap.archives.access import RandomAccess, read_exactly
from envcap.archives.names import show_name
from envcap.archives.zip_directory import FLAG_DESCRIPTOR, LOCAL_HEADER_SIZE, ZipMember
from envcap.archives.zip_extra import check_extra
from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTORS = {12: "<3L", 16: "<4x3L", 20: "<L2Q", 24: "<4xL2Q"}
_HINT = "don't use this archive; ask its publisher for a correct one"


def raw_chunks(reader: RandomAccess, member: ZipMember, *, archive: str) -> Iterator[bytes]:
    """Yield a member's bytes as they are stored, after checking its local header and what follows the data.

    A member of less than `CHUNK_SIZE` costs one read.

    Raises:
        ArchiveError: The local header differs from the central directory, the member doesn't fill its place, or
            the archive is truncated.
    """
    first = read_exactly(
        reader, member.header_offset, min(member.end_offset - member.header_offset, CHUNK_SIZE), archive=archive
    )
    start = _data_start(first, member, archive)
    stop = start + member.compressed_size
    trailer = member.end_offset - member.header_offset - stop
    if trailer:
        _check_descriptor(reader, member, trailer, archive)
    if data := first[start:stop]:
        yield data
    offset = member.header_offset + len(first)
    end = member.header_offset + stop
    while offset < end:
        length = min(end - offset, CHUNK_SIZE)
        yield read_exactly(reader, offset, length, archive=archive)
        offset += length


def raw_whole(reader: RandomAccess, member: ZipMember, *, archive: str) -> bytes:
    """Give a member's bytes as they are stored, at once: for members that are known to be small.

    Raises:
        ArchiveError: As `raw_chunks`.
    """
    data = read_exactly(reader, member.header_offset, member.end_offset - member.header_offset, archive=archive)
    start = _data_start(data, member, archive)
    stop = start + member.compressed_size
    if stop != len(data):
        _check_descriptor(reader, member, len(data) - stop, archive)
    return data[start:stop]


def _data_start(head: bytes, member: ZipMember, archive: str) -> int:
    signature, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack_from(head)
    name_end = LOCAL_HEADER_SIZE + name_length
    start: int = name_end + extra_length
    name = head[LOCAL_HEADER_SIZE:name_end]
    if signature != b"PK\3\4":
        raise ArchiveError(f"{_where(member, archive)}: no local header at byte {member.header_offset}", hint=_HINT)
    if extra_length:
        size, compressed = check_extra(head[name_end:start], (size, compressed), name, where=_where(member, archive))
    found = (name, flags, method, crc, compressed, size)
    expected = (
        member.stored_name,
        member.flags,
        member.method,
        member.crc,
        member.compressed_size,
        member.size,
    )
    if found != expected:
        _check_difference(found, expected, _where(member, archive))
    if member.header_offset + start + member.compressed_size > member.end_offset:
        raise ArchiveError(f"{_where(member, archive)} overlaps what follows at byte {member.end_offset}", hint=_HINT)
    return start


def _where(member: ZipMember, archive: str) -> str:
    return f"{archive}: member {show_name(member.name)}"


def _check_difference(found: tuple[object, ...], expected: tuple[object, ...], where: str) -> None:
    """Accept zeros for what the data descriptor tells later (bit 3), nothing else."""
    labels = ("name", "flags", "method", "CRC", "compressed size", "size")
    flags = found[1]
    postponed = isinstance(flags, int) and flags & FLAG_DESCRIPTOR
    for label, value, wanted in zip(labels, found, expected, strict=True):
        if value != wanted and not (value == 0 and postponed and label in labels[3:]):
            raise ArchiveError(
                f"{where}: {label} in its local header is {value!r} (expected {wanted!r}, from the central directory)",
                hint=_HINT,
            )


def _check_descriptor(reader: RandomAccess, member: ZipMember, length: int, archive: str) -> None:
    where = _where(member, archive)
    layout = _DESCRIPTORS.get(length) if member.flags & FLAG_DESCRIPTOR else None
    if layout is None:
        raise ArchiveError(f"{where} is followed by {length} bytes that belong to no member", hint=_HINT)
    data = read_exactly(reader, member.end_offset - length, length, archive=archive)
    marked = length in (16, 24)
    expected = (member.crc, member.compressed_size, member.size)
    if (marked and not data.startswith(b"PK\7\b")) or struct.unpack(layout, data) != expected:
        raise ArchiveError(f"{where}: its data descriptor differs from the central directory", hint=_HINT)
