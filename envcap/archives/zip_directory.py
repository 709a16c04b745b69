"""The central directory of a zip: found in one place or not at all, and read without touching any member.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.12 to 4.4. Only one reading is possible of what is accepted here: the
end record is the file's last 22 bytes (so no comment), the directory ends where the end records begin and starts
where they say, the first member is at byte 0, and ZIP64 values are used if and only if the ZIP64 locator is there
(CVE-2025-8291).
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from envcap.archives.access import RandomAccess, read_exactly
from envcap.archives.limits import ArchiveLimits, check_count, check_expansion
from envcap.archives.names import check_member_name, show_name
from envcap.archives.zip_extra import check_extra
from envcap.errors import ArchiveError

STORED = 0
DEFLATED = 8
LOCAL_HEADER_SIZE = 30
FLAG_DESCRIPTOR = 1 << 3
FLAG_UTF8 = 1 << 11

# Bits 1 and 2 tell how hard the compressor tried; every other bit (encryption, patches, masking) is refused.
_ALLOWED_FLAGS = 0b110 | FLAG_DESCRIPTOR | FLAG_UTF8
_MAX_VERSION = 63  # 6.3, of the APPNOTE above; Python's zipfile stops there too
_TAIL = 64 << 10
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s2B5H3L5H2L")
_HINT = "don't use this archive; ask its publisher for a correct one"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember:
    """One member, as the central directory describes it.

    Attributes:
        name: Its checked path; a directory's without the trailing slash.
        mode: Unix permission bits (0o777 at most; set-id bits are dropped, as every wheel installer does), 0 if none.
        is_directory: Whether the stored name ends with a slash.
        method: 0 (stored) or 8 (DEFLATE).
        flags: The general purpose bits.
        crc: CRC-32 of the uncompressed bytes.
        compressed_size: Bytes in the archive.
        size: Bytes uncompressed.
        header_offset: Where its local header is.
        end_offset: Where the next member or the central directory begins.
    """

    name: str
    mode: int
    is_directory: bool
    method: int
    flags: int
    crc: int
    compressed_size: int
    size: int
    header_offset: int
    end_offset: int

    @property
    def stored_name(self) -> bytes:
        """The name as the archive stores it."""
        return f"{self.name}/".encode() if self.is_directory else self.name.encode()


@dataclass(frozen=True, slots=True)
class _Ends:
    count: int
    size: int
    offset: int
    start: int  # of the first end record, where the directory must end


class _Row(NamedTuple):  # made once per member: a tuple costs a quarter of a frozen dataclass
    version: int
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    attributes: int
    offset: int
    name: bytes


def read_directory(reader: RandomAccess, *, name: str, limits: ArchiveLimits) -> tuple[ZipMember, ...]:
    """Read and check the central directory, in one read where it fits into 64 KiB, else in two.

    Duplicate names are not looked at here: whether they matter depends on the members' bytes.

    Args:
        reader: The archive.
        name: Its name, for messages.
        limits: Caps on members and sizes.

    Returns:
        The members in the directory's order.

    Raises:
        ArchiveError: It isn't a zip, or not one that every tool reads alike.
    """
    tail_size = min(reader.size, _TAIL)
    tail = read_exactly(reader, reader.size - tail_size, tail_size, archive=name)
    ends = _read_ends(tail, reader.size, name)
    check_count(ends.count, archive=name, limits=limits)
    if ends.size > limits.directory:
        raise ArchiveError(f"{name}: central directory of {ends.size} bytes (expected at most {limits.directory})")
    tail_start = reader.size - tail_size
    directory = tail[max(ends.offset - tail_start, 0) : ends.start - tail_start]
    if ends.offset < tail_start:
        directory = read_exactly(reader, ends.offset, tail_start - ends.offset, archive=name) + directory
    rows = list(_rows(directory, ends, name))
    members = _located(rows, ends.offset, name)
    check_expansion(sum(row.size for row in rows), reader.size, archive=name, limits=limits)
    return members


def _read_ends(tail: bytes, size: int, name: str) -> _Ends:
    start = len(tail) - _END.size
    locator = start - _END64_LOCATOR.size
    if start < 0 or not tail.startswith(b"PK\5\6", start):
        raise ArchiveError(
            f"{name}: no zip end record in the last {_END.size} bytes "
            "(not a zip, truncated, or with trailing data or an archive comment)",
            hint="fetch the file again, or ask its publisher for a correct one",
        )
    _, disk, first_disk, count_here, count, directory_size, offset, comment = _END.unpack_from(tail, start)
    if comment:
        raise ArchiveError(f"{name}: truncated: the end record announces a comment of {comment} bytes", hint=_HINT)
    if locator >= 0 and tail.startswith(b"PK\6\7", locator):
        short = (disk, first_disk, count_here, count, directory_size, offset)
        (disk, first_disk, count_here, count, directory_size, offset), start = _read_zip64_ends(
            tail, size, locator, short, name
        )
    if disk or first_disk or count_here != count:
        raise ArchiveError(f"{name}: part of a multi-disk zip", hint=_HINT)
    begin = size - len(tail) + start
    if offset + directory_size != begin:
        raise ArchiveError(
            f"{name}: central directory said to be bytes {offset} to {offset + directory_size}, "
            f"but its end record is at {begin} (prefixed, hidden or missing data)",
            hint=_HINT,
        )
    return _Ends(count, directory_size, offset, begin)


def _read_zip64_ends(
    tail: bytes, size: int, locator: int, short: tuple[int, ...], name: str
) -> tuple[tuple[int, ...], int]:
    _, disk, offset, disks = _END64_LOCATOR.unpack_from(tail, locator)
    start = locator - _END64.size
    if start < 0 or disk or disks > 1 or offset != size - len(tail) + start:
        raise ArchiveError(f"{name}: the ZIP64 locator doesn't point at the record before it", hint=_HINT)
    signature, record_size, _, _, *fields = _END64.unpack_from(tail, start)
    if signature != b"PK\6\6" or record_size != _END64.size - 12:
        raise ArchiveError(f"{name}: malformed ZIP64 end record", hint=_HINT)
    for value, long, maximum in zip(short, fields, (0xFFFF,) * 4 + (0xFFFFFFFF,) * 2, strict=True):
        if value not in (long, maximum):
            raise ArchiveError(f"{name}: the two end records disagree ({value} and {long})", hint=_HINT)
    return tuple(fields), start


def _rows(directory: bytes, ends: _Ends, name: str) -> Iterator[_Row]:
    position = 0
    for number in range(ends.count):
        if not directory.startswith(b"PK\1\2", position) or len(directory) - position < _CENTRAL.size:
            raise ArchiveError(f"{name}: central directory has {number} members (expected {ends.count})", hint=_HINT)
        fields = _CENTRAL.unpack_from(directory, position)
        flags, method, crc, lengths = fields[4], fields[5], fields[8], fields[11:14]
        sizes: tuple[int, ...] = (fields[10], fields[9], fields[17])
        position += _CENTRAL.size
        stored = directory[position : position + lengths[0]]
        extra = directory[position + lengths[0] : position + lengths[0] + lengths[1]]
        position += sum(lengths)
        if position > len(directory):
            raise ArchiveError(f"{name}: truncated central directory", hint=_HINT)
        if lengths[2] or fields[14]:
            raise ArchiveError(f"{name}: member number {number} has a comment or another disk", hint=_HINT)
        if extra:
            sizes = check_extra(extra, sizes, stored, where=f"{name}: member number {number}")
        yield _Row(fields[3], flags, method, crc, sizes[1], sizes[0], fields[16], sizes[2], stored)
    if position != len(directory):
        raise ArchiveError(f"{name}: {len(directory) - position} more bytes in the central directory", hint=_HINT)


def _located(rows: list[_Row], directory_offset: int, name: str) -> tuple[ZipMember, ...]:
    offsets = sorted({row.offset for row in rows})
    if (offsets[0] if offsets else directory_offset) != 0:
        raise ArchiveError(f"{name}: data before the first member", hint=_HINT)
    ends = dict(pairwise([*offsets, directory_offset]))
    if len(offsets) != len(rows):
        raise ArchiveError(f"{name}: two members overlap", hint=_HINT)
    return tuple(_member(row, ends[row.offset], name) for row in rows)


def _member(row: _Row, end: int, archive: str) -> ZipMember:
    try:
        stored = row.name.decode("utf-8" if row.flags & FLAG_UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise ArchiveError(
            f"{archive}: member name {row.name[:100]!r} is not UTF-8, or not marked as such", hint=_HINT
        ) from error
    is_directory = stored.endswith("/")
    name = check_member_name(stored[:-1] if is_directory else stored, archive=archive)
    mode = row.attributes >> 16
    fault = _row_fault(row, end, is_directory=is_directory, kind=stat.S_IFMT(mode))
    if fault:
        raise ArchiveError(f"{archive}: member {show_name(name)} {fault}", hint=_HINT)
    return ZipMember(
        name=name,
        mode=mode & 0o777,
        is_directory=is_directory,
        method=row.method,
        flags=row.flags,
        crc=row.crc,
        compressed_size=row.compressed_size,
        size=row.size,
        header_offset=row.offset,
        end_offset=end,
    )


def _row_fault(row: _Row, end: int, *, is_directory: bool, kind: int) -> str:
    if kind not in (0, stat.S_IFDIR if is_directory else stat.S_IFREG):
        return f"has file type {kind:#o} (expected a {'directory' if is_directory else 'regular file'})"
    if row.flags & ~_ALLOWED_FLAGS:
        return "is encrypted" if row.flags & 1 else f"has unknown flags {row.flags:#x}"
    if row.version & 0xFF > _MAX_VERSION:
        return f"needs zip version {row.version & 0xFF} (expected at most {_MAX_VERSION})"
    if row.method not in (STORED, DEFLATED):
        return f"has compression method {row.method} (expected 0 or 8)"
    return _size_fault(row, end, is_directory=is_directory)


def _size_fault(row: _Row, end: int, *, is_directory: bool) -> str:
    if row.offset + LOCAL_HEADER_SIZE + len(row.name) + row.compressed_size > end:
        return f"overlaps what follows at byte {end}"
    if row.method == STORED and row.compressed_size != row.size:
        return f"is stored, but {row.compressed_size} bytes stand for {row.size}"
    if is_directory and row.size:
        return f"is a directory with {row.size} bytes of content"
    return ""
