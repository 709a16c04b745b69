"""Entries to tar headers: recipe 1, rule 2. ustar, and a PAX header only where ustar can't say a path, link or size."""

from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError
from envcap.ustar import (
    DIRECTORY,
    HARDLINK,
    LINK_LENGTH,
    MAX_OCTAL_ID,
    MAX_OCTAL_SIZE,
    NAME_LENGTH,
    PREFIX_LENGTH,
    REGULAR,
    SYMLINK,
    extended_header,
    header_block,
)

_TYPE = {
    EntryKind.FILE: REGULAR,
    EntryKind.HARDLINK: HARDLINK,
    EntryKind.SYMLINK: SYMLINK,
    EntryKind.DIRECTORY: DIRECTORY,
}


def tar_header(entry: Entry, *, epoch: int) -> bytes:
    """Write the header of an entry: one block, or three and more where PAX is needed.

    Args:
        entry: What to describe.
        epoch: Modification time, whole seconds.

    Raises:
        BuildError: The path is not UTF-8, or an owner's number does not fit.
    """
    path = _encode(entry.path, entry)
    target = _encode(entry.target, entry) if entry.target else b""
    if entry.kind is EntryKind.DIRECTORY:
        path += b"/"
    if max(entry.uid, entry.gid) > MAX_OCTAL_ID:
        raise BuildError(f"{entry.owner}: the owner of {entry.path!r} is too large for a tar header ({entry.uid})")
    size = entry.content.size if entry.kind is EntryKind.FILE else 0
    split = _split(path)
    records: list[tuple[bytes, bytes]] = []
    # Fixed order: linkpath, path, size.
    if len(target) > LINK_LENGTH or not target.isascii():
        records.append((b"linkpath", target))
    if split is None:
        records.append((b"path", path))
    if size > MAX_OCTAL_SIZE:
        records.append((b"size", b"%d" % size))
    prefix, name = split or (b"", _ascii(path)[:NAME_LENGTH])
    block = header_block(
        name,
        kind=_TYPE[entry.kind],
        size=size if size <= MAX_OCTAL_SIZE else 0,
        mode=entry.mode,
        owner=(entry.uid, entry.gid),
        epoch=epoch,
        prefix=prefix,
        link=_ascii(target)[:LINK_LENGTH] if target else b"",
    )
    return extended_header(records, epoch=epoch) + block if records else block


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
    if len(path) <= NAME_LENGTH:
        return b"", path
    # The longest prefix that fits: the cut is the last slash within its 155 bytes, not counting a directory's own.
    cut = path.rfind(b"/", 0, min(PREFIX_LENGTH + 1, len(path) - 1))
    if cut <= 0 or len(path) - cut - 1 > NAME_LENGTH:
        return None
    return path[:cut], path[cut + 1 :]
