"""A wheel read from afar: its central directory and RECORD, in one request where its server allows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from envcap.archives.zip import ZipArchive, open_zip
from envcap.environment import Distribution
from envcap.errors import ArchiveError
from envcap.lock.proof import LARGEST_SCRIPT, WheelContents, WheelMember
from envcap.sources.answer import Meter
from envcap.sources.http import Session
from envcap.sources.ranges import open_remote
from envcap.wheel.layout import dist_info_folder
from envcap.wheel.record import parse_record

MAX_RECORD: Final = 64 << 20
"""Bytes of a RECORD; the largest real ones have 2 MB."""

_LEAST_TAIL: Final = 64 << 10
_MOST_TAIL: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWheel:
    """An open wheel.

    Attributes:
        contents: What it holds.
        size: Bytes of the whole file.
        archive: The open zip.
    """

    contents: WheelContents
    size: int
    archive: ZipArchive

    def read_member(self, name: str) -> bytes:
        """Read a small member whole.

        Raises:
            ArchiveError: It isn't there, is larger than a script, or damaged.
        """
        found = next((member for member in self.archive.members if member.name == name), None)
        if found is None:
            raise ArchiveError(f"{self.archive.name}: no member {name!r}")
        return self.archive.read_member(found, LARGEST_SCRIPT)


@contextmanager
def open_wheel(
    session: Session, url: str, *, filename: str, project: str, size: int, tail: int, meter: Meter
) -> Iterator[RemoteWheel]:
    """Open a wheel on a server or this machine, and read what it says about itself.

    Args:
        session: Where to ask.
        url: `https`, `http` or `file`.
        filename: For messages.
        project: Whose wheel it must be.
        size: Bytes, or -1 where not known.
        tail: Bytes to ask for first, from `tail_size`.
        meter: Counts what was received.

    Raises:
        AnswerError: The server fails.
        ArchiveError: It is no sound wheel.
    """
    with open_remote(session, url, tail=tail, meter=meter, size=size) as reader:
        archive = open_zip(reader, name=filename)
        names = [member.name for member in archive.members if not member.is_directory]
        dist_info = dist_info_folder(names, project=project, archive=filename)
        record = next((member for member in archive.members if member.name == f"{dist_info}/RECORD"), None)
        if record is None:
            raise ArchiveError(f"{filename}: no RECORD")
        hashes = parse_record(archive.read_member(record, MAX_RECORD))
        members = tuple(
            WheelMember(
                name=member.name,
                size=member.size,
                crc=member.crc,
                executable=bool(member.mode & 0o111),
                sha256=hashes.get(member.name, ""),
            )
            for member in archive.members
            if not member.is_directory
        )
        contents = WheelContents(file=filename, dist_info=dist_info, members=members)
        yield RemoteWheel(contents=contents, size=reader.size, archive=archive)


def tail_size(distribution: Distribution) -> int:
    """Estimate the end of a wheel that holds its central directory and its compressed RECORD, from the live files.

    A directory row takes 46 bytes, the name, and up to 28 bytes of extra fields; a RECORD row some 50 bytes, since its
    hash doesn't compress.
    """
    rows = sum(46 + 28 + len(file.path) + 50 for file in distribution.files)
    return min(max(_LEAST_TAIL, rows + (16 << 10)), _MOST_TAIL)
