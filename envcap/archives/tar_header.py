"""One tar header block, and the PAX records that may precede it.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
A field is taken as its writer meant it or not at all: CVE-2025-62518 was two sizes for one member.
"""

import re
from dataclasses import dataclass

from envcap.errors import ArchiveError

BLOCK = 512
MAX_ID = 2**31 - 1
"""Largest uid and gid: beyond, container runtimes wrap around (CVE-2024-40635)."""

_POSIX = b"ustar\x0000"
_GNU = b"ustar  \x00"
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*\Z")
_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ")
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
_OCTAL_SIZE_LIMIT = 8**11
_HINT = "don't use this archive; ask its publisher for a correct one"

# What envcap doesn't carry over: times, names of owners, comments, extended attributes.
_IGNORED = frozenset({"atime", "ctime", "mtime", "uname", "gname", "comment"})
_IGNORED_PREFIXES = ("SCHILY.xattr.", "LIBARCHIVE.")
_USED = frozenset({"path", "linkpath", "size", "uid", "gid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TarHeader:
    """The fields of one header block.

    Attributes:
        kind: The type flag, one character.
        name: Prefix and name, as stored.
        link: The link target, as stored.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        size: Bytes of data that follow.
    """

    kind: str
    name: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int


def parse_header(block: bytes, *, where: str) -> TarHeader:
    """Read a header block that isn't all zeros.

    Args:
        block: 512 bytes.
        where: Archive and place, for the message.

    Raises:
        ArchiveError: Its checksum, magic or a field is wrong.
    """
    checksum = sum(block) - sum(block[148:156]) + 8 * 0x20
    if _number(block[148:156], "checksum", where) != checksum:
        raise ArchiveError(f"{where}: wrong checksum (not a tar, or damaged)", hint=_HINT)
    magic = block[257:265]
    if magic not in (_POSIX, _GNU):
        raise ArchiveError(f"{where}: magic {magic!r} (expected ustar or GNU tar)", hint=_HINT)
    name = _text(block[:100], "name", where)
    # GNU tar keeps times and sparse maps where POSIX has the prefix.
    prefix = _text(block[345:500], "prefix", where) if magic == _POSIX else b""
    mode = _number(block[100:108], "mode", where)
    if mode > 0o177777:  # noqa: PLR2004 - 16 bits, the file type among them in some writers
        raise ArchiveError(f"{where}: mode {mode:#o} (expected at most 0o7777)", hint=_HINT)
    return TarHeader(
        kind=block[156:157].decode("latin-1"),
        name=prefix + b"/" + name if prefix else name,
        link=_text(block[157:257], "link name", where),
        mode=mode & 0o7777,
        uid=check_id(_number(block[108:116], "uid", where), "uid", where),
        gid=check_id(_number(block[116:124], "gid", where), "gid", where),
        size=_number(block[124:136], "size", where),
    )


def check_id(value: int, field: str, where: str) -> int:
    """Refuse owners that don't fit into 31 bits.

    Raises:
        ArchiveError: It doesn't.
    """
    if value > MAX_ID:
        raise ArchiveError(f"{where}: {field} {value} (expected at most {MAX_ID})", hint=_HINT)
    return value


def parse_pax(data: bytes, *, where: str, allowed: frozenset[str] = _USED) -> dict[str, str]:
    """Read PAX records: `<length> <key>=<value>` and a newline each.

    Args:
        data: The content of a PAX header.
        where: Archive and place, for the message.
        allowed: Keys that are returned; for a global header none, since it would change members that can't tell.

    Raises:
        ArchiveError: A record is malformed or repeated, or its key is none that envcap knows.
    """
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match.group(1)) if match else 0
        record = data[match.end() : end] if match else b""
        key, equals, value = record.partition(b"=")
        if not key or not equals or end > len(data) or not value.endswith(b"\n"):
            raise ArchiveError(f"{where}: malformed PAX header", hint=_HINT)
        position = end
        text = _utf8(key, where)
        if text in records or (text not in allowed and not _is_ignored(text, allowed)):
            raise ArchiveError(f"{where}: repeated or unknown PAX record {text[:60]!r}", hint=_HINT)
        if text in allowed:
            records[text] = _utf8(value[:-1], where)
    return records


def effective_size(header: TarHeader, records: dict[str, str], *, where: str) -> int:
    """Give a member's size where header and PAX records agree on it.

    POSIX lets a record override the field. Only a size that the field can't hold needs that, so in every other case
    both must say the same; a reader that ignores PAX then sees the same archive.

    Raises:
        ArchiveError: They don't agree.
    """
    text = records.get("size")
    if text is None:
        return header.size
    size = pax_number(text, "size", where)
    if size != header.size and (size < _OCTAL_SIZE_LIMIT or header.size not in (0, _OCTAL_SIZE_LIMIT - 1)):
        raise ArchiveError(f"{where}: PAX size {size} contradicts the header's {header.size}", hint=_HINT)
    return size


def pax_number(text: str, field: str, where: str) -> int:
    """Read a PAX number.

    Raises:
        ArchiveError: It isn't a decimal number without sign.
    """
    if not _DECIMAL.match(text):
        raise ArchiveError(f"{where}: PAX {field} {text[:40]!r} is not a number", hint=_HINT)
    return int(text)


def _is_ignored(key: str, allowed: frozenset[str]) -> bool:
    if not allowed:
        return key == "comment"
    return key in _IGNORED or key.startswith(_IGNORED_PREFIXES)


def _number(field: bytes, label: str, where: str) -> int:
    """Read an octal or GNU base-256 field; empty ones, negative ones and ones with signs are refused."""
    if field[0] == 0x80:  # noqa: PLR2004 - GNU: positive base-256; 0xff would be negative
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.match(field)
    if match is None:
        raise ArchiveError(f"{where}: {label} {field!r} is not a number", hint=_HINT)
    return int(match.group(1), 8)


def _text(field: bytes, label: str, where: str) -> bytes:
    text, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise ArchiveError(f"{where}: data after the end of the {label}", hint=_HINT)
    return text


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{where}: PAX record that is not UTF-8", hint=_HINT) from error
