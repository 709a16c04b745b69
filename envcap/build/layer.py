"""Entries to one layer: the tar stream, its diff ID, and the gzip blob that carries it.

The stream is written once and everything that is known of it is computed on the way: the diff ID over the tar, the
digest over the blob, and the hash of each file where the caller needs it for RECORD. Memory stays within a few MiB.
Source: OCI image-spec, layer.md ("Layer Changesets", gzip media type) and config.md ("Layer DiffID").
"""

import enum
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from envcap.build.gzip import HEADER, libdeflate_member, member_trailer, stored_member
from envcap.build.tar import tar_header
from envcap.digest import CHUNK_SIZE, Digest
from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError
from envcap.recipe import LIBDEFLATE_BLOCK, SPLICE_MINIMUM
from envcap.ustar import padding, trailer

Write = Callable[[bytes | bytearray], object]

_BATCH = 256 << 10
"""Bytes gathered before they are hashed or written: few switches between threads, and still in a core's cache."""


class Compression(enum.Enum):
    """How a layer's blob is written."""

    SPLICE = "splice"
    LIBDEFLATE = "libdeflate"


class SplicedContent(Protocol):
    """Content whose raw DEFLATE stream and inflated bytes come in one pass."""

    @property
    def size(self) -> int:
        """Length of the inflated bytes."""

    @property
    def crc(self) -> int:
        """CRC-32 of the inflated bytes, checked by the end of the pass."""

    def spliced_chunks(self) -> Iterable[tuple[bytes, bytes | bytearray]]:
        """Yield pairs of raw and inflated bytes, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHash:
    """A regular file of a layer and the hash of its bytes.

    Attributes:
        owner: Who brings it, such as a package's name.
        path: Relative to the image's root.
        sha256: 64 hex digits.
        size: Bytes.
    """

    owner: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLayer:
    """What writing a layer told.

    Attributes:
        diff_id: Digest of the tar.
        digest: Digest of the blob, or None if no blob was written.
        size: Bytes of the blob, 0 without one.
        tar_size: Bytes of the tar.
        files: Its regular files, in order, if their hashes were asked for.
    """

    diff_id: Digest
    digest: Digest | None
    size: int
    tar_size: int
    files: tuple[FileHash, ...] = ()


def write_layer(
    entries: Sequence[Entry],
    *,
    epoch: int,
    compression: Compression,
    write: Write | None,
    hash_files: bool = False,
) -> WrittenLayer:
    """Write arranged entries as one layer.

    Args:
        entries: The result of `arrange`.
        epoch: Modification time of every entry.
        compression: The kind of blob.
        write: Receives the blob's bytes in order; None if only the diff ID is wanted.
        hash_files: Whether to list each regular file with its hash; a hash that an entry brings is not computed again.

    Raises:
        BuildError: A file has another length than it said.
        ArchiveError: An archive's member is damaged.
    """
    blob = _Discard() if write is None else _BLOBS[compression](write)
    tar = hashlib.sha256()
    files: list[FileHash] = []
    stream = _TarStream(_Batched(tar.update), blob)
    for entry in entries:
        stream.add(tar_header(entry, epoch=epoch))
        if entry.kind is EntryKind.FILE:
            sha256 = hashlib.sha256() if hash_files and not entry.sha256 else None
            stream.add_content(entry, sha256.update if sha256 else None)
            if hash_files:
                found = sha256.hexdigest() if sha256 else entry.sha256
                files.append(FileHash(owner=entry.owner, path=entry.path, sha256=found, size=entry.content.size))
    stream.add(trailer(stream.size))
    stream.finish()
    digest, size = blob.finish()
    return WrittenLayer(
        diff_id=Digest(tar.hexdigest()), digest=digest, size=size, tar_size=stream.size, files=tuple(files)
    )


class _Batched:
    """Gathers parts, so that a hash sees few large ones: hashlib lets the other threads run at each call."""

    __slots__ = ("_parts", "_receive", "_size")

    def __init__(self, receive: Callable[[bytes | bytearray], object]) -> None:
        self._receive = receive
        self._parts: list[bytes | bytearray] = []
        self._size = 0

    def add(self, data: bytes | bytearray) -> None:
        """Take a part; it must not change any more."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Pass on what was gathered."""
        if self._parts:
            self._receive(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
            self._parts.clear()
            self._size = 0


class _TarStream:
    """The tar as it is produced: gathers small pieces, so that hashing and compressing see large ones."""

    def __init__(self, tar: _Batched, blob: "_Blob") -> None:
        self.size = 0
        self._parts: list[bytes | memoryview] = []
        self._pending = 0
        self._tar = tar
        self._blob = blob

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._parts.append(data)
        self._pending += len(data)
        # Whole pieces only: where a member of the blob ends must not depend on how a reader cut its content.
        while self._pending >= self._blob.piece:
            last = memoryview(self._parts.pop())
            spare = self._pending - self._blob.piece
            self._parts.append(last[: len(last) - spare])
            self.flush()
            if spare:
                self._parts.append(last[len(last) - spare :])
                self._pending = spare

    def add_content(self, entry: Entry, hash_file: Callable[[bytes | bytearray], object] | None) -> None:
        content = entry.content
        before = self.size
        spliced = getattr(content, "spliced_chunks", None)
        if spliced is not None and self._blob.splices and content.size >= SPLICE_MINIMUM:
            self._splice(content, hash_file)  # type: ignore[arg-type]  # it has `spliced_chunks`
        else:
            for chunk in content.chunks():
                if hash_file:
                    hash_file(chunk)
                self.add(chunk)
        if self.size - before != content.size:
            raise BuildError(
                f"{entry.owner}: {entry.path!r} has {self.size - before} bytes (expected {content.size})",
                hint="a file changed while it was read: try again",
            )
        self.add(padding(content.size))

    def flush(self) -> None:
        if self._pending:
            data = b"".join(self._parts)
            self._parts.clear()
            self._pending = 0
            self._tar.add(data)
            self._blob.add(data)

    def finish(self) -> None:
        self.flush()
        self._tar.flush()

    def _splice(self, content: SplicedContent, hash_file: Callable[[bytes | bytearray], object] | None) -> None:
        self.flush()
        add_tar, add_raw = self._tar.add, self._blob.add_raw
        add_raw(HEADER)
        for raw, inflated in content.spliced_chunks():
            add_raw(raw)
            if inflated:
                add_tar(inflated)
                if hash_file:
                    hash_file(inflated)
                self.size += len(inflated)
        add_raw(member_trailer(content.crc, content.size))


class _Blob(Protocol):
    splices: bool
    piece: int
    """Bytes of tar that `add` is given, but for the last one and those before what is spliced."""

    def add(self, data: bytes) -> None: ...

    def add_raw(self, data: bytes) -> None: ...

    def finish(self) -> tuple[Digest | None, int]: ...


class _Discard:
    """No blob: only the diff ID is wanted."""

    splices = False
    piece = CHUNK_SIZE

    def add(self, data: bytes | bytearray) -> None:
        pass

    add_raw = add

    def finish(self) -> tuple[Digest | None, int]:
        return None, 0


class _Hashed:
    """Gathers a blob's bytes, so that its hash and its file see large pieces."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._sha256 = hashlib.sha256()
        self._size = 0
        batched = _Batched(self._receive)
        self.add_raw, self._flush = batched.add, batched.flush

    def _receive(self, data: bytes | bytearray) -> None:
        self._size += len(data)
        self._sha256.update(data)
        self._write(data)

    def finish(self) -> tuple[Digest | None, int]:
        self._flush()
        return Digest(self._sha256.hexdigest()), self._size


class _SpliceBlob(_Hashed):
    """Stored members around spliced ones: no compressor runs."""

    splices = True
    piece = CHUNK_SIZE

    def add(self, data: bytes) -> None:
        self.add_raw(stored_member(data))


class _LibdeflateBlob(_Hashed):
    """Members of 4 MiB of tar, two at a time (libdeflate releases the GIL), written in order."""

    splices = False
    piece = LIBDEFLATE_BLOCK

    def __init__(self, write: Write) -> None:
        super().__init__(write)
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._running: deque[Future[bytes]] = deque()

    def add(self, data: bytes) -> None:
        self._running.append(self._pool.submit(libdeflate_member, data))
        if len(self._running) > 2:  # noqa: PLR2004  # one running a core, one ready
            self.add_raw(self._running.popleft().result())

    def finish(self) -> tuple[Digest | None, int]:
        while self._running:
            self.add_raw(self._running.popleft().result())
        self._pool.shutdown()
        return super().finish()


_BLOBS: dict[Compression, Callable[[Write], _Blob]] = {
    Compression.SPLICE: _SpliceBlob,
    Compression.LIBDEFLATE: _LibdeflateBlob,
}
