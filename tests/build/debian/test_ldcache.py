"""The cache has the bytes that glibc's own ldconfig writes."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.build.debian.ldcache import ld_so_cache
from envcap.build.debian.libraries import find_libraries, missing_links, version_key
from envcap.build.debian.merge import directory, symlink
from envcap.build.debian.tree import Tree, tree_of
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError
from tests.build.debian.deb_builder import make_library

LIBC = "2.36-9+deb12u14"
LIB = "usr/lib/x86_64-linux-gnu"
CONF = b"include /etc/ld.so.conf.d/*.conf\n"

# Everything that the format and the rules of ldconfig(8) tell apart.
FULL: dict[str, bytes | str] = {
    "etc/ld.so.conf": CONF,
    "etc/ld.so.conf.d/10-opt.conf": b"# a comment\n /opt//x/lib/  # spelled oddly\ninclude more/*.conf\n/nowhere\n",
    "etc/ld.so.conf.d/more/a.conf": b"/opt/y\n",
    "etc/ld.so.conf.d/libc.conf": b"/usr/local/lib\n",
    "etc/ld.so.conf.d/x86.conf": b"/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n",
    "etc/alternatives/libblas.so.3": f"-> /{LIB}/blas/libblas.so.3",
    f"{LIB}/blas/libblas.so.3": make_library("libblas.so.3"),
    f"{LIB}/libblas.so.3": "-> /etc/alternatives/libblas.so.3",
    f"{LIB}/libz.so.1.2.13": make_library("libz.so.1"),
    f"{LIB}/libz.so.1": "-> libz.so.1.2.13",
    f"{LIB}/libz.so": "-> libz.so.1",
    f"{LIB}/libzed.so.9": "-> libz.so.1",
    f"{LIB}/libnew.so.1.9": make_library("libnew.so.1"),
    f"{LIB}/libnew.so.1.10": make_library("libnew.so.1"),
    f"{LIB}/liba.so.10": make_library("liba.so.10"),
    f"{LIB}/liba.so.9": make_library("liba.so.9"),
    f"{LIB}/libgone.so.1": "-> nowhere.so",
    f"{LIB}/libscript.so": b"INPUT(libz.so.1)\n",
    f"{LIB}/libarm.so.1": make_library("libarm.so.1", machine=183),
    f"{LIB}/ld-linux-x86-64.so.2": make_library("ld-linux-x86-64.so.2"),
    f"{LIB}/plugin.so": make_library("plugin.so"),
    f"{LIB}/glibc-hwcaps/x86-64-v3/libfast.so.1.0": make_library("libfast.so.1", isa_level=2),
    f"{LIB}/glibc-hwcaps/x86-64-v2/libfast.so.1.0": make_library("libfast.so.1", isa_level=1),
    f"{LIB}/glibc-hwcaps/empty/README": b"nothing here",
    f"{LIB}/libfast.so.1": make_library("libfast.so.1"),
    "opt/x/lib/libnoname.so": make_library(),
    "opt/y/libz.so.1": make_library("libz.so.1"),
    "usr/local/lib/libpython3.11.so.1.0": make_library("libpython3.11.so.1.0"),
    "usr/lib64/ld-linux-x86-64.so.2": f"-> /{LIB}/ld-linux-x86-64.so.2",
}


def make_tree(files: Mapping[str, bytes | str]) -> Tree:
    """Make a merged-/usr tree: text that starts with `->` is a symlink's target."""
    entries = [symlink(name, f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")]
    entries += [directory(f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")]
    for path, content in files.items():
        if isinstance(content, str):
            entries.append(symlink(path, content.removeprefix("-> ")))
        else:
            entries.append(Entry(path, EntryKind.FILE, 0o644, content=LiteralContent(content)))
    return tree_of(entries)


def test_the_smallest_cache_has_these_bytes() -> None:
    tree = make_tree({f"{LIB}/libz.so.1": make_library("libz.so.1")})
    expected = (
        b"glibc-ld.so.cache1.1"
        + bytes.fromhex("01000000 20000000 02000000 68000000")
        + bytes(12)
        # libc6 and x86-64; the key is the tail of the path
        + bytes.fromhex("03030000 5e000000 48000000 00000000 0000000000000000")
        + b"/lib/x86_64-linux-gnu/libz.so.1\0"
        + bytes.fromhex("7421a4ea 01000000 00000000 00000000 80000000 43000000")
        + b"ldconfig (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36"
    )
    cache = ld_so_cache(tree, architecture="amd64", libc_version=LIBC)
    assert cache == expected


def test_a_tree_with_every_case_keeps_its_digest() -> None:
    cache = ld_so_cache(make_tree(FULL), architecture="amd64", libc_version=LIBC)
    assert hashlib.sha256(cache).hexdigest() == "2b8da79b470de675afdfcf0e5c946832a99f6d6f8c25a3c62161f9472f9be8bc"


def test_the_order_of_entries_does_not_matter() -> None:
    backwards = make_tree(dict(reversed(FULL.items())))
    assert ld_so_cache(backwards, architecture="amd64", libc_version=LIBC) == ld_so_cache(
        make_tree(FULL), architecture="amd64", libc_version=LIBC
    )


def test_arm64_has_flags_and_triplet_of_its_own() -> None:
    tree = make_tree({"usr/lib/aarch64-linux-gnu/libz.so.1": make_library("libz.so.1", machine=183)})
    cache = ld_so_cache(tree, architecture="arm64", libc_version=LIBC)
    assert cache[48:52] == bytes.fromhex("030a0000")
    assert b"/lib/aarch64-linux-gnu/libz.so.1\0" in cache


def test_versions_compare_as_numbers() -> None:
    assert sorted(["liba.so.10", "liba.so.9", "liba.so", "libb.so"], key=version_key) == [
        "liba.so",
        "liba.so.9",
        "liba.so.10",
        "libb.so",
    ]


def test_a_missing_soname_link_points_to_the_newest_file() -> None:
    links = missing_links(make_tree(FULL), architecture="amd64")
    assert [(link.path, link.target) for link in links] == [(f"{LIB}/libnew.so.1", "libnew.so.1.10")]


@pytest.mark.parametrize("soname", ["../../etc/passwd", "/etc/passwd", "lib\nx", "libé.so", "x" * 300])
def test_a_hostile_soname_makes_neither_link_nor_line(soname: str) -> None:
    tree = make_tree({f"{LIB}/libevil.so.1": make_library(soname)})
    assert find_libraries(tree, architecture="amd64") == []


@pytest.mark.parametrize("length", [0, 3, 40, 63, 64, 100, 176, 200])
def test_a_truncated_library_is_no_library(length: int) -> None:
    tree = make_tree({f"{LIB}/libcut.so.1": make_library("libcut.so.1")[:length]})
    assert find_libraries(tree, architecture="amd64") == []


@given(st.data())
def test_a_damaged_library_never_breaks_the_search(data: st.DataObject) -> None:
    content = bytearray(make_library("libbad.so.1", isa_level=2))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 47, 127, 255]))
    tree = make_tree({f"{LIB}/libbad.so.1": bytes(content)})
    assert all("/" not in library.soname for library in find_libraries(tree, architecture="amd64"))


def test_a_32_bit_library_is_left_out() -> None:
    tree = make_tree({f"{LIB}/libold.so.1": make_library("libold.so.1", bits=1)})
    assert find_libraries(tree, architecture="amd64") == []


def test_an_include_of_itself_ends() -> None:
    tree = make_tree({"etc/ld.so.conf": b"include /etc/ld.so.conf\n/opt\n", "opt/lib1.so": make_library("lib1.so")})
    found = find_libraries(tree, architecture="amd64")
    assert [library.path for library in found] == ["/opt/lib1.so"]


@pytest.mark.parametrize(("architecture", "version"), [("i386", LIBC), ("amd64", "abc"), ("amd64", "2.36\n")])
def test_an_unknown_architecture_or_version_is_refused(architecture: str, version: str) -> None:
    with pytest.raises(BuildError):
        ld_so_cache(make_tree({}), architecture=architecture, libc_version=version)


@pytest.mark.engine
def test_the_real_ldconfig_writes_the_same_bytes(tmp_path: Path) -> None:
    tool = shutil.which("ldconfig") or "/sbin/ldconfig"
    if os.geteuid() != 0 or not Path(tool).exists():
        pytest.skip("ldconfig -r needs root, since it calls chroot")
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\(Debian GLIBC ([^)]+)\)", said)
    if version is None:
        pytest.skip("this host's ldconfig is not Debian's")
    tree = make_tree(FULL)
    write_tree(tree, tmp_path)
    subprocess.run([tool, "-X", "-r", tmp_path], check=True, capture_output=True)
    assert (tmp_path / "etc/ld.so.cache").read_bytes() == ld_so_cache(
        tree, architecture="amd64", libc_version=version[1]
    )


@pytest.mark.engine
def test_the_real_ldconfig_makes_the_same_links(tmp_path: Path) -> None:
    tool = shutil.which("ldconfig") or "/sbin/ldconfig"
    if os.geteuid() != 0 or not Path(tool).exists():
        pytest.skip("ldconfig -r needs root, since it calls chroot")
    tree = make_tree(FULL)
    write_tree(tree, tmp_path)
    before = set(tmp_path.rglob("*"))
    subprocess.run([tool, "-r", tmp_path], check=True, capture_output=True)
    added = {path for path in set(tmp_path.rglob("*")) - before if path.is_symlink()}
    assert {(str(path.relative_to(tmp_path)), str(path.readlink())) for path in added} == {
        (link.path, link.target) for link in missing_links(tree, architecture="amd64")
    }


def write_tree(tree: Tree, root: Path) -> None:
    for path, entry in sorted(tree.entries.items()):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind is EntryKind.SYMLINK:
            place.symlink_to(entry.target)
        elif entry.kind is EntryKind.DIRECTORY:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(b"".join(entry.content.chunks()))


def test_the_cache_ignores_modes_and_owners() -> None:
    tree = make_tree(FULL)
    changed = tree_of(replace(entry, uid=7, mode=0o700) for entry in tree.entries.values())
    assert ld_so_cache(changed, architecture="amd64", libc_version=LIBC) == ld_so_cache(
        tree, architecture="amd64", libc_version=LIBC
    )
