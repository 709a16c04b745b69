"""Gzip members, byte for byte: rule 4 of recipe 1."""

import gzip
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.build.gzip import HEADER, libdeflate_member, member_trailer, stored_member

MIXED = b"".join(sha256(b"%d" % number).digest() + b"envcap " * 5 for number in range(3000))


def test_a_header_names_no_file_time_or_system() -> None:
    assert HEADER.hex() == "1f8b08000000000000ff"


def test_a_trailer_is_crc_and_length_modulo_2_32() -> None:
    assert member_trailer(0x01020304, (1 << 32) + 5).hex() == "0403020105000000"


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (b"", "1f8b08000000000000ff010000ffff0000000000000000"),
        (b"a", "1f8b08000000000000ff010100feff6143beb7e801000000"),
    ],
)
def test_a_stored_member_is_these_bytes(data: bytes, member: str) -> None:
    assert stored_member(data).hex() == member


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (65534, [(1, 65534)]),
        (65535, [(1, 65535)]),
        (65536, [(0, 65535), (1, 1)]),
        (131070, [(0, 65535), (1, 65535)]),
        (131071, [(0, 65535), (0, 65535), (1, 1)]),
    ],
)
def test_stored_blocks_hold_65535_bytes_and_the_last_is_marked(size: int, blocks: list[tuple[int, int]]) -> None:
    member = stored_member(bytes(size))
    found, position = [], len(HEADER)
    while position < len(member) - 8:
        final, length = member[position], int.from_bytes(member[position + 1 : position + 3], "little")
        assert int.from_bytes(member[position + 3 : position + 5], "little") == length ^ 0xFFFF
        found.append((final, length))
        position += 5 + length
    assert found == blocks
    assert gzip.decompress(member) == bytes(size)


@given(st.binary(max_size=200_000) | st.integers(0, 200_000).map(bytes))
def test_every_member_holds_its_data(data: bytes) -> None:
    assert gzip.decompress(stored_member(data)) == data
    assert stored_member(bytearray(data)) == stored_member(data)
    assert gzip.decompress(libdeflate_member(data)) == data
    assert gzip.decompress(stored_member(data) + libdeflate_member(data)) == data * 2


def test_libdeflate_level_6_gives_these_bytes() -> None:
    """Another release of libdeflate may not: then the pin in pyproject.toml, or the recipe, must change."""
    member = libdeflate_member(MIXED)
    assert (len(MIXED), len(member)) == (201_000, 102_422)
    assert sha256(member).hexdigest() == "df9bb82ef3d80ec0868915d2e0869578808d9af67d50c7552bcff7c32803fdfc"
    assert member[:10] == HEADER
    assert member[-8:] == member_trailer(zlib.crc32(MIXED), len(MIXED))
    assert libdeflate_member(b"").hex() == "1f8b08000000000000ff010000ffff0000000000000000"
