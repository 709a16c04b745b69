"""Content that lies in a file of this machine: a live environment's file, or a blob kept with a lock."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcap.digest import CHUNK_SIZE
from envcap.errors import BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """The bytes of a file, read when they are asked for.

    Attributes:
        path: Where it lies; a symlink in its place is refused.
        size: Length in bytes, as it was when the file was scanned.
    """

    path: Path
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order.

        Raises:
            BuildError: The file can't be read, or is a symlink by now.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise BuildError(f"{self.path.name!r} can't be read: {error.strerror}") from None
        try:
            while chunk := os.read(descriptor, CHUNK_SIZE):
                yield chunk
        finally:
            os.close(descriptor)
