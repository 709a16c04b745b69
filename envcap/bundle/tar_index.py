"""Where the blobs of a layout's tar lie: its headers are read, its contents passed over.

Only what a layout has is accepted: `oci-layout`, `index.json`, `manifest.json` and `blobs/sha256/<hex>`, each once and
a plain file, and the folders they are in (skopeo and tar write those too). A name is looked up, never written anywhere.
Source: OCI image-spec, image-layout.md; POSIX.1-2017, pax.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from envcap.archives.access import RandomAccess, read_exactly
from envcap.archives.held import Region
from envcap.archives.tar_header import BLOCK, TarHeader, effective_size, parse_header, parse_pax
from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError

MAX_MEMBERS: Final = 100_000
"""A conda environment with a desktop has some 1,000 files to pin."""

_MAX_PAX: Final = 4096
_NAME: Final = re.compile(r"(?:\./)?(oci-layout|index\.json|manifest\.json|blobs/sha256/[0-9a-f]{64})\Z")
_FOLDERS: Final = frozenset({"", "blobs", "blobs/sha256"})
_FILES: Final = frozenset({"0", "\0"})
_HINT: Final = "get the bundle again from where it was made"


@dataclass(frozen=True, slots=True, kw_only=True)
class TarIndex:
    """The files of a layout's tar.

    Attributes:
        reader: The whole tar.
        members: Offset and size by name.
    """

    reader: RandomAccess
    members: Mapping[str, tuple[int, int]]

    def open(self, name: str) -> Region | None:
        """Give the bytes of a file, unchecked; None where there is none."""
        place = self.members.get(name)
        return Region(self.reader, *place) if place else None


def looks_like_tar(start: bytes) -> bool:
    """Tell by the first block whether a file may be a tar (POSIX magic); a lockfile is text and never has it."""
    return len(start) >= BLOCK and start[257:262] == b"ustar"


def index_tar(reader: RandomAccess, *, name: str) -> TarIndex:
    """Find the files of a layout's tar.

    Args:
        reader: The tar.
        name: What messages call it.

    Raises:
        ArchiveError: It is damaged, cut off, or holds something that no layout has.
    """
    members: dict[str, tuple[int, int]] = {}
    count = 0
    for header, offset, size, where in _headers(reader, name):
        count += 1
        if count > MAX_MEMBERS:
            raise ArchiveError(f"{name}: more than {MAX_MEMBERS} files (a bundle has fewer)", hint=_HINT)
        path = _path(header, where)
        if not path:
            continue
        if path in members:
            raise ArchiveError(f"{where}: {path} is there twice", hint=_HINT)
        members[path] = (offset, size)
    return TarIndex(reader=reader, members=members)


def _headers(reader: RandomAccess, name: str) -> Iterator[tuple[TarHeader, int, int, str]]:
    """Yield each member's header, where its data begin, how long they are, and what messages call the place."""
    position, records = 0, dict[str, str]()
    while True:
        where = f"{name}: tar header at byte {position}"
        block = read_exactly(reader, position, BLOCK, archive=name)
        if not block.strip(b"\0"):
            break
        header = parse_header(block, where=where)
        position += BLOCK
        if header.kind == "x":
            if records or header.size > _MAX_PAX:
                raise ArchiveError(f"{where}: two PAX headers, or one of {header.size} bytes", hint=_HINT)
            records = parse_pax(read_exactly(reader, position, header.size, archive=name), where=where)
            position += _padded(header.size)
            continue
        if records.keys() - {"size"}:
            raise ArchiveError(f"{where}: a PAX header that changes more than a size", hint=_HINT)
        size, records = effective_size(header, records, where=where), {}
        if position + _padded(size) > reader.size:
            raise ArchiveError(
                f"{name}: truncated: {position + _padded(size)} bytes expected, {reader.size} found", hint=_HINT
            )
        yield header, position, size, where
        position += _padded(size)
    if records:
        raise ArchiveError(f"{where}: a PAX header without a member", hint=_HINT)
    _check_end(reader, position, name)


def _check_end(reader: RandomAccess, position: int, name: str) -> None:
    """Check that zeros follow, two blocks of them at least, and nothing else."""
    if reader.size - position < 2 * BLOCK:
        raise ArchiveError(f"{name}: truncated: the end of the tar is missing", hint=_HINT)
    while chunk := reader.read_at(position, CHUNK_SIZE):
        position += len(chunk)
        if chunk.strip(b"\0"):
            raise ArchiveError(f"{name}: data after the end of the tar", hint=_HINT)


def _path(header: TarHeader, where: str) -> str:
    """Check a member; gives its name, or nothing for a folder."""
    name = header.name.decode("ascii", "replace")
    if header.kind == "5" and not header.size and name.removeprefix("./").rstrip("/").removesuffix(".") in _FOLDERS:
        return ""
    match = _NAME.match(name)
    if header.kind not in _FILES or header.link or match is None:
        raise ArchiveError(
            f"{where}: {name[:100]!r} (expected a plain file of an OCI layout: `index.json`, `blobs/sha256/…`)",
            hint=_HINT,
        )
    return match[1]


def _padded(size: int) -> int:
    return size + -size % BLOCK
