"""Our own tar header bytes: recipe 1, rule 2.

ustar as POSIX.1-1988 has it, and a PAX extended header (POSIX.1-2001) only where ustar can't say a path, a link or a
size. `tarfile` is not used to write: its bytes differ between Python versions and locales.
"""

from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError

BLOCK = 512
RECORD = 10240
"""The archive's length is a multiple of this many bytes (POSIX "record", blocking factor 20)."""

_NAME, _PREFIX, _LINK = 100, 155, 100
_MAX_OCTAL_SIZE = 0o77777777777
_MAX_OCTAL_ID = 0o7777777
_TYPE = {EntryKind.FILE: b"0", EntryKind.HARDLINK: b"1", EntryKind.SYMLINK: b"2", EntryKind.DIRECTORY: b"5"}
_PAX_NAME = b"pax_header"
_SPACES = b" " * 8


def tar_header(entry: Entry, *, epoch: int) -> bytes:
    """Write the header of an entry: one block, or three and more where PAX is needed.

    Args:
        entry: What to describe.
        epoch: Modification time, whole seconds.

    Raises:
        BuildError: The path is not UTF-8, or an owner's number does not fit.
    """
    path, target = _encode(entry.path, entry), _encode(entry.target, entry)
    if entry.kind is EntryKind.DIRECTORY:
        path += b"/"
    if max(entry.uid, entry.gid) > _MAX_OCTAL_ID:
        raise BuildError(f"{entry.owner}: the owner of {entry.path!r} is too large for a tar header ({entry.uid})")
    size = entry.content.size if entry.kind is EntryKind.FILE else 0
    split = _split(path)
    records: list[tuple[bytes, bytes]] = []
    # Fixed order: linkpath, path, size.
    if len(target) > _LINK or not target.isascii():
        records.append((b"linkpath", target))
    if split is None:
        records.append((b"path", path))
    if size > _MAX_OCTAL_SIZE:
        records.append((b"size", b"%d" % size))
    prefix, name = split or (b"", _ascii(path)[:_NAME])
    block = _block(
        name,
        prefix=prefix,
        mode=entry.mode,
        owner=(entry.uid, entry.gid),
        size=size if size <= _MAX_OCTAL_SIZE else 0,
        epoch=epoch,
        kind=_TYPE[entry.kind],
        link=_ascii(target)[:_LINK],
    )
    return _extended(records, epoch=epoch) + block if records else block


def padding(size: int, unit: int = BLOCK) -> bytes:
    """Zero bytes up to the next whole unit."""
    return bytes(-size % unit)


def trailer(size: int) -> bytes:
    """Write the end of an archive of `size` bytes: two zero blocks, then zeros up to a whole record."""
    end = size + 2 * BLOCK
    return bytes(2 * BLOCK) + padding(end, RECORD)


def _encode(text: str, entry: Entry) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BuildError(f"{entry.owner}: the name {entry.path!r} is not valid UTF-8") from None


def _ascii(name: bytes) -> bytes:
    return name.decode().encode("ascii", "replace")


def _split(path: bytes) -> tuple[bytes, bytes] | None:
    """Split a path into prefix and name as ustar does, or tell that it does not fit."""
    if not path.isascii():
        return None
    if len(path) <= _NAME:
        return b"", path
    # The longest prefix that fits: the cut is the last slash within its 155 bytes, not counting a directory's own.
    cut = path.rfind(b"/", 0, min(_PREFIX + 1, len(path) - 1))
    if cut <= 0 or len(path) - cut - 1 > _NAME:
        return None
    return path[:cut], path[cut + 1 :]


def _extended(records: list[tuple[bytes, bytes]], *, epoch: int) -> bytes:
    body = b"".join(_pax_record(key, value) for key, value in records)
    header = _block(_PAX_NAME, prefix=b"", mode=0o644, owner=(0, 0), size=len(body), epoch=epoch, kind=b"x", link=b"")
    return header + body + padding(len(body))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Write length, space, `key=value` and a newline, where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _block(
    name: bytes, *, prefix: bytes, mode: int, owner: tuple[int, int], size: int, epoch: int, kind: bytes, link: bytes
) -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, *owner, size, epoch)
    # magic and version, empty user and group names, device numbers 0
    tail = b"%s%sustar\x0000%s0000000\x000000000\x00%s" % (
        kind,
        link.ljust(_LINK, b"\0"),
        bytes(64),
        prefix.ljust(_PREFIX + 12, b"\0"),
    )
    checksum = sum(head) + sum(_SPACES) + sum(tail)
    return b"%s%06o\0 %s" % (head, checksum, tail)
