"""Bytes at hand by their hash: what is asked before any server, and believed by the hash alone."""

from typing import Protocol

from envcap.archives.access import RandomAccess


class Held(Protocol):
    """A place of this machine that holds pinned files: a bundle. Safe to share between threads."""

    @property
    def shown(self) -> str:
        """What messages may say of it."""

    def reader(self, sha256: str) -> RandomAccess | None:
        """Open the bytes that go by a sha256, unchecked: whoever reads them hashes them. None where it has none."""


class Region:
    """A part of a file under random access.

    Attributes:
        size: Length in bytes.
    """

    __slots__ = ("_offset", "_reader", "size")

    def __init__(self, reader: RandomAccess, offset: int, size: int) -> None:
        self._reader = reader
        self._offset = offset
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer than `length` only where the region ends.

        Raises:
            ArchiveError: The disk fails.
        """
        return self._reader.read_at(self._offset + offset, max(0, min(length, self.size - offset)))
