"""A zip whose bytes depend on its members alone: what captured distributions are kept in.

Members are written in the order given, dated 1980-01-01, compressed by libdeflate at the recipe's level (never by the
interpreter's zlib) or stored where that is not shorter. Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import deflate

from envcap.entry import Content
from envcap.errors import BuildError
from envcap.recipe import LIBDEFLATE_LEVEL

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_DATE = 0x21  # 1980-01-01 in DOS form, the earliest there is
_UTF8 = 0x800
_MAX_WHOLE = 32 << 20
"""Members above this are stored: libdeflate needs a member whole, and memory must stay small."""

_MAX_32 = 0xFFFFFFFE
_MAX_RATIO = 100
"""A member that shrinks more is stored, so that the archive doesn't look like a bomb to its own reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    name: bytes
    method: int
    crc: int
    compressed: int
    size: int
    mode: int
    offset: int


class ZipWriter:
    """Writes one zip to a callable that takes bytes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._offset = 0
        self._members: list[_Written] = []

    def add(self, name: str, content: Content, *, executable: bool, stored: bool = False) -> str:
        """Add a regular file, uncompressed if it is to be `stored`; returns the sha256 of its bytes, 64 hex digits.

        Raises:
            BuildError: The archive would need zip64, the name is not UTF-8, or the file changed since it was scanned
                or between two readings.
        """
        if content.size > _MAX_32 or self._offset + content.size > _MAX_32:
            raise BuildError(f"{name!r} can't be captured: the archive would have more than 4 GiB")
        sha256 = hashlib.sha256()
        if content.size <= _MAX_WHOLE and not stored:
            data = b"".join(content.chunks())
            if len(data) != content.size:
                raise _changed(name)
            sha256.update(data)
            crc, body = zlib.crc32(data), bytes(deflate.deflate_compress(data, LIBDEFLATE_LEVEL))
            method, body = (8, body) if len(body) < len(data) <= _MAX_RATIO * len(body) else (0, data)
            self._header(name, method, crc, len(body), len(data), executable=executable)
            self._emit(body)
        else:
            crc = 0
            for chunk in content.chunks():
                crc = zlib.crc32(chunk, crc)
                sha256.update(chunk)
            self._header(name, 0, crc, content.size, content.size, executable=executable)
            self._stored(name, content, sha256.digest())
        return sha256.hexdigest()

    def finish(self) -> None:
        """Write the central directory and its end."""
        start = self._offset
        for member in self._members:
            # Made by Unix (3), zip 2.0; the file's type and mode are in the high half of the attributes.
            fields = (
                (3 << 8) | 20, 20, _UTF8, member.method, 0, _DATE, member.crc, member.compressed, member.size,
                len(member.name), 0, 0, 0, 0, (0o100000 | member.mode) << 16, member.offset,
            )  # fmt: skip
            self._emit(_CENTRAL.pack(0x02014B50, *fields) + member.name)
        count = len(self._members)
        if count > 0xFFFE:  # noqa: PLR2004  # zip64 begins here
            raise BuildError(f"{count} files can't be captured in one archive (at most 65534)")
        self._emit(_END.pack(0x06054B50, 0, 0, count, count, self._offset - start, start, 0))

    def _header(self, name: str, method: int, crc: int, compressed: int, size: int, *, executable: bool) -> None:
        try:
            raw = name.encode()
        except UnicodeEncodeError:
            raise BuildError(f"{name!r} can't be captured: its name is not valid UTF-8") from None
        mode = 0o755 if executable else 0o644
        self._members.append(
            _Written(name=raw, method=method, crc=crc, compressed=compressed, size=size, mode=mode, offset=self._offset)
        )
        self._emit(_LOCAL.pack(0x04034B50, 20, _UTF8, method, 0, _DATE, crc, compressed, size, len(raw), 0) + raw)

    def _stored(self, name: str, content: Content, digest: bytes) -> None:
        sha256 = hashlib.sha256()
        start = self._offset
        for chunk in content.chunks():
            sha256.update(chunk)
            self._emit(chunk)
        if sha256.digest() != digest or self._offset - start != content.size:
            raise _changed(name)

    def _emit(self, data: bytes) -> None:
        self._write(data)
        self._offset += len(data)


def _changed(name: str) -> BuildError:
    return BuildError(f"{name!r} changed while it was captured", hint="try again when nothing writes to it")
