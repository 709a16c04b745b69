"""Writing one new object: hashed as it is written, published whole or not at all."""

import hashlib
from typing import Protocol

from envcap.digest import Digest
from envcap.errors import DigestError, StoreError
from envcap.store.scratch import ScratchFile


class Publish(Protocol):
    """Gives a written file its name in the store."""

    def __call__(self, scratch: ScratchFile, digest: Digest, *, checked: bool) -> None:
        """Publish a file; `checked` tells that its bytes were hashed while they were written."""


class BlobWriter:
    """Writes one new object; made by `BlobStore.writer`. Without a commit nothing is left behind."""

    def __init__(self, scratch: ScratchFile, publish: Publish, *, hashing: bool) -> None:
        """Write to a temporary file.

        Args:
            scratch: The file.
            publish: Gives it its name.
            hashing: Whether to hash what is written; without it only `commit_as` can publish.
        """
        self._scratch = scratch
        self._publish = publish
        self._sha256 = hashlib.sha256() if hashing else None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._scratch.size

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes; returns their number, as files do.

        Raises:
            StoreError: The disk is full or fails.
        """
        self._scratch.write(data)
        if self._sha256 is not None:
            self._sha256.update(data)
        return len(data)

    def commit(self, expected: Digest | None = None) -> Digest:
        """Publish the object under the hash of what was written.

        Raises:
            DigestError: It is not the expected one; nothing was published.
            StoreError: The disk is full or fails, or this writer was told not to hash.
        """
        if self._sha256 is None:
            raise StoreError("Can't commit what was not hashed (expected a digest, see commit_as)")
        found = Digest(self._sha256.hexdigest())
        if expected is not None and found != expected:
            raise DigestError(f"Unexpected bytes (expected {expected}, found {found} of {self.size} bytes)")
        self._publish(self._scratch, found, checked=True)
        return found

    def commit_as(self, digest: Digest) -> Digest:
        """Publish the object under a digest that the caller computed over the same bytes.

        It is trusted here, and checked like every other when it leaves the store.

        Raises:
            DigestError: This writer did hash and found another digest; nothing was published.
            StoreError: The disk is full or fails.
        """
        if self._sha256 is not None:
            return self.commit(digest)
        self._publish(self._scratch, digest, checked=False)
        return digest
