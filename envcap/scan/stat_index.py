"""Remembers the hashes of an environment's files by what `lstat` said of them, so that only what changed is read again.

A file whose modification time, change time, inode and size are as they were holds what it held. Nobody can set the
change time, so an edit that puts the modification time back is seen too. What the kernel's clock can't tell apart is
not believed: as in git ("racy git"), a row whose times are not older than the walk that saw it is not kept, since the
file could change again within the same tick.

It is a guess all the same (a disk that lies, a clock that was set back), so a lock is never made from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from envcap.digest import Digest, is_sha256
from envcap.scan.files import Tree, TreeFile
from envcap.scan.hashing import HashedFile, Hashes, hash_files
from envcap.store.actions import action_key

SLACK_NS: Final = 2_000_000_000
"""How much older than the walk a row's times must be: two seconds, the coarsest clock of a file system (FAT)."""

_FORMAT: Final = 1
PART: Final = 40_000
"""Rows in one record of the store, which may have 16 MiB."""

Row = list[object]
"""Modification time, change time, inode and size of a file as a walk saw it, its sha256, and whether it is ELF."""


class IndexRecords(Protocol):
    """Remembers JSON objects by digest; `envcap.store.ActionCache` is one."""

    def get(self, key: Digest) -> dict[str, object] | None:
        """Recall an object, or None; a damaged one counts as none."""

    def put(self, key: Digest, value: Mapping[str, object]) -> None:
        """Remember an object."""

    def mark_used(self, key: Digest) -> None:
        """Tell the collector that it is in use."""


@dataclass(slots=True)
class IndexedHashes:
    """Gives the hashes of a tree from an index as far as it may, and gathers the next index.

    Attributes:
        known: The index to begin with; empty to hash every file.
        started_ns: When the walk began, nanoseconds since the epoch.
        fresh: The rows for the next time.
        hashed: How many files were read.
    """

    known: Mapping[str, Row]
    started_ns: int
    fresh: dict[str, Row] = field(default_factory=dict)
    hashed: int = 0

    def __call__(self, tree: Tree, files: Sequence[tuple[str, int]]) -> Hashes:
        """Hash what the index does not know."""
        found: dict[str, HashedFile] = {}
        unknown: list[tuple[str, int]] = []
        for path, size in files:
            row = self.known.get(path)
            content = _believe(row, tree.files[path]) if row is not None else None
            if row is None or content is None:
                unknown.append((path, size))
            else:
                found[path] = content
                self.fresh[path] = row
        read, findings = hash_files(tree.prefix, unknown, sources=tree.sources)
        self.hashed += len(unknown)
        for path, content in read.items():
            file = tree.files[path]
            if self._is_settled(file, content):
                self.fresh[path] = [*file.stamp, content.size, content.sha256, content.is_elf]
        return found | read, findings

    def _is_settled(self, file: TreeFile, content: HashedFile) -> bool:
        """Tell whether a file can't change any more without another stamp, and was not changing while it was read."""
        modified, changed, _ = file.stamp
        return max(modified, changed) < self.started_ns - SLACK_NS and file.size == content.size


def load_index(records: IndexRecords, prefix: str) -> dict[str, Row]:
    """Recall the index of an environment; empty if there is none, or one of another shape."""
    rows: dict[str, Row] = {}
    number, total = 0, 1
    while number < total:
        key = _key(prefix, number)
        value = records.get(key)
        if value is None:
            return {}
        records.mark_used(key)
        match value:
            case {"total": int(total), "part": dict(some)}:
                rows |= some
            case _:
                return {}
        number += 1
    return rows


def save_index(records: IndexRecords, prefix: str, rows: Mapping[str, Row], *, part: int = PART) -> None:
    """Remember the index of an environment; its absolute path is part of the key, not of the record.

    Args:
        records: Where.
        prefix: The environment's absolute path.
        rows: What to remember.
        part: Rows in one record.

    Raises:
        StoreError: The store can't be written.
    """
    paths = sorted(rows)
    total = max(1, -(-len(paths) // part))
    # Parts of two writers may mix: every row stands for itself.
    for number in range(total):
        some = {path: rows[path] for path in paths[number * part : (number + 1) * part]}
        records.put(_key(prefix, number), {"total": total, "part": some})


def _key(prefix: str, number: int) -> Digest:
    text = prefix.encode("utf-8", "surrogateescape").hex()
    return action_key("stat-index", {"format": _FORMAT, "prefix": text, "number": number})


def _believe(row: object, file: TreeFile) -> HashedFile | None:
    """Give the content that a row remembers, if it is of the file as it is now."""
    match row:
        case [modified, changed, inode, size, str(sha256), bool(is_elf)] if (
            (modified, changed, inode) == file.stamp and size == file.size and is_sha256(sha256)
        ):
            return HashedFile(sha256, file.size, is_elf)
        case _:
            return None
