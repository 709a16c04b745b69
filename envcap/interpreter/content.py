"""Contents of a live tree, read when they are written: as they are, or relocated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcap.digest import CHUNK_SIZE
from envcap.entry import Content
from envcap.interpreter.relocate import Relocation, laptop_paths, relocate


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContent:
    """A file as it is.

    Attributes:
        file: Where it lies.
        size: Bytes.
    """

    file: Path
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order."""
        with self.file.open("rb") as stream:
            while chunk := stream.read(CHUNK_SIZE):
                yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class RelocatedContent:
    """A file whose paths are rewritten. It is held in memory while it is read: the largest is libpython.

    Attributes:
        file: Where it lies.
        path: Relative to the old prefix.
        relocation: Which paths go where.
        size: Bytes after relocation.
    """

    file: Path
    path: str
    relocation: Relocation
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the relocated bytes in order."""
        data = memoryview(relocate(self.path, self.file.read_bytes(), self.relocation))
        for start in range(0, len(data), CHUNK_SIZE):
            yield bytes(data[start : start + CHUNK_SIZE])


def open_relocated(file: Path, path: str, relocation: Relocation) -> tuple[Content, tuple[str, ...]]:
    """Look at a live file: its content for the image, and the laptop's paths that stay in it.

    Raises:
        OSError: It can't be read.
    """
    data = file.read_bytes()
    relocated = relocate(path, data, relocation)
    left = laptop_paths(relocated, relocation)
    if relocated == data:
        return LiveContent(file=file, size=len(data)), left
    return RelocatedContent(file=file, path=path, relocation=relocation, size=len(relocated)), left
