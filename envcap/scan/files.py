"""Walks an environment's prefix once: every file, symlink and folder under it, without following any symlink."""

import os
import posixpath
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from envcap.finding import Finding

_MAX_LINK_STEPS = 8
# C0 and C1 controls, DEL, and the surrogates that stand for bytes that are not UTF-8 (PEP 383).
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A regular file or symlink as `lstat` saw it.

    Attributes:
        mode: Permission bits.
        size: Bytes; 0 for a symlink.
        links: Hard link count.
        target: A symlink's target as written, else empty.
        is_link: True for a symlink, even one whose target can't be written down.
        stamp: Modification time, change time (both in nanoseconds) and inode: a file whose stamp and size are as they
            were holds what it held (`envcap.scan.stat_index` says when that may be believed).
    """

    mode: int
    size: int
    links: int
    target: str = ""
    is_link: bool = False
    stamp: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All that lies under a prefix.

    Attributes:
        prefix: Absolute path of the root.
        files: Regular files and symlinks by path relative to the prefix, sorted.
        folders: Relative paths of the real folders.
        folder_links: Symlinks to folders inside the prefix, with the folder they lead to (`lib64` -> `lib`).
        skipped: How many entries were left out already, by reason (`special`, `name`).
        findings: Why.
        sources: Where the bytes of a file lie, absolute, if not at its path (`envcap.scan.linked`).
    """

    prefix: str
    files: Mapping[str, TreeFile]
    folders: frozenset[str] = frozenset()
    folder_links: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def place(self, path: str) -> str:
        """Tell where the bytes of a file lie on this machine."""
        return self.sources.get(path) or f"{self.prefix}/{path}"

    def real_path(self, path: str) -> str:
        """Write a relative path via the real folders: `lib64/python3.11/x` becomes `lib/python3.11/x`."""
        links = self.folder_links
        if not links:
            return path
        for _ in range(_MAX_LINK_STEPS):
            # A link is never below another one, so at most one of the path's folders is a link. It is looked up: a
            # project's `node_modules` may hold thousands of links.
            end = path.find("/")
            while end >= 0 and path[:end] not in links:
                end = path.find("/", end + 1)
            if end < 0:
                return path
            path = links[path[:end]] + path[end:]
        return path

    def leaves_prefix(self, link: str) -> bool:
        """Tell whether a symlink's target, as written, lies outside the prefix."""
        target = self.files[link].target
        if target.startswith("/"):
            return not f"{posixpath.normpath(target)}/".startswith(f"{self.prefix}/")
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        return joined == ".." or joined.startswith("../")


@dataclass(slots=True)
class _Walk:
    """What a walk has gathered so far; names are looked at before anything else uses them."""

    files: dict[str, TreeFile] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def skip(self, reason: str, code: str, message: str, path: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        self.findings.append(Finding(code=code, message=message, path=path))


def walk_tree(prefix: str, *, start: str = "", skip: frozenset[str] = frozenset()) -> Tree:
    """List everything under `prefix`, an absolute path; nothing is opened, no symlink followed.

    Only what lies below the folder `start`, relative to the prefix, if one is named; the folders in `skip` are not
    entered.

    What can't go into a lock or an image is left out with a finding: FIFOs, sockets and devices (`file-special`), names
    that no layer may hold (`file-name`, see `name_fault`), folders that can't be read (`file-unreadable`).
    """
    walk = _Walk()
    pending = [start]
    while pending:
        folder = pending.pop()
        if folder in skip:
            continue
        try:
            entries = list(os.scandir(f"{prefix}/{folder}"))
        except OSError as error:
            walk.skip("unreadable", "file-unreadable", f"The folder can't be read: {error.strerror}", folder)
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                _add_entry(walk, entry, path, pending)
            except OSError as error:
                walk.skip("unreadable", "file-unreadable", f"It can't be looked at: {error.strerror}", shown(path))
    files = dict(sorted(walk.files.items()))
    return Tree(
        prefix=prefix,
        files=files,
        folders=frozenset(walk.folders),
        folder_links=_folder_links(prefix, files, frozenset(walk.folders)),
        skipped=walk.skipped,
        findings=tuple(walk.findings),
    )


def is_plain(name: str) -> bool:
    """Tell whether a name is UTF-8 and free of control characters: only such names can go into an image."""
    # isprintable() answers for nearly all names, but is False for harmless spaces and unassigned code points too.
    return name.isprintable() or not _UNWRITABLE.search(name)


def name_fault(name: str) -> str:
    """Say what keeps a name out of a lock and an image, or return an empty string.

    `.wh.` names delete files in an OCI layer; a backslash is a separator to other readers of the lock.
    """
    if not is_plain(name):
        return "is not UTF-8 or holds control characters"
    if name.startswith(".wh."):
        return "begins with `.wh.`, which means a deletion in an image's layer"
    return "holds a backslash, which other systems read as a folder" if "\\" in name else ""


def shown(path: str) -> str:
    """Return the path as it may be shown: odd bytes and control characters escaped."""
    return (
        path
        if is_plain(path)
        else path.encode("utf-8", "surrogateescape")
        .decode("ascii", "backslashreplace")
        .encode("unicode_escape")
        .decode("ascii")
    )


def _add_entry(walk: _Walk, entry: os.DirEntry[str], path: str, pending: list[str]) -> None:
    status = entry.stat(follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    fault = name_fault(entry.name)
    if fault:
        # A folder with such a name is left out whole: every path in it holds the name too.
        what = "it is left out with all that it holds" if kind == stat.S_IFDIR else "left out"
        walk.skip("name", "file-name", f"The name {fault}: {what}", shown(path))
    elif kind == stat.S_IFDIR:
        walk.folders.append(path)
        pending.append(path)
    elif kind == stat.S_IFREG:
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        walk.files[path] = TreeFile(stat.S_IMODE(status.st_mode), status.st_size, status.st_nlink, stamp=stamp)
    elif kind == stat.S_IFLNK:
        target = os.readlink(entry.path)  # noqa: PTH115 - a Path for every link would be built for nothing
        if is_plain(target):
            walk.files[path] = TreeFile(stat.S_IMODE(status.st_mode), 0, status.st_nlink, target, is_link=True)
        else:
            walk.skip(
                "name", "file-name", "The symlink's target is not UTF-8 or holds control characters: left out", path
            )
    else:
        walk.skip("special", "file-special", "It is a FIFO, socket or device: left out", path)


def _folder_links(prefix: str, files: Mapping[str, TreeFile], folders: frozenset[str]) -> dict[str, str]:
    links: dict[str, str] = {}
    for path, file in files.items():
        if file.is_link:
            absolute = posixpath.normpath(posixpath.join(prefix, posixpath.dirname(path), file.target))
            folder = absolute.removeprefix(prefix + "/")
            # A link to one of its own parents would never resolve.
            if folder in folders and not path.startswith(f"{folder}/"):
                links[path] = folder
    return links
