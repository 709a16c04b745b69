"""A tar as a stream of members with their raw fields, long names resolved and sizes checked, nothing trusted yet.

Handles what real writers emit: ustar, PAX headers (`x`, and `g` with a comment only), GNU long names (`L`, `K`).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from envcap.archives.limits import ArchiveLimits, check_expansion
from envcap.archives.tar_header import (
    BLOCK,
    TarHeader,
    check_id,
    effective_size,
    parse_header,
    parse_pax,
    pax_number,
)
from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError

MAX_EXTENSION = 1 << 20
"""Most bytes of a PAX header or long name, which are held in memory."""

_HINT = "don't use this archive; ask its publisher for a correct one"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMember:
    """A member before its name, links and kind are judged.

    Attributes:
        kind: The type flag.
        name: The full stored name.
        link: The full stored link target.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        size: Bytes of data that follow in the stream.
        where: Archive and byte, for messages.
    """

    kind: str
    name: str
    link: str
    mode: int
    uid: int
    gid: int
    size: int
    where: str


class TarStream:
    """Reads a tar front to back. After each member its data must be taken with `copy_data`."""

    def __init__(
        self,
        file: io.BufferedIOBase | BinaryIO,
        *,
        name: str,
        limits: ArchiveLimits,
        compressed_size: int | None,
    ) -> None:
        self._file = file
        self._name = name
        self._limits = limits
        self._compressed_size = compressed_size
        self._position = 0

    def members(self) -> Iterator[RawMember]:
        """Yield the members in order, then check that only zeros follow.

        Raises:
            ArchiveError: A header is malformed, or the archive truncated, too large or followed by garbage.
        """
        pending: dict[str, bytes] = {}
        while True:
            where = f"{self._name}: tar header at byte {self._position}"
            block = self._take(BLOCK)
            if not block.strip(b"\0"):
                break
            header = parse_header(block, where=where)
            if header.kind in {"x", "g", "L", "K"}:
                self._extension(header, pending, where)
                continue
            yield self._member(header, pending, where)
            pending = {}
        if pending:
            raise ArchiveError(f"{where}: a PAX header or long name without a member", hint=_HINT)
        self._check_end()

    def copy_data(self, size: int, to: BinaryIO) -> None:
        """Copy a member's data and skip its padding.

        Raises:
            ArchiveError: The archive is truncated, or passes its caps; that is checked before a byte is copied.
        """
        self._allow(self._position + size)
        left = size
        while left:
            chunk = self._take(min(left, CHUNK_SIZE))
            to.write(chunk)
            left -= len(chunk)
        self._take(-size % BLOCK)

    def _extension(self, header: TarHeader, pending: dict[str, bytes], where: str) -> None:
        if header.size > MAX_EXTENSION:
            raise ArchiveError(
                f"{where}: PAX header or long name of {header.size} bytes (expected at most {MAX_EXTENSION})",
                hint=_HINT,
            )
        data = self._take(header.size)
        self._take(-header.size % BLOCK)
        if header.kind == "g":
            parse_pax(data, where=f"{where} (global)", allowed=frozenset())
        elif header.kind in pending:
            raise ArchiveError(f"{where}: two headers of type {header.kind!r} for one member", hint=_HINT)
        else:
            pending[header.kind] = data

    def _member(self, header: TarHeader, pending: dict[str, bytes], where: str) -> RawMember:
        records = parse_pax(pending.get("x", b""), where=where)
        return RawMember(
            kind=header.kind,
            name=_long(header.name, pending.get("L"), records.get("path"), where),
            link=_long(header.link, pending.get("K"), records.get("linkpath"), where),
            mode=header.mode,
            uid=check_id(pax_number(records["uid"], "uid", where), "uid", where) if "uid" in records else header.uid,
            gid=check_id(pax_number(records["gid"], "gid", where), "gid", where) if "gid" in records else header.gid,
            size=effective_size(header, records, where=where),
            where=where,
        )

    def _check_end(self) -> None:
        if self._take(BLOCK).strip(b"\0"):
            raise ArchiveError(f"{self._name}: a lone zero block in the middle of the tar", hint=_HINT)
        while chunk := self._file.read(CHUNK_SIZE):
            self._position += len(chunk)
            self._allow(self._position)
            if chunk.strip(b"\0"):
                raise ArchiveError(f"{self._name}: trailing data after the end of the tar", hint=_HINT)

    def _take(self, length: int) -> bytes:
        """Read exactly so many bytes; a raw stream may give them piecemeal."""
        data = self._file.read(length) if length else b""
        while len(data) < length and (more := self._file.read(length - len(data))):
            data += more
        if len(data) < length:
            raise ArchiveError(
                f"{self._name}: truncated: the tar ends at byte {self._position + len(data)}",
                hint="fetch the file again",
            )
        self._position += length
        self._allow(self._position)
        return data

    def _allow(self, position: int) -> None:
        check_expansion(position, self._compressed_size, archive=self._name, limits=self._limits)


def _long(short: bytes, gnu: bytes | None, pax: str | None, where: str) -> str:
    if gnu is not None and pax is not None:
        raise ArchiveError(f"{where}: both a GNU long name and a PAX one", hint=_HINT)
    if pax is not None:
        return pax
    if gnu is not None:
        short = gnu.removesuffix(b"\0")
    try:
        return short.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{where}: name {short[:100]!r} is not UTF-8", hint=_HINT) from error
