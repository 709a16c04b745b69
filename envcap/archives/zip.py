"""Reading a zip strictly: members from the central directory, content checked against CRC, sizes and the local header.

Members come out as they lie in the archive (raw DEFLATE), inflated, or both in one pass, so that a layer can take
over the compressed bytes while their uncompressed form is hashed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isal import isal_zlib

from envcap.archives.access import RandomAccess
from envcap.archives.inflate import inflate_pairs, inflate_whole
from envcap.archives.limits import DEFAULT_LIMITS, ArchiveLimits
from envcap.archives.names import check_parents, check_unique, show_name
from envcap.archives.zip_directory import STORED, ZipMember, read_directory
from envcap.archives.zip_local import raw_chunks, raw_whole
from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError

_WHOLE = 4 << 20
"""Members of at most this many bytes are inflated in one call."""

_HINT = "the archive is damaged or hostile; fetch it again, or ask its publisher for a correct one"


@dataclass(frozen=True, slots=True)
class StoredMember:
    """Content of a member that isn't compressed. May be read any number of times, by several threads."""

    reader: RandomAccess
    archive: str
    member: ZipMember

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.member.size

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order.

        Raises:
            ArchiveError: The local header disagrees, or, at the end, the CRC is wrong.
        """
        crc = 0
        for chunk in raw_chunks(self.reader, self.member, archive=self.archive):
            crc = isal_zlib.crc32(chunk, crc)
            yield chunk
        if crc != self.member.crc:
            raise _damaged(self, f"has CRC {crc:08x} (expected {self.member.crc:08x})")


@dataclass(frozen=True, slots=True)
class DeflatedMember:
    """Content of a member that is one raw DEFLATE stream. May be read any number of times, by several threads."""

    reader: RandomAccess
    archive: str
    member: ZipMember

    @property
    def size(self) -> int:
        """Length of the inflated bytes."""
        return self.member.size

    @property
    def crc(self) -> int:
        """CRC-32 of the inflated bytes, as the central directory claims; reading the content checks it."""
        return self.member.crc

    @property
    def compressed_size(self) -> int:
        """Length of the raw stream."""
        return self.member.compressed_size

    def chunks(self) -> Iterator[bytes]:
        """Yield the inflated bytes in order.

        Raises:
            ArchiveError: As `spliced_chunks` does.
        """
        for _, inflated in self.spliced_chunks():
            for start in range(0, len(inflated), CHUNK_SIZE):
                yield bytes(inflated[start : start + CHUNK_SIZE])

    def deflated_chunks(self) -> Iterator[bytes]:
        """Yield the raw stream in order, checked against the local header only: nothing is inflated.

        Raises:
            ArchiveError: The local header disagrees with the central directory, or the archive is truncated.
        """
        return raw_chunks(self.reader, self.member, archive=self.archive)

    def spliced_chunks(self) -> Iterator[tuple[bytes, bytes | bytearray]]:
        """Yield pairs of raw and inflated bytes, reading the archive once.

        Joined, the left parts are the raw stream and the right parts the content. A member of at most 4 MiB comes as
        one pair. Of others, either part of a pair may be empty (a raw chunk that inflates to more than `CHUNK_SIZE` is
        followed by pairs that bring only content), so memory stays bounded whatever the ratio.

        Raises:
            ArchiveError: The stream is malformed, doesn't end exactly where the member ends, or its content
                has another size or CRC than the central directory says.
        """
        if 0 < self.member.size <= _WHOLE and self.member.end_offset - self.member.header_offset <= _WHOLE:
            raw = raw_whole(self.reader, self.member, archive=self.archive)
            content = inflate_whole(raw, size=self.member.size, crc=self.member.crc)
            if content is not None:
                yield raw, content
                return
        yield from inflate_pairs(
            self.deflated_chunks(),
            size=self.member.size,
            crc=self.member.crc,
            fault=lambda fault: _damaged(self, fault),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipArchive:
    """An open zip whose central directory has been checked.

    Attributes:
        name: For messages, such as the file's name.
        reader: Where the bytes are. It stays the caller's to close.
        members: In the central directory's order, names unique.
    """

    name: str
    reader: RandomAccess
    members: tuple[ZipMember, ...]

    def content(self, member: ZipMember) -> DeflatedMember | StoredMember:
        """Give the content of a member; nothing is read yet."""
        if member.method == STORED:
            return StoredMember(self.reader, self.name, member)
        return DeflatedMember(self.reader, self.name, member)

    def read_member(self, member: ZipMember, limit: int) -> bytes:
        """Read a small member whole.

        Args:
            member: One of `members`.
            limit: Most bytes that are accepted.

        Raises:
            ArchiveError: It is larger, or damaged.
        """
        if member.size > limit:
            raise ArchiveError(
                f"{self.name}: member {show_name(member.name)} has {member.size} bytes (expected at most {limit})"
            )
        return b"".join(self.content(member).chunks())


def open_zip(reader: RandomAccess, *, name: str, limits: ArchiveLimits = DEFAULT_LIMITS) -> ZipArchive:
    """Read and check a zip's central directory; local headers are checked when members are read.

    Archive and member comments are refused (no real wheel has them), so the end record can be in one place only.
    A repeated member with the same bytes is dropped; telling so is the only case where members are read here.

    Args:
        reader: The archive, on disk or on a server.
        name: Its name, for messages.
        limits: Caps on members, sizes and ratio.

    Raises:
        ArchiveError: It isn't a zip, or one that is hostile, or that two tools could read differently.
    """
    members = read_directory(reader, name=name, limits=limits)
    repeated = check_unique(
        [member.name for member in members],
        archive=name,
        same=lambda one, other: _interchangeable(reader, name, members[one], members[other]),
    )
    check_parents(((member.name, member.is_directory) for member in members), archive=name)
    if repeated:
        members = tuple(member for position, member in enumerate(members) if position not in repeated)
    return ZipArchive(name=name, reader=reader, members=members)


def _interchangeable(reader: RandomAccess, archive: str, one: ZipMember, other: ZipMember) -> bool:
    """Tell whether two members are the same file: a CRC can be forged, so the stored bytes are compared."""
    if one.is_directory and other.is_directory:
        return True
    if (one.is_directory, one.mode, one.method, one.crc, one.compressed_size, one.size) != (
        (other.is_directory, other.mode, other.method, other.crc, other.compressed_size, other.size)
    ):
        return False
    # Equal sizes don't make equal chunks: local headers may differ in length. So chunks are compared as one stream.
    pairs = _rechunked(raw_chunks(reader, one, archive=archive)), _rechunked(raw_chunks(reader, other, archive=archive))
    return all(left == right for left, right in zip(*pairs, strict=True))


def _rechunked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        while len(rest) >= CHUNK_SIZE:
            yield rest[:CHUNK_SIZE]
            rest = rest[CHUNK_SIZE:]
    yield rest


def _damaged(content: StoredMember | DeflatedMember, fault: str) -> ArchiveError:
    return ArchiveError(f"{content.archive}: member {show_name(content.member.name)} {fault}", hint=_HINT)
