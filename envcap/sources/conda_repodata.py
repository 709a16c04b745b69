"""Looking packages up in the index of a channel's folder: `repodata.json`, compressed or not.

A large channel's index has hundreds of megabytes, and the answer is a few hundred rows of it. So it is read as a stream
in which the wanted files' rows are found by their keys; memory is bounded by one row.
Source: CEP 36 (`repodata.json`: `packages` and `packages.conda`, by file name), conda's "signatures" table, whose rows
have the same keys and no hashes.
"""

import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from envcap.archives.decompress import decompress
from envcap.digest import is_sha256
from envcap.errors import ArchiveError, MissingArtifactError, SourceError
from envcap.sources.debian_transport import Transport
from envcap.sources.scrub import scrub_url

MAX_COMPRESSED = 512 << 20
MAX_INDEX = 4 << 30
MAX_ROW = 256 << 10
"""Bytes of one row; the longest of real channels have some 10 000."""

_PIECE = 1 << 20
_OVERLAP = 512
_KEY = re.compile(rb'"([A-Za-z0-9_.!+-]{1,255}\.(?:conda|tar\.bz2))"\s{0,16}:\s{0,16}(?=\{)')
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_FORMS = (("repodata.json.zst", ".zst"), ("repodata.json", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPackage:
    """What an index says of a file.

    Attributes:
        md5: Its MD5, or empty.
        sha256: Its sha256, or empty; one of the two is there.
    """

    md5: str
    sha256: str


def find_packages(base: str, subdir: str, files: Collection[str], transport: Transport) -> dict[str, IndexedPackage]:
    """Look files up in the index of a channel's folder.

    Args:
        base: Address of the channel.
        subdir: `linux-64`, `noarch`.
        files: File names.
        transport: Reads the channel.

    Returns:
        The files that the index has.

    Raises:
        MissingArtifactError: There is no index.
        SourceError: It can't be read, or is damaged.
    """
    for name, suffix in _FORMS:
        url = f"{base}/{subdir}/{name}"
        try:
            with decompress(_Stream(transport.stream(url, limit=MAX_COMPRESSED)), suffix, name=name) as stream:
                return scan_index(iter(lambda: stream.read(_PIECE), b""), files)
        except MissingArtifactError:
            continue
        except ArchiveError as error:
            raise SourceError(f"{scrub_url(url)} is damaged: {error.message}") from None
    raise MissingArtifactError(f"{scrub_url(f'{base}/{subdir}')} has no repodata.json")


def scan_index(pieces: Iterable[bytes], files: Collection[str]) -> dict[str, IndexedPackage]:
    """Find the rows of files in an index that comes in pieces.

    Raises:
        SourceError: It is longer than any index.
    """
    found: dict[str, IndexedPackage] = {}
    wanted = {file.encode(): file for file in files}
    rest, total = b"", 0
    for piece in pieces:
        total += len(piece)
        if total > MAX_INDEX:
            raise SourceError(f"Unexpected length of a channel's index (expected {MAX_INDEX} bytes at most)")
        data, pending = rest + piece, None
        for key in _KEY.finditer(data):
            if key[1] not in wanted or wanted[key[1]] in found:
                continue
            row = _row(data, key.end())
            if row is None and len(data) - key.end() < MAX_ROW:
                pending = key.start()  # the row goes on in the next piece
                break
            if row is not None and (package := _package(row)):
                found[wanted[key[1]]] = package
        rest = data[pending:] if pending is not None else data[-_OVERLAP:]
    return found


def _row(data: bytes, start: int) -> Mapping[str, object] | None:
    text = data[start : start + MAX_ROW].decode("utf-8", "replace")
    try:
        row, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _package(row: Mapping[str, object]) -> IndexedPackage | None:
    md5, sha256 = row.get("md5"), row.get("sha256")
    package = IndexedPackage(
        md5=md5 if isinstance(md5, str) and _MD5.match(md5) else "",
        sha256=sha256 if isinstance(sha256, str) and is_sha256(sha256) else "",
    )
    return package if package.md5 or package.sha256 else None


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
