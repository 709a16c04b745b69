"""Finding sections with GPU code, in honest and hostile files."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import ScanError
from envcap.gpu.sections import is_wide_elf, read_sections
from tests.gpu.assemble import library

DATA = library({".text": b"code", ".nv_fatbin": b"fatbin", ".nv_fatbin.more": b"x", "__nv_relfatbin": b"rel"})


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: data[offset : offset + size]


def test_sections_are_found_by_how_their_names_start() -> None:
    found = read_sections(reader(DATA), (".nv_fatbin",))

    assert found is not None
    assert [(row.name, DATA[row.offset : row.offset + row.size]) for row in found] == [
        (".nv_fatbin", b"fatbin"),
        (".nv_fatbin.more", b"x"),
    ]


def test_stripped_table_is_none() -> None:
    assert read_sections(reader(library({".nv_fatbin": b"x"}, stripped=True)), (".nv_fatbin",)) is None


def test_only_wide_little_endian_files_hold_gpu_code() -> None:
    assert is_wide_elf(reader(DATA))
    assert not is_wide_elf(reader(b"\x7fELF\x01\x01" + DATA[6:]))
    assert not is_wide_elf(reader(b"#!/bin/sh\n"))


def changed(offset: int, form: str, value: int) -> bytes:
    data = bytearray(DATA)
    struct.pack_into(form, data, offset, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA[:40], "an ELF header cut off"),
        (changed(40, "<Q", 10**12), "section headers of 64 bytes at 1000000000000"),
        (changed(58, "<H", 32), "section headers of 32 bytes at"),
        (changed(60, "<H", 60000), "60000 sections, named by number 5"),
        (changed(62, "<H", 99), "6 sections, named by number 99"),
        (DATA[:-8], "a section table cut off"),
    ],
)
def test_damaged_tables_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ScanError) as caught:
        read_sections(reader(data), (".nv_fatbin",))
    assert caught.value.message.startswith(f"Damaged GPU code ({message}")


@given(st.lists(st.integers(0, 64 * 8 - 1) | st.integers(0, len(DATA) * 8 - 1), max_size=6))
def test_flipped_bits_are_read_or_refused(flips: list[int]) -> None:
    data = bytearray(DATA)
    for bit in flips:
        data[bit // 8] ^= 1 << bit % 8
    try:
        found = read_sections(reader(bytes(data)), (".nv_fatbin", "__nv"))
    except ScanError:
        found = ()
    assert found is None or len(found) <= 6
