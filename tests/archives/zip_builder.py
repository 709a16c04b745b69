"""Hand-packed zips: every field of every header can be made to lie."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMember:
    """A member; `local` and `central` override header fields by name, for one header only.

    Fields: signature, flags, method, crc, compressed_size, size, name, extra; in the central header also comment,
    disk, attributes, offset.
    """

    name: bytes = b"a.txt"
    data: bytes = b"hello"
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    raw: bytes | None = None
    extra: bytes = b""
    after: bytes = b""
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)

    @property
    def stored(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return deflated(self.data) if self.method == 8 else self.data

    def fields(self) -> dict[str, int | bytes]:
        return {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "compressed_size": len(self.stored),
            "size": len(self.data),
            "name": self.name,
            "extra": self.extra,
        }


def deflated(data: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def descriptor(data: bytes, *, marked: bool = True, long: bool = False) -> bytes:
    sizes = struct.pack("<LQQ" if long else "<LLL", zlib.crc32(data), len(deflated(data)), len(data))
    return (b"PK\7\b" if marked else b"") + sizes


def extra_field(tag: int, data: bytes) -> bytes:
    return struct.pack("<HH", tag, len(data)) + data


def _pack(layout: str, order: Sequence[str], fields: dict[str, int | bytes]) -> bytes:
    return struct.pack(layout, *(fields[key] for key in order))


def _local(member: FakeMember) -> bytes:
    fields: dict[str, int | bytes] = {"signature": b"PK\3\4", "version": 20, "time": 0, "date": 33}
    fields |= member.fields() | member.local
    name, extra = fields["name"], fields["extra"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    fields |= {"name_length": len(name), "extra_length": len(extra)} | member.local
    order = ["signature", "version", "flags", "method", "time", "date", "crc", "compressed_size", "size"]
    return _pack("<4s5H3L2H", [*order, "name_length", "extra_length"], fields) + name + extra


def _central(member: FakeMember, offset: int) -> bytes:
    fields: dict[str, int | bytes] = {
        "signature": b"PK\1\2",
        "made_by": 20,
        "system": 3,
        "version": 20,
        "time": 0,
        "date": 33,
        "comment": b"",
        "disk": 0,
        "internal": 0,
        "attributes": member.mode << 16,
        "offset": offset,
    }
    fields |= member.fields() | member.central
    name, extra, comment = fields["name"], fields["extra"], fields["comment"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    assert isinstance(comment, bytes)
    fields |= {"name_length": len(name), "extra_length": len(extra), "comment_length": len(comment)}
    order = ["signature", "made_by", "system", "version", "flags", "method", "time", "date", "crc"]
    order += ["compressed_size", "size", "name_length", "extra_length", "comment_length", "disk", "internal"]
    return _pack("<4s2B5H3L5H2L", [*order, "attributes", "offset"], fields) + name + extra + comment


def build_zip(
    *members: FakeMember,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
    comment: bytes = b"",
    shift: bool = True,
    zip64: dict[str, int] | None = None,
    end: dict[str, int] | None = None,
) -> bytes:
    """Make a zip.

    Args:
        members: In the order of data and directory.
        prefix: Bytes before the first member; `shift` tells whether offsets count them.
        before_directory: Bytes between the last member and the directory.
        after_directory: Bytes between the directory and the end records.
        comment: The archive's comment.
        shift: Whether offsets are true offsets in the file.
        zip64: Write ZIP64 end records, with these fields overridden (`locator_offset`, `record_size` too).
        end: Overridden fields of the end record: disk, first_disk, count_here, count, size, offset, comment_length.
    """
    body, directory = prefix, b""
    base = 0 if shift else len(prefix)
    for member in members:
        directory += _central(member, len(body) - base)
        body += _local(member) + member.stored + member.after
    body += before_directory
    true = {"disk": 0, "first_disk": 0, "count_here": len(members), "count": len(members)}
    true |= {"size": len(directory), "offset": len(body) - base}
    body += directory + after_directory
    short = dict(true)
    if zip64 is not None:
        record = {"record_size": 44, "locator_offset": len(body), "locator_disk": 0, "disks": 1} | true | zip64
        order = ["disk", "first_disk", "count_here", "count", "size", "offset"]
        body += struct.pack("<4sQ2H2L4Q", b"PK\6\6", record["record_size"], 45, 45, *(record[key] for key in order))
        body += struct.pack("<4sLQL", b"PK\6\7", record["locator_disk"], record["locator_offset"], record["disks"])
        short |= {"count_here": 0xFFFF, "count": 0xFFFF, "size": 0xFFFFFFFF, "offset": 0xFFFFFFFF}
    short |= {"comment_length": len(comment)} | (end or {})
    order = ["disk", "first_disk", "count_here", "count", "size", "offset", "comment_length"]
    return body + struct.pack("<4s4H2LH", b"PK\5\6", *(short[key] for key in order)) + comment
