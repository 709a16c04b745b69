"""A file tree held in memory: what the fix-ups and the library cache look at instead of a disk.

Links are followed as the kernel does inside a container: `..` stops at the root, at most 40 symlinks (Linux
path_resolution(7)). Nothing here touches the host.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError

_MAX_SYMLINKS = 40
SMALL_FILE_LIMIT = 4 << 20
"""Bytes: no configuration file, certificate or account list that a fix-up reads may be larger."""


def path_order(path: str) -> bytes:
    """Give the sort key of a path: its raw bytes, the one order of recipe 1."""
    return path.encode("utf-8", "surrogateescape")


def ancestors(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first, without the root itself."""
    while path := path.rpartition("/")[0]:
        yield path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Entries by path, with the names in each directory.

    Attributes:
        entries: The entry of every path.
        names: The names in each directory, sorted by bytes; the root is `""`.
    """

    entries: Mapping[str, Entry]
    names: Mapping[str, tuple[str, ...]]

    def __contains__(self, path: str) -> bool:
        return path in self.entries

    def is_directory(self, path: str) -> bool:
        """Tell whether a canonical path (`""` for the root) is a directory, with or without an entry of its own."""
        entry = self.entries.get(path)
        return path in self.names if entry is None else entry.kind is EntryKind.DIRECTORY

    def resolve(self, path: str) -> str | None:
        """Follow every symlink in a path.

        Args:
            path: Absolute or relative to the root; empty components, `.` and `..` are understood.

        Returns:
            The canonical path (`""` for the root), or None if something on the way is missing or loops.
        """
        pending = path.split("/")[::-1]
        current: list[str] = []
        hops = 0
        while pending:
            component = pending.pop()
            if component == "..":
                del current[-1:]
            if component in {"", ".", ".."}:
                continue
            here = "/".join([*current, component])
            entry = self.entries.get(here)
            if entry is not None and entry.kind is EntryKind.SYMLINK:
                hops += 1
                if hops > _MAX_SYMLINKS:
                    return None
                if entry.target.startswith("/"):
                    current = []
                pending.extend(entry.target.split("/")[::-1])
                continue
            if (entry is None and here not in self.names) or (pending and not self.is_directory(here)):
                return None
            current.append(component)
        return "/".join(current)

    def file(self, path: str) -> Entry | None:
        """Find the regular file that a path leads to, through symlinks and hard links; None if there's none."""
        real = self.resolve(path)
        entry = None if real is None else self.entries.get(real)
        if entry is not None and entry.kind is EntryKind.HARDLINK:
            entry = self.entries.get(entry.target)
        return entry if entry is not None and entry.kind is EntryKind.FILE else None

    def read(self, path: str) -> bytes | None:
        """Read the small file that a path leads to; None if there's none.

        Raises:
            BuildError: The file is larger than `SMALL_FILE_LIMIT`.
        """
        entry = self.file(path)
        if entry is None:
            return None
        if entry.content.size > SMALL_FILE_LIMIT:
            raise BuildError(
                f"Can't use {entry.path} of {entry.owner}: it has {entry.content.size} bytes"
                f" (expected at most {SMALL_FILE_LIMIT})"
            )
        return b"".join(entry.content.chunks())

    def with_entries(self, extra: Iterable[Entry]) -> "Tree":
        """Make a tree with more entries; those of a path that exists replace it."""
        return tree_of([*self.entries.values(), *extra])


def tree_of(entries: Iterable[Entry]) -> Tree:
    """Index entries; a later entry of a path replaces an earlier one."""
    by_path = {entry.path: entry for entry in entries}
    names: dict[str, set[str]] = {"": set()}
    for path, entry in by_path.items():
        if entry.kind is EntryKind.DIRECTORY:
            names.setdefault(path, set())
        child = path
        while child:
            parent, _, name = child.rpartition("/")
            known = names.setdefault(parent, set())
            if name in known:
                break
            known.add(name)
            child = parent
    return Tree(
        entries=MappingProxyType(by_path),
        names=MappingProxyType({path: tuple(sorted(found, key=path_order)) for path, found in names.items()}),
    )
