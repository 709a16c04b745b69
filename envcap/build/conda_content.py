"""Bytes that are made when they are asked for: a conda file with the image's prefix in it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from envcap.conda.placeholder import original_candidates, put_prefix
from envcap.digest import CHUNK_SIZE
from envcap.entry import Content
from envcap.environment import CondaPath
from envcap.errors import BuildError
from envcap.recipe import CONDA_ROOT

PREFIX = f"/{CONDA_ROOT}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeContent:
    """Content that a function makes, so that a layer does not hold all of its files at once.

    Attributes:
        size: Length in bytes.
        make: Gives the bytes, the same ones each time.
        where: The file, for the message.
    """

    size: int
    make: Callable[[], bytes]
    where: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order.

        Raises:
            BuildError: They have another length by now.
        """
        data = self.make()
        if len(data) != self.size:
            raise BuildError(
                f"{self.where!r} has changed (expected {self.size} bytes, found {len(data)})", hint="run it again"
            )
        for start in range(0, self.size, CHUNK_SIZE):
            yield data[start : start + CHUNK_SIZE]


def relocated(original: Callable[[], bytes], row: CondaPath) -> tuple[MadeContent, str]:
    """Give a file with the image's prefix in place of its placeholder, and the hash of that.

    Args:
        original: Gives the archive's bytes.
        row: Says which placeholder, and how.
    """

    def make() -> bytes:
        return placed(original(), row)

    data = make()
    return MadeContent(size=len(data), make=make, where=row.path), hashlib.sha256(data).hexdigest()


def placed(original: bytes, row: CondaPath) -> bytes:
    """Put the image's prefix in place of a file's placeholder."""
    return put_prefix(original, row.placeholder.encode(), PREFIX, binary=row.binary, where=row.path)


def restore_original(data: bytes, row: CondaPath, prefixes: tuple[str, ...]) -> bytes | None:
    """Give the archive's bytes of a live file whose placeholder was replaced; None if they can't be proved.

    Args:
        data: The live bytes.
        row: Says the placeholder and the hash of the archive's bytes.
        prefixes: Where the environment may have been when it was installed.
    """
    spellings = tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes)
    candidates = original_candidates(data, spellings, row.placeholder.encode(), binary=row.binary)
    return next((found for found in candidates if hashlib.sha256(found).hexdigest() == row.sha256), None)


def read_whole(content: Content) -> bytes:
    """Read a content into memory."""
    return b"".join(content.chunks())
