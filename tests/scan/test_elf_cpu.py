"""The CPU level in a binary's note of properties: as a linker writes it, and as nobody should."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.elf_reader import read_elf
from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, add_dist, make_env, scan
from tests.test_elf_reader import reader

ISA_NEEDED = 0xC0008002


def property_note(bits: int, *, kind: int = ISA_NEEDED, before: bytes = b"") -> bytes:
    """A note of properties, as in psABI "Program Property"."""
    properties = before + struct.pack("<III4x", kind, 4, bits)
    return struct.pack("<III4s", 4, len(properties), 5, b"GNU\0") + properties


def elf_with_note(note: bytes, *, machine: int = 62, size: int | None = None) -> bytes:
    """A 64-bit ELF file whose only program header is PT_GNU_PROPERTY."""
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    length = len(note) if size is None else size
    return head + struct.pack("<IIQQQQQQ", 0x6474E553, 4, 120, 120, 0, length, length, 8) + note


@pytest.mark.parametrize(("bits", "level"), [(1, ""), (3, "x86-64-v2"), (7, "x86-64-v3"), (15, "x86-64-v4")])
def test_the_level_of_a_note_is_read(bits: int, level: str) -> None:
    assert read_elf(reader(elf_with_note(property_note(bits)))).cpu == level


def test_the_level_stands_among_other_properties() -> None:
    # GNU_PROPERTY_X86_FEATURE_1_AND comes first: properties are sorted by type.
    note = property_note(7, before=struct.pack("<III4x", 0xC0000002, 4, 3))
    assert read_elf(reader(elf_with_note(note))).cpu == "x86-64-v3"


def test_a_level_is_one_of_x86_64_only() -> None:
    assert read_elf(reader(elf_with_note(property_note(7), machine=183))).cpu == ""


def test_what_the_file_uses_is_not_what_it_needs() -> None:
    assert read_elf(reader(elf_with_note(property_note(15, kind=0xC0010002)))).cpu == ""


@given(st.binary(max_size=80), st.integers(0, 2**64 - 1))
def test_a_hostile_note_says_nothing_and_stops_nothing(note: bytes, size: int) -> None:
    assert read_elf(reader(elf_with_note(note, size=size))).machine == "62-64-little"


@given(st.binary(max_size=60), st.integers(0, 100))
def test_hostile_properties_end(properties: bytes, size: int) -> None:
    note = struct.pack("<III4s", 4, size, 5, b"GNU\0") + properties
    assert read_elf(reader(elf_with_note(note))).needed == ()


def build_library(folder: Path, level: str) -> bytes:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler")
    (folder / "a.c").write_text("int a(int x) { return x + 1; }\n")
    command = [compiler, "-shared", "-fPIC", "-o", "a.so", "a.c", f"-Wl,-z,{level}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no compiler for x86-64")
    return (folder / "a.so").read_bytes()


def test_a_linker_writes_what_is_read_here(tmp_path: Path) -> None:
    data = build_library(tmp_path, "x86-64-v3")
    read = read_elf(reader(data))
    if not read.machine.startswith("62-"):
        pytest.skip("another machine")
    assert read.cpu == "x86-64-v3"


def test_the_highest_level_of_all_files_is_the_environments_and_its_file_is_named(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    files = {f"fast/{name}.so": elf_with_note(property_note(bits)) for name, bits in (("a", 3), ("b", 7), ("c", 7))}
    add_dist(prefix, "fast", files)
    environment = scan(prefix)
    assert environment.elf.cpu == "x86-64-v3"
    found = [row for row in environment.findings if row.code == "cpu-level"]
    assert [(row.path, row.level) for row in found] == [(f"{SITE}/fast/b.so", FindingLevel.WARNING)]
    assert found[0].message == "b.so and 1 more need a CPU of level x86-64-v3 and can't run on another"


def test_the_level_of_every_server_is_only_a_note(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "fast", {"fast/a.so": elf_with_note(property_note(3))})
    found = [row for row in scan(prefix).findings if row.code == "cpu-level"]
    assert [(row.level, row.message) for row in found] == [
        (FindingLevel.NOTE, "a.so needs a CPU of level x86-64-v2 and can't run on another")
    ]
