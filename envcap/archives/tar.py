"""Reading a tar strictly: validated members, their bytes spooled into one file, nothing ever extracted by name.

Python's own `tarfile` filters are no boundary (CVE-2025-4517, CVE-2025-4330, CVE-2024-12718), so this doesn't use them.
"""

import enum
import io
from dataclasses import dataclass, replace
from typing import BinaryIO

from envcap.archives.limits import DEFAULT_LIMITS, ArchiveLimits, check_count
from envcap.archives.names import check_member_name, check_parents, check_text, check_unique, show_name
from envcap.archives.spool import SpooledContent, equal_content
from envcap.archives.tar_stream import RawMember, TarStream
from envcap.entry import EMPTY, Content, EntryKind
from envcap.errors import ArchiveError

_KINDS = {"0": EntryKind.FILE, "\0": EntryKind.FILE, "1": EntryKind.HARDLINK, "2": EntryKind.SYMLINK}
_KINDS["5"] = EntryKind.DIRECTORY
_REFUSED = {"3": "a character device", "4": "a block device", "6": "a FIFO", "7": "a contiguous file", "S": "sparse"}
_HINT = "don't use this archive; ask its publisher for a correct one"


class TarRules(enum.Enum):
    """Which names and links an archive may hold beyond what every archive may."""

    PORTABLE = "portable"
    """Nothing: no backslashes, no twins in case or Unicode form, no absolute symlinks."""

    DEBIAN = "debian"
    """What Debian packages really hold: absolute symlinks (relative to the image's root), systemd's `\\x2d` unit names,
    and the kernel headers' `xt_MARK.h` beside `xt_mark.h`. Harmless on the file systems that images live on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One validated member.

    Attributes:
        path: Its checked path, without leading `./` or trailing slash.
        kind: File, directory, symlink or hard link.
        mode: Permission bits (0o7777 at most).
        uid: Numeric owner.
        gid: Numeric group.
        size: Bytes of content; 0 for everything but a file.
        target: A symlink's target as stored; a hard link's as the path of an earlier member.
        content: A file's bytes in the spool.
    """

    path: str
    kind: EntryKind
    mode: int
    uid: int
    gid: int
    size: int = 0
    target: str = ""
    content: Content = EMPTY


def read_tar(
    file: io.BufferedIOBase | BinaryIO,
    *,
    name: str,
    spool: BinaryIO,
    compressed_size: int | None = None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    rules: TarRules = TarRules.DEBIAN,
) -> list[TarMember]:
    """Read a tar to its end, and copy the content of its files to the end of a spool.

    Modification times, owners' names and extended attributes are dropped, the root directory's own entry too.

    Args:
        file: The uncompressed stream, such as `decompress` gives.
        name: The archive's name, for messages.
        spool: A temporary file, seekable and with a descriptor. It must stay open as long as contents are read.
        compressed_size: Bytes of the compressed archive, for the cap on the ratio; `None` if it isn't compressed.
        limits: Caps on members, sizes and ratio.
        rules: What names and links may be.

    Returns:
        The members in the archive's order, with distinct paths; what repeats an earlier member exactly is dropped.

    Raises:
        ArchiveError: The archive is damaged, hostile, or could be read differently by another tool.
    """
    spool.seek(0, io.SEEK_END)
    stream = TarStream(file, name=name, limits=limits, compressed_size=compressed_size)
    members: list[TarMember] = []
    files: set[str] = set()
    for raw in stream.members():
        content = SpooledContent(spool, spool.tell(), raw.size)
        member = _validated(raw, files, content, archive=name, rules=rules)
        if member is None:
            continue
        if member.kind is EntryKind.FILE:
            stream.copy_data(raw.size, spool)
            files.add(member.path)
        members.append(member)
        check_count(len(members), archive=name, limits=limits)
    spool.flush()
    check_parents(((member.path, member.kind is EntryKind.DIRECTORY) for member in members), archive=name)
    repeated = check_unique(
        [member.path for member in members],
        archive=name,
        same=lambda one, other: _interchangeable(members[one], members[other]),
        portable=rules is TarRules.PORTABLE,
    )
    return [member for position, member in enumerate(members) if position not in repeated]


def _validated(
    raw: RawMember, files: set[str], content: SpooledContent, *, archive: str, rules: TarRules
) -> TarMember | None:
    kind = _KINDS.get(raw.kind)
    if kind is None:
        what = _REFUSED.get(raw.kind, f"of unknown type {raw.kind!r}")
        raise ArchiveError(f"{archive}: member {show_name(raw.name)} is {what}", hint=_HINT)
    if raw.size and kind is not EntryKind.FILE:
        raise ArchiveError(f"{archive}: {kind.value} {show_name(raw.name)} with {raw.size} bytes", hint=_HINT)
    if raw.link and kind in {EntryKind.FILE, EntryKind.DIRECTORY}:
        raise ArchiveError(f"{archive}: {kind.value} {show_name(raw.name)} with a link target", hint=_HINT)
    path = raw.name.removesuffix("/") if kind is EntryKind.DIRECTORY else raw.name
    if path == "." and kind is EntryKind.DIRECTORY:
        return None
    path = check_member_name(path.removeprefix("./"), archive=archive, backslash=rules is TarRules.DEBIAN)
    target = ""
    if kind is EntryKind.HARDLINK:
        target = _hard_target(path, raw.link, files, archive=archive)
    elif kind is EntryKind.SYMLINK:
        target = _soft_target(path, raw.link, archive=archive, absolute=rules is TarRules.DEBIAN)
    return TarMember(
        path=path,
        kind=kind,
        mode=raw.mode,
        uid=raw.uid,
        gid=raw.gid,
        size=raw.size,
        target=target,
        content=content if kind is EntryKind.FILE else EMPTY,
    )


def _hard_target(path: str, link: str, files: set[str], *, archive: str) -> str:
    target = link.removeprefix("./")
    if target not in files or target == path:
        raise ArchiveError(
            f"{archive}: hard link {show_name(path)} to {show_name(link)}, which is no earlier file of the archive",
            hint=_HINT,
        )
    return target


def _soft_target(path: str, link: str, *, archive: str, absolute: bool) -> str:
    """Check a symlink's target by its text: within an image it can only be followed within the image."""
    what = f"the target of {show_name(path)}"
    check_text(link, what=what, archive=archive)
    if not link or ("\\" in link and not absolute):
        raise ArchiveError(f"{archive}: {what} is {show_name(link)} (expected a path)", hint=_HINT)
    if link.startswith("/") and not absolute:
        raise ArchiveError(f"{archive}: {what} is absolute: {show_name(link)}", hint=_HINT)
    depth = 0 if link.startswith("/") else path.count("/")
    for part in link.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            raise ArchiveError(f"{archive}: {what} climbs over the root: {show_name(link)}", hint=_HINT)
    return link


def _interchangeable(one: TarMember, other: TarMember) -> bool:
    """Tell whether two members of one path are the same, down to their bytes."""
    if replace(one, path="", content=EMPTY) != replace(other, path="", content=EMPTY):
        return False
    return equal_content(one.content, other.content)
