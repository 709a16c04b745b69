"""Decompressing a stream within bounds: xz, gzip, bzip2, zstd or nothing, told by the file name's suffix.

Concatenated streams are read as one, as xz, gzip and zstd themselves do; anything after them that isn't another stream
is refused, and so is a stream that doesn't end. Memory is bounded by the dictionary caps below and one piece of output.
"""

import bz2
import io
import lzma
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol

import zstandard
from isal import igzip_lib

from envcap.archives.inflate import INFLATE_ERRORS
from envcap.archives.zstd_blocks import ZstdPieces
from envcap.errors import ArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_DICTIONARY = 128 << 20
"""Most bytes that an xz decoder or a zstd window may take; `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB."""

_PIECE = 64 << 10
_INPUT = 64 << 10


class _Engine(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Source(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class _Zstandard:
    """A zstd frame decoder in the shape of the standard library's decompressors."""

    needs_input = True

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=MAX_DICTIONARY).decompressobj()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, data: bytes, _max_length: int, /) -> bytes:
        return self._frame.decompress(data)


_ENGINES: dict[str, tuple[Callable[[], _Engine], int]] = {
    ".xz": (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY), _INPUT),
    ".gz": (lambda: igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP), _INPUT),
    ".bz2": (bz2.BZ2Decompressor, _INPUT),
    ".zst": (_Zstandard, _INPUT),
}
_ERRORS = (lzma.LZMAError, zstandard.ZstdError, EOFError, OSError, ValueError, INFLATE_ERRORS)


def decompress(file: io.RawIOBase | io.BufferedIOBase | BinaryIO, suffix: str, *, name: str) -> io.BufferedReader:
    """Open a stream that yields what a compressed one holds.

    Args:
        file: The compressed stream, from its position to its end. It stays the caller's to close.
        suffix: `.xz`, `.gz`, `.bz2`, `.zst`, or an empty string or `.tar` for what isn't compressed.
        name: The archive's name, for messages.

    Returns:
        A buffered stream. Reading it raises `ArchiveError` where the data is damaged, truncated, followed by
        garbage, or asks for more memory than `MAX_DICTIONARY`.

    Raises:
        ArchiveError: The suffix is none of these.
    """
    if suffix in {"", ".tar"}:
        return io.BufferedReader(_Plain(file), _PIECE)
    if suffix not in _ENGINES:
        raise ArchiveError(f"{name}: unknown compression {suffix!r} (expected one of {', '.join(sorted(_ENGINES))})")
    engine, step = _ENGINES[suffix]
    source: _Source = ZstdPieces(file) if suffix == ".zst" else file
    return io.BufferedReader(_Decompressing(source, engine, step, name), _PIECE)


class _Plain(io.RawIOBase):
    """Hands a stream through; closing it leaves the stream open."""

    def __init__(self, file: io.RawIOBase | io.BufferedIOBase | BinaryIO) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(len(view)) or b""
        view[: len(data)] = data
        return len(data)


class _Decompressing(io.RawIOBase):
    def __init__(
        self,
        file: _Source,
        make_engine: Callable[[], _Engine],
        step: int,
        name: str,
    ) -> None:
        super().__init__()
        self._file = file
        self._make_engine = make_engine
        self._engine = make_engine()
        self._step = step
        self._name = name
        self._ready = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ready and not self._ended:
            try:
                self._ready = memoryview(self._next_piece())
            except _ERRORS as error:
                raise ArchiveError(
                    f"{self._name}: damaged or hostile compressed data: {error}",
                    hint="fetch the file again; if that doesn't help, don't use it",
                ) from error
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next_piece(self) -> bytes:
        if self._engine.eof:
            following = self._engine.unused_data or self._file.read(self._step)
            if not following:
                self._ended = True
                return b""
            self._engine = self._make_engine()
            return self._engine.decompress(following, _PIECE)
        if not self._engine.needs_input:
            piece = self._engine.decompress(b"", _PIECE)
            if piece or self._engine.eof:
                return piece
        data = self._file.read(self._step)
        if not data:
            raise ArchiveError(f"{self._name}: truncated: the compressed data doesn't end", hint="fetch the file again")
        return self._engine.decompress(data, _PIECE)
