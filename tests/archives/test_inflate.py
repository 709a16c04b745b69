"""Inflating in one call gives what inflating in chunks gives, and vouches for nothing that is not certain."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.archives.inflate import inflate_pairs, inflate_whole
from envcap.errors import ArchiveError

CONTENT = b"the quick brown fox " * 40


def deflated(data: bytes, level: int = 6) -> bytes:
    """One raw DEFLATE stream."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def whole(raw: bytes, content: bytes = CONTENT) -> bytes | None:
    """Inflate a stream that is said to hold some content."""
    found = inflate_whole(raw, size=len(content), crc=zlib.crc32(content))
    return None if found is None else bytes(found)


def in_chunks(raw: bytes, content: bytes = CONTENT) -> bytes:
    """Inflate it the long way."""
    pairs = inflate_pairs([raw], size=len(content), crc=zlib.crc32(content), fault=ArchiveError)
    return b"".join(inflated for _, inflated in pairs)


@given(data=st.binary(min_size=1, max_size=2000), level=st.integers(0, 9))
def test_both_ways_give_the_content(data: bytes, level: int) -> None:
    raw = deflated(data, level)
    assert whole(raw, data) == in_chunks(raw, data) == data


@pytest.mark.parametrize(
    "raw",
    [
        deflated(CONTENT) + b"x",
        deflated(CONTENT) + bytes(8),
        deflated(CONTENT)[:-1],
        deflated(CONTENT[:-1]),
        deflated(CONTENT + b"x"),
        deflated(CONTENT.replace(b"fox", b"cat")),
        b"",
        b"\xff" * 40,
    ],
    ids=["a byte more", "zeros after it", "cut", "a byte less inside", "a byte more inside", "other", "none", "noise"],
)
def test_what_is_amiss_is_left_to_the_long_way_which_refuses_it(raw: bytes) -> None:
    assert whole(raw) is None
    with pytest.raises(ArchiveError):
        in_chunks(raw)


@pytest.mark.parametrize("hidden", [b"", b"x", b"hidden" * 30])
def test_data_behind_a_forged_end_is_seen(hidden: bytes) -> None:
    # libdeflate alone would take this for a member that ends where the forger says, and ignore what follows.
    forged = deflated(CONTENT) + struct.pack("<LL", zlib.crc32(CONTENT), len(CONTENT)) + hidden
    assert whole(forged) is None
    with pytest.raises(ArchiveError):
        in_chunks(forged)


def test_a_stream_that_holds_its_own_end_is_left_to_the_long_way() -> None:
    end = struct.pack("<LL", 0x12345678, 312)
    content = end + bytes(300)
    content += bytes_that_make_crc(content, 0x12345678)
    assert (zlib.crc32(content), len(content)) == (0x12345678, 312)
    raw = deflated(content, 0)
    assert end in raw
    assert whole(raw, content) is None
    assert in_chunks(raw, content) == content


def bytes_that_make_crc(data: bytes, crc: int) -> bytes:
    """Find the four bytes after `data` that give it a chosen CRC-32."""
    table = [zlib.crc32(bytes([number ^ 0xFF])) ^ 0xFF000000 for number in range(256)]
    wanted, steps = crc ^ 0xFFFFFFFF, []
    for _ in range(4):
        step = next(number for number in range(256) if table[number] >> 24 == wanted >> 24)
        steps.append(step)
        wanted = ((wanted ^ table[step]) << 8) & 0xFFFFFFFF
    state, found = zlib.crc32(data) ^ 0xFFFFFFFF, bytearray()
    for step in reversed(steps):
        found.append((state ^ step) & 0xFF)
        state = (state >> 8) ^ table[step]
    return bytes(found)
