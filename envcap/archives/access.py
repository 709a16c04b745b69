"""Reading an archive at any place: one protocol for files on disk and files on a server.

The lock step reads a wheel's central directory by HTTP range requests; the rebuild reads the same wheel from a file.
Readers are used by several threads at once, so nothing here has a position: `os.pread`, never seek.
"""

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from envcap.errors import ArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RandomAccess(Protocol):
    """Bytes that can be read at any offset, by several threads at once."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer than `length` only where the end cuts them off."""


class FileReader:
    """Random access to a regular file.

    Attributes:
        size: Length in bytes, as it was when opened.
    """

    __slots__ = ("_fd", "_owned", "size")

    def __init__(self, file: Path | str | int) -> None:
        """Open a path, or borrow an open file descriptor, which is then left open.

        Raises:
            ArchiveError: The file can't be opened, or isn't a regular file.
        """
        self._owned = not isinstance(file, int)
        try:
            # O_NONBLOCK: opening a FIFO must not wait for a writer; it means nothing for regular files.
            self._fd = file if isinstance(file, int) else os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._fd)
        except OSError as error:
            raise ArchiveError(f"Can't open archive {file}: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise ArchiveError(f"Can't open archive {file}: not a regular file")
        self.size = status.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer than `length` only at the end of the file.

        Raises:
            ArchiveError: The disk fails.
        """
        try:
            data = os.pread(self._fd, length, offset)
            while len(data) < length and (more := os.pread(self._fd, length - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise ArchiveError(f"Can't read archive at byte {offset}: {error.strerror}") from error
        return data

    def close(self) -> None:
        """Close the file, if this reader opened it."""
        if self._owned:
            self._owned = False
            fd, self._fd = self._fd, -1  # the number may soon be another file's
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_exactly(reader: RandomAccess, offset: int, length: int, *, archive: str) -> bytes:
    """Read exactly `length` bytes.

    Raises:
        ArchiveError: The archive ends before.
    """
    data = reader.read_at(offset, length)
    if len(data) != length:
        raise ArchiveError(
            f"{archive}: truncated: {length} bytes expected at byte {offset}, {len(data)} found",
            hint="the file is damaged; fetch it again",
        )
    return data


class RegionStream(io.RawIOBase):
    """A part of a file as a stream of its own, so that what follows can't be read by mistake."""

    def __init__(self, reader: RandomAccess, offset: int, size: int) -> None:
        super().__init__()
        self._reader = reader
        self._start = self._offset = offset
        self._end = offset + size

    def seekable(self) -> bool:
        """Tell that it has a position that can be set."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, never before the region."""
        origin = {io.SEEK_SET: self._start, io.SEEK_CUR: self._offset, io.SEEK_END: self._end}[whence]
        if origin + offset < self._start:
            raise ValueError(f"negative seek position {origin + offset - self._start}")
        self._offset = min(origin + offset, self._end)
        return self._offset - self._start

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill a buffer as far as the region goes."""
        view = memoryview(buffer).cast("B")
        data = self._reader.read_at(self._offset, min(len(view), self._end - self._offset))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)
