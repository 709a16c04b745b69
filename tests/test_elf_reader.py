"""Reading ELF files, honest and hostile."""

import shutil
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.elf_reader import ElfFile, ReadAt, read_elf
from envcap.errors import ScanError
from tests.scan.env_builder import ElfSpec, make_elf


def reader(data: bytes) -> ReadAt:
    return lambda offset, size: data[offset : offset + size]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("little", [True, False])
def test_needs_name_and_versions_are_read_in_each_class_and_byte_order(wide: bool, little: bool) -> None:  # noqa: FBT001 - parametrized
    spec = ElfSpec(
        needed=["libb.so.1", "libc.so.6"],
        soname="liba.so.1",
        versions={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.4"], "libm.so.6": ["GLIBC_2.29"]},
        wide=wide,
        little=little,
    )

    elf = read_elf(reader(make_elf(spec)))

    assert elf == ElfFile(
        machine=f"62-{64 if wide else 32}-{'little' if little else 'big'}",
        needed=("libb.so.1", "libc.so.6"),
        soname="liba.so.1",
        versions=(("libc.so.6", "GLIBC_2.17"), ("libc.so.6", "GLIBC_2.4"), ("libm.so.6", "GLIBC_2.29")),
    )


def test_real_program_reads_as_pyelftools_reads_it() -> None:
    program = shutil.which("ls")
    if program is None:
        pytest.skip("no program to read")
    data = Path(program).read_bytes()
    if data[:4] != b"\x7fELF":
        pytest.skip("not an ELF machine")
    with Path(program).open("rb") as file:
        elf = ELFFile(file)
        segments = [segment for segment in elf.iter_segments() if isinstance(segment, DynamicSegment)]
        tags = [tag for segment in segments for tag in segment.iter_tags("DT_NEEDED")]
        needed = tuple(tag.needed for tag in tags)  # type: ignore[attr-defined]  # set at run time, by tag
        sections = [section for section in elf.iter_sections() if isinstance(section, GNUVerNeedSection)]
        versions = {
            (need.name, one.name) for section in sections for need, ones in section.iter_versions() for one in ones
        }

    read = read_elf(reader(data))

    assert read.needed == needed != ()
    assert set(read.versions) == versions


def test_file_without_a_dynamic_segment_needs_nothing() -> None:
    data = bytearray(make_elf(ElfSpec(needed=["libc.so.6"])))
    data[64 + 56 : 64 + 60] = (4).to_bytes(4, "little")  # PT_DYNAMIC becomes PT_NOTE

    assert read_elf(reader(bytes(data))) == ElfFile(machine="62-64-little")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        b"\x7fELF" + bytes(60),
        b"#!/bin/sh\n",
        make_elf(ElfSpec(needed=["x"]))[:100],
        make_elf(ElfSpec(needed=["esc\x1b[2J"])),
        make_elf(ElfSpec(needed=["x" * 5000])),
        make_elf(ElfSpec(needed=[f"lib{number}.so" for number in range(1500)])),
        make_elf(ElfSpec(versions={"libc.so.6": [f"V_{number}" for number in range(5000)]})),
    ],
)
def test_damaged_or_outrageous_file_is_refused(data: bytes) -> None:
    with pytest.raises(ScanError, match="Damaged ELF file"):
        read_elf(reader(data))


def test_huge_string_table_is_not_read() -> None:
    data = make_elf(ElfSpec(needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.17"]})) + bytes(10_000_000)
    sizes: list[int] = []

    def read_at(offset: int, size: int) -> bytes:
        sizes.append(size)
        return data[offset : offset + size]

    read_elf(read_at)

    assert sum(sizes) < 64 * 1024


HONEST = make_elf(
    ElfSpec(needed=["libb.so.1", "libc.so.6"], soname="liba.so.1", versions={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.4"]})
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(4, len(HONEST) - 1), st.integers(0, 255)), max_size=12), st.integers(4, len(HONEST))
)
def test_random_damage_is_read_or_refused_and_always_ends(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(HONEST)
    for position, value in changes:
        data[position] = value
    damaged = bytes(data[:length])

    def read_at(offset: int, size: int) -> bytes:
        assert size <= 1 << 20
        return damaged[offset : offset + size] if 0 <= offset < 1 << 62 else b""

    try:
        elf = read_elf(read_at)
    except ScanError:
        return
    assert all(name.isprintable() for name in elf.needed)
