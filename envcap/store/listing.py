"""What lies in the two-level folders of the store (`blobs/sha256/ab/<hex>`, `actions/ab/<hex>`)."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcap.digest import Digest, is_sha256
from envcap.store.faults import explain_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """Something that lies where the store keeps files.

    Attributes:
        path: Where.
        digest: What its name and folder say it is, or None if they say nothing.
        inode: To tell it from one that replaces it.
        size: In bytes.
        used: When it was last used: its mtime, in seconds since the epoch.
    """

    path: Path
    digest: Digest | None
    inode: int
    size: int
    used: float


def list_stored(folder: Path) -> tuple[StoredFile, ...]:
    """List all that lies in a two-level folder, sorted by path; what vanishes meanwhile is left out.

    Raises:
        StoreError: A folder can't be listed.
    """
    try:
        found = list(_walk(folder))
    except OSError as error:
        raise explain_fault(error, "list", folder) from error
    return tuple(sorted(found, key=lambda stored: stored.path))


def _walk(folder: Path) -> Iterator[StoredFile]:
    for shard in os.scandir(folder):
        if not shard.is_dir(follow_symlinks=False):
            yield from _describe(shard, None)
            continue
        for entry in os.scandir(shard):
            fits = is_sha256(entry.name) and entry.name[:2] == shard.name
            yield from _describe(entry, Digest(entry.name) if fits else None)


def _describe(entry: os.DirEntry[str], digest: Digest | None) -> Iterator[StoredFile]:
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    size = state.st_size if stat.S_ISREG(state.st_mode) else 0
    yield StoredFile(path=Path(entry.path), digest=digest, inode=state.st_ino, size=size, used=state.st_mtime)
