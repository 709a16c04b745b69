"""A blob that is sent in parts: read again where need be, hashed once, its last bytes only if all is right."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import DigestError
from envcap.oci.image import Descriptor


class HashedFile:
    """A blob that is read in parts, again where need be, and hashed once from its start to its end."""

    def __init__(self, file: BinaryIO, descriptor: Descriptor) -> None:
        self._file = file
        self._expected = descriptor.digest
        self.size = descriptor.size
        self._sha256 = hashlib.sha256()
        self._hashed = 0

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a part; the last bytes of the blob only if all of it is right."""
        if start > self._hashed:  # what an earlier run has sent
            for _ in self._pieces(self._hashed, start):
                pass
        for position, piece in self._pieces(start, end):
            if position + len(piece) == self.size:
                self.check()
            yield piece

    def check(self) -> None:
        """Refuse other bytes than those of the digest.

        Raises:
            DigestError: They are others.
        """
        if self._hashed < self.size:
            for _ in self._pieces(self._hashed, self.size):
                pass
        found = Digest(self._sha256.copy().hexdigest())
        if found != self._expected:
            raise DigestError(f"Unexpected bytes (expected {self._expected}, found {found} of {self.size} bytes)")

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        self._file.seek(start)
        position = start
        while position < end:
            piece = self._file.read(min(CHUNK_SIZE, end - position))
            if not piece:
                raise DigestError(f"Unexpected end (expected {self.size} bytes of {self._expected}, found {position})")
            if position + len(piece) > self._hashed:
                self._sha256.update(memoryview(piece)[max(0, self._hashed - position) :])
                self._hashed = position + len(piece)
            yield position, piece
            position += len(piece)
