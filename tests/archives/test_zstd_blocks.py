"""Pieces of a zstd stream: nothing is left out, and no piece holds much."""

import io

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.zstd_blocks import BLOCKS, ZstdPieces

BLOCK = 128 << 10
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (100_000).to_bytes(4, "little") + bytes(100_000)


def pieces(data: bytes) -> list[bytes]:
    reader = ZstdPieces(io.BytesIO(data))
    return list(iter(lambda: reader.read(0), b""))


def outputs(data: bytes) -> list[int]:
    """Decompress a single frame piece by piece, and tell how much came out of each."""
    engine = zstandard.ZstdDecompressor().decompressobj()
    return [len(engine.decompress(piece)) for piece in pieces(data)]


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.binary(max_size=300).map(lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data * 50)),
            st.just(SKIPPABLE),
            st.sampled_from([b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x00\x58\x07\x00\x00"]),
        ),
        max_size=4,
    ).map(b"".join)
)
def test_pieces_joined_are_the_file(data: bytes) -> None:
    assert b"".join(pieces(data)) == data


@pytest.mark.parametrize("content", [bytes(40 << 20), bytes(range(256)) * 40_000, b""], ids=["zeros", "bytes", "empty"])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("size", [False, True])
def test_a_piece_holds_a_few_blocks(content: bytes, *, checksum: bool, size: bool) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)
    found = outputs(compressor.compress(content))

    assert sum(found) == len(content)
    assert max(found) <= BLOCKS * BLOCK


def test_repeated_bytes_in_many_tiny_blocks_come_a_few_at_a_time() -> None:
    """A block of 4 bytes that stands for 128 KiB: a kilobyte of them holds 32 MiB."""
    block = (BLOCK << 3 | 1 << 1).to_bytes(3, "little") + b"x"
    last = (1 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"x"
    frame = b"\x28\xb5\x2f\xfd" + b"\x00\x58" + block * 256 + last

    found = outputs(frame)

    assert sum(found) == 256 * BLOCK + 1
    assert max(found) <= BLOCKS * BLOCK


def test_what_is_no_zstd_comes_in_small_pieces() -> None:
    assert max(map(len, pieces(b"PK" * 10_000))) <= 1 << 10
