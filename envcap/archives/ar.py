"""Reading Debian's ar strictly: where the control and data archives of a .deb lie.

Source: deb(5) and ar(5). `debian-binary` first, then `control.tar*`, then `data.tar*`; members whose names begin with
an underscore may stand between them and are skipped. deb(5) lets readers ignore members after `data.tar`; Debian's
archive has no such packages, so here nothing may follow.
"""

import io
import re
from dataclasses import dataclass

from envcap.archives.access import RandomAccess, RegionStream, read_exactly
from envcap.archives.decompress import decompress
from envcap.errors import ArchiveError

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_VERSION = b"2.0\n"
_NAME = re.compile(rb"([!-.0-~]{1,16})/? *\Z")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,9}) *\Z")
_MAX_MEMBERS = 16
_HINT = "fetch the package again; if that doesn't help, don't use it"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebSection:
    """A member of a .deb, where it lies.

    Attributes:
        member: Its name, such as `data.tar.xz`.
        suffix: Its compression: `.xz`, `.gz`, `.bz2`, `.zst` or empty.
        offset: Where its bytes begin.
        size: How many there are, compressed.
    """

    member: str
    suffix: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebArchive:
    """The two archives in a .deb."""

    control: DebSection
    data: DebSection


def read_deb(reader: RandomAccess, *, name: str) -> DebArchive:
    """Find the control and data archives of a .deb, reading its ar headers only.

    Args:
        reader: The package.
        name: Its name, for messages.

    Raises:
        ArchiveError: It isn't a .deb of format 2.0, or has members, padding or trailing data that deb(5) doesn't allow.
    """
    if read_exactly(reader, 0, min(len(_MAGIC), reader.size), archive=name) != _MAGIC:
        raise ArchiveError(f"{name}: not an ar archive", hint=_HINT)
    version, *sections = _sections(reader, name)
    if version.member != "debian-binary" or version.size != len(_VERSION):
        raise ArchiveError(f"{name}: first member is {version.member!r} (expected `debian-binary`)", hint=_HINT)
    found = read_exactly(reader, version.offset, version.size, archive=name)
    if found != _VERSION:
        raise ArchiveError(f"{name}: format {found!r} (expected {_VERSION!r})", hint=_HINT)
    kept = [section for section in sections if not section.member.startswith("_")]
    names = [section.member for section in kept]
    if sections[-1:] != kept[-1:] or len(kept) != 2:  # noqa: PLR2004 - control and data
        raise ArchiveError(f"{name}: members {names} (expected control.tar and, last, data.tar)", hint=_HINT)
    for section, stem in zip(kept, ("control.tar", "data.tar"), strict=True):
        if section.member.removesuffix(section.suffix) != stem:
            raise ArchiveError(f"{name}: member {section.member!r} (expected {stem})", hint=_HINT)
    return DebArchive(control=kept[0], data=kept[1])


def open_section(reader: RandomAccess, section: DebSection, *, name: str) -> io.BufferedReader:
    """Open the uncompressed tar stream of a section, for `read_tar`.

    Raises:
        ArchiveError: The section's compression is unknown; reading raises it for damaged data.
    """
    return decompress(RegionStream(reader, section.offset, section.size), section.suffix, name=name)


def _sections(reader: RandomAccess, name: str) -> list[DebSection]:
    sections: list[DebSection] = []
    offset = len(_MAGIC)
    while offset < reader.size or not sections:
        section = _section(read_exactly(reader, offset, _HEADER_SIZE, archive=name), offset, name)
        sections.append(section)
        offset = section.offset + section.size
        if offset > reader.size:
            raise ArchiveError(f"{name}: truncated: {section.member!r} ends at {offset}", hint=_HINT)
        if offset % 2:  # ar(5): members begin at even bytes
            padding = reader.read_at(offset, 1)
            if padding != b"\n":
                raise ArchiveError(f"{name}: padding {padding!r} at byte {offset} (expected a newline)", hint=_HINT)
            offset += 1
        if len(sections) > _MAX_MEMBERS:
            raise ArchiveError(f"{name}: more than {_MAX_MEMBERS} ar members", hint=_HINT)
    return sections


def _section(header: bytes, offset: int, name: str) -> DebSection:
    stem, size = _NAME.match(header[:16]), _SIZE.match(header[48:58])
    if header[58:] != b"`\n" or stem is None or size is None:
        raise ArchiveError(f"{name}: malformed ar header or trailing data at byte {offset}", hint=_HINT)
    member = stem.group(1).decode("ascii")
    _, dot, suffix = member.partition(".tar.")
    return DebSection(
        member=member,
        suffix=f".{suffix}" if dot else "",
        offset=offset + _HEADER_SIZE,
        size=int(size.group(1)),
    )
