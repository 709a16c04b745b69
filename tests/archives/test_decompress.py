"""Compressed streams: read in bounded memory, refused when damaged, truncated or followed by garbage."""

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.decompress import decompress
from envcap.errors import ArchiveError

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.compress,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
DATA = bytes(range(256)) * 2000
suffixes = pytest.mark.parametrize("suffix", COMPRESSORS)


def read(data: bytes, suffix: str) -> bytes:
    with decompress(io.BytesIO(data), suffix, name="x") as stream:
        return stream.read()


@settings(deadline=None)
@given(st.binary(max_size=3000), st.sampled_from([1, 7, 1000]), st.sampled_from(list(COMPRESSORS)))
def test_what_was_compressed_comes_back(seed: bytes, times: int, suffix: str) -> None:
    assert read(COMPRESSORS[suffix](seed * times), suffix) == seed * times


@suffixes
def test_concatenated_streams_are_one(suffix: str) -> None:
    compress = COMPRESSORS[suffix]
    assert read(compress(b"one") + compress(DATA) + compress(b"two"), suffix) == b"one" + DATA + b"two"


@pytest.mark.parametrize("suffix", ["", ".tar"])
def test_plain_stream_is_handed_through(suffix: str) -> None:
    assert read(DATA, suffix) == DATA


@suffixes
def test_closing_leaves_the_compressed_file_open(suffix: str) -> None:
    file = io.BytesIO(COMPRESSORS[suffix](DATA))
    decompress(file, suffix, name="x").close()
    assert not file.closed


@suffixes
@pytest.mark.parametrize("cut", [1, 4, 9, 40])
def test_truncated_stream_is_refused(suffix: str, cut: int) -> None:
    with pytest.raises(ArchiveError, match="x: "):
        read(COMPRESSORS[suffix](DATA)[:-cut], suffix)


@suffixes
def test_nothing_at_all_is_truncated(suffix: str) -> None:
    with pytest.raises(ArchiveError, match="x: truncated"):
        read(b"", suffix)


@suffixes
@pytest.mark.parametrize("garbage", [b"garbage", b"\0" * 7, b"P"])
def test_trailing_garbage_is_refused(suffix: str, garbage: bytes) -> None:
    with pytest.raises(ArchiveError, match="x: "):
        read(COMPRESSORS[suffix](DATA) + garbage, suffix)


@suffixes
def test_flipped_checksum_is_refused(suffix: str) -> None:
    data = bytearray(COMPRESSORS[suffix](DATA))
    data[{".xz": -30, ".gz": -8, ".bz2": -3, ".zst": -1}[suffix]] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged or hostile"):
        read(bytes(data), suffix)


def test_unknown_suffix_is_refused() -> None:
    with pytest.raises(ArchiveError, match=r"x: unknown compression '.lz4'"):
        decompress(io.BytesIO(), ".lz4", name="x")


def test_zstd_window_of_2_gib_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"
    with pytest.raises(ArchiveError, match="damaged or hostile"):
        read(frame, ".zst")


def test_xz_dictionary_above_the_cap_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    with pytest.raises(ArchiveError, match=r"[Mm]emory"):
        read(lzma.compress(b"x", filters=filters), ".xz")


@suffixes
def test_bomb_is_read_in_bounded_memory(suffix: str) -> None:
    bomb = COMPRESSORS[suffix](bytes(100 << 20))
    tracemalloc.start()
    try:
        with decompress(io.BytesIO(bomb), suffix, name="x") as stream:
            total = 0
            while chunk := stream.read(1 << 16):
                total += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 100 << 20
    assert peak < 80 << 20
