"""What a file in an image is: a path, a kind, a mode, and where its bytes come from.

Pure nouns. Readers of wheels, Debian packages and live environments yield entries;
the layer writer turns them into a tar.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class EntryKind(enum.Enum):
    """The kinds of file that a layer of envcap may hold; devices, FIFOs and whiteouts are never made."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


class Content(Protocol):
    """The bytes of a regular file, streamed."""

    @property
    def size(self) -> int:
        """Length in bytes, known before anything is read."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order, in chunks of at most `CHUNK_SIZE`."""


@dataclass(frozen=True, slots=True)
class LiteralContent:
    """Content held in memory: what envcap itself writes."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes at once."""
        if self.data:
            yield self.data


EMPTY = LiteralContent(b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or link in an image.

    Attributes:
        path: Relative to the image's root, `/`-separated, without `.`, `..` or a trailing slash.
        kind: What it is.
        mode: Permission bits (0o7777 at most).
        content: The bytes of a regular file; `EMPTY` for everything else.
        target: The target of a link, as written for a symlink, relative to the root for a hard link.
        uid: Numeric owner.
        gid: Numeric group.
        owner: Who brings it, for messages: `numpy`, `libc6`, `envcap`.
        sha256: Hash of the bytes where it was proved before (by the scan, or by a RECORD that the lock proved), so
            that they need not be hashed for RECORD again; else empty.
    """

    path: str
    kind: EntryKind
    mode: int
    content: Content = EMPTY
    target: str = ""
    uid: int = 0
    gid: int = 0
    owner: str = ""
    sha256: str = ""
