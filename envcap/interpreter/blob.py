"""Reading back a captured interpreter: the blob is a file of somebody else's lock until it is checked."""

import posixpath
import re
from typing import BinaryIO

from envcap.archives.decompress import decompress
from envcap.archives.tar import TarMember, read_tar
from envcap.entry import Entry, EntryKind
from envcap.errors import ArchiveError
from envcap.interpreter.tree import OWNER
from envcap.recipe import DIRECTORY_MODE, EXECUTABLE_MODE, FILE_MODE, PYTHON_ROOT

_NAME = "captured interpreter"
_HINT = "this blob was not written by envcap; get the lock and its blobs again from where they came"
_LIBRARY_LINK = re.compile(r"usr/local/lib/libpython[0-9.a-z]+\Z")
_PARENTS = {posixpath.dirname(PYTHON_ROOT), PYTHON_ROOT, "usr", "usr/local", "usr/local/lib"}
_MODES = {
    EntryKind.FILE: {FILE_MODE, EXECUTABLE_MODE},
    EntryKind.DIRECTORY: {DIRECTORY_MODE},
    EntryKind.SYMLINK: {0o777},
}


def captured_entries(blob: BinaryIO, *, spool: BinaryIO) -> list[Entry]:
    """Read the entries of a captured interpreter, in the blob's order.

    Args:
        blob: The blob, at its start.
        spool: A temporary file that holds the contents; it must stay open as long as they are read.

    Raises:
        ArchiveError: The blob is damaged, or holds what a capture never writes.
    """
    size = blob.seek(0, 2)
    blob.seek(0)
    with decompress(blob, ".gz", name=_NAME) as tar:
        return [_entry(member) for member in read_tar(tar, name=_NAME, spool=spool, compressed_size=size)]


def _entry(member: TarMember) -> Entry:
    inside = member.path.startswith(f"{PYTHON_ROOT}/")
    library = member.kind is EntryKind.SYMLINK and _LIBRARY_LINK.match(member.path) is not None
    parent = member.kind is EntryKind.DIRECTORY and member.path in _PARENTS
    if not (inside or library or parent):
        raise ArchiveError(f"{_NAME}: {member.path!r} lies outside {PYTHON_ROOT}", hint=_HINT)
    if member.mode not in _MODES.get(member.kind, ()) or member.uid or member.gid:
        raise ArchiveError(
            f"{_NAME}: {member.path!r} is a {member.kind.value} of mode {member.mode:04o}, owner {member.uid} and "
            f"group {member.gid} (expected a file, folder or symlink of root with an ordinary mode)",
            hint=_HINT,
        )
    if member.kind is EntryKind.SYMLINK:
        check_inside(member.path, member.target, root=PYTHON_ROOT, archive=_NAME)
    return Entry(
        path=member.path,
        kind=member.kind,
        mode=member.mode,
        content=member.content,
        target=member.target,
        owner=OWNER,
    )


def check_inside(path: str, target: str, *, root: str, archive: str) -> None:
    """Refuse a symlink that is absolute or leaves a folder.

    Raises:
        ArchiveError: It does.
    """
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or not end.startswith(f"{root}/"):
        raise ArchiveError(
            f"{archive}: symlink {path!r} leads to {target!r}, out of {root}",
            hint="don't use this archive",
        )
