"""Reading the list of a channel's folder, `repodata.json`, compressed or not, as a stream.

Source: CEP 36 (`repodata.json`, `repodata.json.zst`), conda's `current_repodata.json` (the newest of each, which is all
that a few small channels have).
"""

import io
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from envcap.archives.decompress import decompress
from envcap.conda.repodata import RepodataRow, find_rows
from envcap.errors import ArchiveError, MissingArtifactError, SourceError
from envcap.secrets.urls import scrub_url
from envcap.sources.debian_transport import Transport

MAX_COMPRESSED: Final = 512 << 20
MAX_INDEX: Final = 4 << 30
"""Bytes of a list: conda-forge's has 300 MB."""

_PIECE = 1 << 20
_FORMS = (("repodata.json.zst", ".zst"), ("repodata.json", ""), ("current_repodata.json", ""))


def find_packages(base: str, subdir: str, files: Collection[str], transport: Transport) -> dict[str, RepodataRow]:
    """Look files up in the list of a channel's folder; a damaged one is made up for by the next form of it.

    Args:
        base: Address of the channel.
        subdir: `linux-64`, `noarch`.
        files: File names.
        transport: Reads the channel.

    Returns:
        The files that the list has.

    Raises:
        MissingArtifactError: There is no list.
        SourceError: It can't be read, or is damaged.
    """
    damage: SourceError | None = None
    for name, suffix in _FORMS:
        url = f"{base}/{subdir}/{name}"
        try:
            with decompress(_Stream(transport.stream(url, limit=MAX_COMPRESSED)), suffix, name=name) as stream:
                return find_rows(bounded(iter(lambda: stream.read(_PIECE), b""), name), files)
        except MissingArtifactError:
            continue
        except ArchiveError as error:
            damage = damage or SourceError(f"{scrub_url(url)} is damaged: {error.message}")
    raise damage or MissingArtifactError(f"{scrub_url(f'{base}/{subdir}')} has no repodata.json")


def bounded(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Pass a list on in pieces.

    Args:
        pieces: The list.
        name: Its file name, for the message.

    Raises:
        SourceError: It is longer than any list.
    """
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > MAX_INDEX:
            raise SourceError(f"{name} has more than {MAX_INDEX} bytes")
        yield piece


class _Stream(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes, at most `size`."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        data = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(data) :]
        return data
