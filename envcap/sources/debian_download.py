"""Fetching one index of a suite: whole, checked against the Release file, and only then unpacked."""

import hashlib
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, Protocol

from envcap.digest import CHUNK_SIZE
from envcap.errors import MissingArtifactError, SourceError
from envcap.secrets.urls import scrub_url
from envcap.sources.debian_release import IndexFile, Release
from envcap.sources.debian_transport import Transport

_UNPACKED_LIMIT: Final = 2 << 30
_IN_MEMORY: Final = 1 << 20


class _Decompressor(Protocol):
    """What lzma and zlib have in common, once their differences are wrapped."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what a chunk unpacks to."""

    def is_whole(self) -> bool:
        """Tell whether the stream came to its end."""


@contextmanager
def open_index(transport: Transport, release: Release, index: IndexFile) -> Iterator[Iterator[bytes]]:
    """Fetch an index and give its unpacked bytes, in chunks.

    Raises:
        MissingArtifactError: The mirror doesn't have it.
        SourceError: Its bytes are not those that the Release file names, or can't be unpacked.
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        url = _download(transport, release, index, file)
        file.seek(0)
        yield _unpack(file, index, scrub_url(url))


def _download(transport: Transport, release: Release, index: IndexFile, file: IO[bytes]) -> str:
    base = f"{release.uri}/dists/{release.suite}"
    folder = index.path.rpartition("/")[0]
    urls = [f"{base}/{folder}/by-hash/SHA256/{index.sha256}"] if release.by_hash else []
    # Not every mirror that says so has the by-hash folders: proxies and partial copies often don't.
    urls.append(f"{base}/{index.path}")
    for url in urls:
        try:
            _copy_checked(transport, url, index, file)
        except MissingArtifactError:
            continue
        return url
    raise MissingArtifactError(
        f"{scrub_url(urls[-1])} is not there, though the Release file lists it",
        hint="the mirror is incomplete; try again later or set ENVCAP_DEBIAN_MIRROR to another one",
    )


def _copy_checked(transport: Transport, url: str, index: IndexFile, file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()
    sha256 = hashlib.sha256()
    for chunk in transport.stream(url, limit=index.size + CHUNK_SIZE):
        sha256.update(chunk)
        file.write(chunk)
    if file.tell() != index.size or sha256.hexdigest() != index.sha256:
        raise SourceError(
            f"Unexpected content of {scrub_url(url)} (expected {index.size} bytes with sha256 {index.sha256}, as the"
            f" Release file says; found {file.tell()} bytes with {sha256.hexdigest()})",
            hint="the mirror is being updated or damaged; try again later or set ENVCAP_DEBIAN_MIRROR to another one",
        )


def _unpack(file: IO[bytes], index: IndexFile, where: str) -> Iterator[bytes]:
    decompressor = _choose(index.path)
    total = 0
    try:
        while chunk := file.read(CHUNK_SIZE):
            for data in decompressor.feed(chunk):
                total += len(data)
                if total > _UNPACKED_LIMIT:
                    raise SourceError(f"{where} unpacks to more than {_UNPACKED_LIMIT} bytes")
                yield data
    except (lzma.LZMAError, zlib.error, EOFError) as error:
        raise SourceError(f"{where} can't be unpacked: {error}") from error
    if not decompressor.is_whole():
        raise SourceError(f"{where} can't be unpacked: it ends too early")


def _choose(path: str) -> _Decompressor:
    if path.endswith(".xz"):
        return _Xz()
    return _Gzip() if path.endswith(".gz") else _Plain()


class _Xz:
    def __init__(self) -> None:
        self._decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._decompressor.decompress(data, CHUNK_SIZE)
        while not self._decompressor.eof and not self._decompressor.needs_input:
            yield self._decompressor.decompress(b"", CHUNK_SIZE)

    def is_whole(self) -> bool:
        return self._decompressor.eof


class _Gzip:
    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._decompressor.decompress(data, CHUNK_SIZE)
            data = self._decompressor.unconsumed_tail
            if self._decompressor.eof and (data := self._decompressor.unused_data):
                self._decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)  # pigz and dak write several members

    def is_whole(self) -> bool:
        return self._decompressor.eof


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def is_whole(self) -> bool:
        return True
