"""The processor level of machine code, from files made by hand and from a real compiler."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from envcap.scan.isa import read_isa_level

NATIVE = b"GNU C17 12.2.0 -march=znver3 -mmmx -msse4.2 -mavx -mavx2 -mno-fma4 %b -mtune=znver3 -g -O2 -fPIC"


def elf(sections: dict[str, bytes], *, machine: int = 62) -> bytes:
    """An ELF file of nothing but sections."""
    rows = [("", b""), *sections.items(), (".shstrtab", b"")]
    names = b"\0".join(name.encode() for name, _ in rows) + b"\0"
    rows[-1] = (".shstrtab", names)
    body, table = b"", b""
    for name, data in rows:
        place = names.index(name.encode() + b"\0") if name else 0
        kind = 0 if not name else 3 if name == ".shstrtab" else 7 if name.startswith(".note") else 1
        offset = 64 + len(body)
        table += struct.pack("<IIQQQQIIQQ", place, kind, 0, 0, offset if name else 0, len(data), 0, 0, 8, 0)
        body += data + bytes(-len(data) % 8)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows), len(rows) - 1
    )
    return head + body + table


def isa_needed(bits: int) -> bytes:
    """A note that says which levels are needed (x86-64 psABI)."""
    return struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0008002, 4, bits, 0)


def level(tmp_path: Path, data: bytes) -> int:
    (tmp_path / "x.so").write_bytes(data)
    return read_isa_level(tmp_path / "x.so")


@pytest.mark.parametrize(("bits", "expected"), [(1, 1), (3, 2), (7, 3), (15, 4), (255, 4)])
def test_the_note_says_what_is_needed(tmp_path: Path, bits: int, expected: int) -> None:
    assert level(tmp_path, elf({".note.gnu.property": isa_needed(bits)})) == expected


@pytest.mark.parametrize("section", [".GCC.command.line", ".debug_str", ".debug_line_str"])
@pytest.mark.parametrize(("extension", "expected"), [(b"-mno-avx512f", 3), (b"-mavx512f", 4)])
def test_the_compiler_s_options_say_what_native_was(
    tmp_path: Path, section: str, extension: bytes, expected: int
) -> None:
    assert level(tmp_path, elf({section: b"other\0" + NATIVE % extension + b"\0last\0"})) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"GNU C17 12.2.0 -mtune=generic -march=x86-64 -g -O2", 1),
        (b"GNU C17 12.2.0 -mavx2 -g -O2", 1),
        (b"GNU C++17 12.2.0 -march=x86-64-v3 -O2", 3),
        (b"GNU Fortran2008 12.2.0 -march=haswell -O2", 3),
        (b"GNU C17 12.2.0 -march=unheard-of -msse4.2 -O2", 2),
        (b"a text that says -march=haswell", 1),
        (b"", 1),
    ],
)
def test_only_code_for_one_processor_counts(tmp_path: Path, options: bytes, expected: int) -> None:
    assert level(tmp_path, elf({".debug_str": options + b"\0"})) == expected


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + bytes(60), b"\x7fELF\x02\x01\x01" + b"\xff" * 57]
)
def test_what_is_no_sound_elf_file_is_the_baseline(tmp_path: Path, data: bytes) -> None:
    assert level(tmp_path, data) == 1


def test_a_file_of_another_machine_is_not_looked_at(tmp_path: Path) -> None:
    data = {".note.gnu.property": isa_needed(7), ".debug_str": NATIVE % b""}
    assert (level(tmp_path, elf(data)), level(tmp_path, elf(data, machine=183))) == (3, 1)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="this machine has no gcc")
@pytest.mark.parametrize("options", ["-g", "-frecord-gcc-switches"])
@pytest.mark.parametrize(("march", "expected"), [("x86-64", 1), ("haswell", 3), ("skylake-avx512", 4)])
def test_a_real_compiler_leaves_these_traces(tmp_path: Path, options: str, march: str, expected: int) -> None:
    (tmp_path / "a.c").write_text("int f(int x) { return x + 1; }\n")
    out = tmp_path / "a.so"
    command = ["gcc", "-shared", "-fPIC", f"-march={march}", options, "-o", str(out), str(tmp_path / "a.c")]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("gcc does not compile for x86-64 here")
    assert read_isa_level(out) == expected
