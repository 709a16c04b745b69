"""Finding a library as the dynamic loader does."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.driver.loader import find_library
from envcap.driver.root import SystemRoot
from tests.driver.systems import FakeSystem

ELF = "\x7fELF\x02 and so on"
SONAME = "libcuda.so.1"


def cache(*rows: tuple[int, str, str], old: bytes = b"") -> bytes:
    """Write an ld.so.cache of rows of flags, name and path."""
    strings = b""
    entries = b""
    start = 48 + 24 * len(rows)
    for flags, name, path in rows:
        entries += struct.pack("<iIIIQ", flags, start + len(strings), start + len(strings) + len(name) + 1, 0, 0)
        strings += name.encode() + b"\0" + path.encode() + b"\0"
    header = struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", len(rows), len(strings), 2, 0)
    return old + header + entries + strings


def write_cache(system: FakeSystem, data: bytes) -> None:
    system.write("/etc/ld.so.cache").write_bytes(data)


def find(system: FakeSystem, path: str = "") -> str:
    return find_library(SystemRoot(system.path), SONAME, {"LD_LIBRARY_PATH": path})


def test_the_variable_goes_before_the_cache_and_the_cache_before_the_default_folders(system: FakeSystem) -> None:
    assert find(system) == ""
    system.write(f"/usr/lib/{SONAME}", ELF)
    assert find(system) == f"/usr/lib/{SONAME}"
    system.write(f"/opt/driver/{SONAME}", ELF)
    write_cache(system, cache((0x0303, SONAME, f"/opt/driver/{SONAME}")))
    assert find(system) == f"/opt/driver/{SONAME}"
    system.write(f"/compat/{SONAME}", ELF)
    assert find(system, "/none:/compat") == f"/compat/{SONAME}"
    assert find(system, "compat:.") == f"/opt/driver/{SONAME}"


def test_a_library_for_32_bits_is_passed_over(system: FakeSystem) -> None:
    system.write(f"/32/{SONAME}", "\x7fELF\x01")
    system.write(f"/64/{SONAME}", ELF)
    write_cache(system, cache((0x0003, SONAME, f"/32/{SONAME}"), (0x0303, SONAME, f"/64/{SONAME}")))

    assert find(system) == f"/64/{SONAME}"
    assert find(system, "/32") == f"/64/{SONAME}"


def test_the_cache_behind_one_of_the_old_format_is_read(system: FakeSystem) -> None:
    system.write(f"/64/{SONAME}", ELF)
    write_cache(system, cache((0x0303, SONAME, f"/64/{SONAME}"), old=b"ld.so-1.7.0\0\0\0\0\0"))

    assert find(system) == f"/64/{SONAME}"


@pytest.mark.skipif(not Path("/etc/ld.so.cache").exists(), reason="this machine has no ld.so.cache")
def test_the_real_cache_has_the_c_library_where_ldconfig_says() -> None:
    program = shutil.which("ldconfig") or "/sbin/ldconfig"
    listed = subprocess.run([program, "-p"], capture_output=True, text=True, check=True).stdout
    first = next(line for line in listed.splitlines() if line.strip().startswith("libc.so.6 (libc6,"))

    found = find_library(SystemRoot(Path("/")), "libc.so.6", {})

    assert found == str(Path(first.split(" => ")[1]).resolve())


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_a_hostile_cache_names_no_library_and_stops_nothing(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, count: int, offsets: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("root")
    (folder / "etc").mkdir()
    entries = b"".join(struct.pack("<iIIIQ", 0x0303, offset, offset, 0, 0) for offset in offsets)
    header = struct.pack("<20sII20x", b"glibc-ld.so.cache1.1", count, 0)
    (folder / "etc/ld.so.cache").write_bytes(header + entries + b"\0libcuda.so.1\0" + tail)

    assert find_library(SystemRoot(folder), SONAME, {}) == ""


def test_links_in_a_circle_lead_to_the_next_place(system: FakeSystem) -> None:
    system.link(f"/a/{SONAME}", f"/a/{SONAME}")
    system.write(f"/b/{SONAME}", ELF)

    assert find(system, "/a:/b") == f"/b/{SONAME}"


def test_a_cache_that_ends_in_its_header_names_nothing(system: FakeSystem) -> None:
    write_cache(system, b"\0libcuda.so.1\0" + cache()[:40])

    assert find(system) == ""
