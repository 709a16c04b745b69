"""The one digest of envcap: sha256, as OCI writes it (`sha256:` and 64 lower-case hex digits).

Source: OCI image-spec, descriptor.md, "Digests". Other algorithms are refused: a weak hash pins nothing.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Self

from envcap.errors import DigestError

CHUNK_SIZE = 1 << 20
"""Bytes read at a time wherever envcap streams: hashlib releases the GIL for it, and memory stays small."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")


def is_sha256(text: object) -> bool:
    """Tell whether a value is 64 lower-case hex digits."""
    return isinstance(text, str) and _HEX.match(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256 digest.

    Attributes:
        hex: The 64 lower-case hex digits, without the algorithm.
    """

    hex: str

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:<64 hex>`.

        Raises:
            DigestError: The text is anything else.
        """
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256" or not is_sha256(value):
            raise DigestError(f"Unexpected digest {text[:100]!r} (expected `sha256:` and 64 lower-case hex digits)")
        return cls(value)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Hash bytes held in memory."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Self:
        """Hash bytes that come in pieces, such as those of a `Content`."""
        sha256 = hashlib.sha256()
        for chunk in chunks:
            sha256.update(chunk)
        return cls(sha256.hexdigest())

    @classmethod
    def of_file(cls, file: BinaryIO) -> Self:
        """Hash an open file from its position to its end, a chunk at a time."""
        return cls.of_chunks(iter(partial(file.read, CHUNK_SIZE), b""))
