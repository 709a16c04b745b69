"""Decompressing pieces of GPU code."""

import time

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from envcap.gpu.payload import LARGEST, decode
from tests.gpu.assemble import LZ4, ZSTD, lz4

texts = st.lists(st.binary(max_size=40) | st.integers(0, 700).map(bytes), max_size=8).map(b"".join)


@given(texts, st.integers(0, 7))
def test_what_was_compressed_is_decoded_whatever_pads_it(data: bytes, padding: int) -> None:
    tail = bytes(padding)

    assert decode(memoryview(lz4(data) + tail), LZ4, len(data)) == data
    assert decode(memoryview(zstandard.compress(data) + tail), ZSTD, len(data)) == data
    assert decode(memoryview(data), 0, 0) == data


def test_match_that_reaches_into_what_it_writes_repeats_itself() -> None:
    """LZ4 Block Format: `abc` and a match of 9 bytes, 3 bytes back; a last literal."""
    assert decode(memoryview(b"\x35abc\x03\x00\x10z"), LZ4, 13) == b"abcabcabcabcz"


@pytest.mark.parametrize("flags", [LZ4, ZSTD])
@pytest.mark.parametrize("size", [0, LARGEST + 1, 10])
def test_damaged_or_large_code_gives_nothing(flags: int, size: int) -> None:
    assert decode(memoryview(b"\xff\xff\xff"), flags, size) == b""


@given(st.binary(max_size=300), st.sampled_from([LZ4, ZSTD]), st.integers(0, LARGEST))
def test_any_bytes_end_in_time(data: bytes, flags: int, size: int) -> None:
    start = time.process_time()

    assert len(decode(memoryview(data), flags, size)) <= size
    assert time.process_time() - start < 2
