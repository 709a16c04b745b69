"""Content that was copied into a spool: one temporary file that holds the bytes of many members."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from envcap.digest import CHUNK_SIZE
from envcap.entry import Content
from envcap.errors import ArchiveError


@dataclass(frozen=True, slots=True)
class SpooledContent:
    """A region of an open spool. May be read any number of times, by several threads.

    Attributes:
        spool: The file; it is read by descriptor, so its position doesn't matter.
        offset: Where the content begins.
        size: Length in bytes.
    """

    spool: BinaryIO
    offset: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order.

        Raises:
            ArchiveError: The spool was cut, or the disk fails.
        """
        offset, end = self.offset, self.offset + self.size
        while offset < end:
            try:
                chunk = os.pread(self.spool.fileno(), min(end - offset, CHUNK_SIZE), offset)
            except OSError as error:
                raise ArchiveError(f"Can't read the spool at byte {offset}: {error.strerror}") from error
            if not chunk:
                raise ArchiveError(f"The spool ends at byte {offset} (expected at least {end})")
            yield chunk
            offset += len(chunk)


def spool_bytes(spool: BinaryIO, data: bytes) -> SpooledContent:
    """Put bytes at the end of a spool."""
    offset = spool.seek(0, os.SEEK_END)
    spool.write(data)
    spool.flush()
    return SpooledContent(spool, offset, len(data))


def equal_content(one: Content, other: Content) -> bool:
    """Tell whether two contents of one provider have the same bytes."""
    if one.size != other.size:
        return False
    return all(left == right for left, right in zip(one.chunks(), other.chunks(), strict=True))
