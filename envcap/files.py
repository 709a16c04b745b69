"""Content that lies in a file of this machine: a live environment's file, or a blob kept with a lock."""

import os
import stat
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
            BuildError: The file can't be read, or is no regular file by now.
        """
        try:
            # O_NONBLOCK: opening a FIFO must not wait for a writer; it means nothing for regular files.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unreadable(self.path, error.strerror) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _unreadable(self.path, "not a regular file")
            while chunk := _read(descriptor, self.path):
                yield chunk
        finally:
            os.close(descriptor)


def _read(descriptor: int, path: Path) -> bytes:
    try:
        return os.read(descriptor, CHUNK_SIZE)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None


def _unreadable(path: Path, why: str | None) -> BuildError:
    return BuildError(f"{path.name!r} can't be read: {why}", hint="if it changed or is gone, take a new snapshot")
