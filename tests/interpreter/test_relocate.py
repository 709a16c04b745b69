import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.interpreter.relocate import (
    Relocation,
    laptop_paths,
    relocate,
    relocate_binary,
    relocate_text,
)

PYENV = Relocation(
    prefixes=("/home/u/.pyenv/versions/3.11.7",),
    builds=("/tmp/python-build.20231204.222", "/tmp/python-build.20231204.222/Python-3.11.7"),
    home="/home/u",
    version="3.11",
)
LOCAL = Relocation(prefixes=("/usr/local",), builds=("/usr/src/python",), home="/home/u", version="3.11")
SYSTEM = Relocation(prefixes=("/usr",), version="3.11")
PBS = Relocation(prefixes=("/install",), version="3.11")
ELF = b"\x7fELF\2\1\1"


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("bin/pydoc3.11", b"#!/home/u/.pyenv/versions/3.11.7/bin/python3.11\n", b"#!/opt/python/bin/python3.11\n"),
        ("lib/pkgconfig/python-3.11.pc", b"prefix=/home/u/.pyenv/versions/3.11.7\n", b"prefix=/opt/python\n"),
        (
            "lib/python3.11/config-3.11/Makefile",
            b"abs_srcdir=\t/tmp/python-build.20231204.222/Python-3.11.7\n",
            b"abs_srcdir=\t/build\n",
        ),
        ("lib/python3.11/config-3.11/Makefile", b"CFLAGS=-I/home/u/include\n", b"CFLAGS=-I/nonexistent/include\n"),
        ("bin/x", b"/home/u/.pyenv/versions/3.11.70/lib", b"/nonexistent/.pyenv/versions/3.11.70/lib"),
        ("lib/python3.11/site.py", b"P = '/home/u/.pyenv/versions/3.11.7/x'\n", b"P = '/opt/python/x'\n"),
    ],
)
def test_text_of_a_private_prefix(path: str, before: bytes, after: bytes) -> None:
    assert relocate(path, before, PYENV) == after


def test_a_home_directory_in_the_librarys_own_source_is_reported_not_rewritten() -> None:
    source = b"# such as /home/u/x\n"
    assert relocate("lib/python3.11/pathlib.py", source, PYENV) == source
    assert laptop_paths(source, PYENV) == ("/home/u",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"prefix=/usr/local\n", b"prefix=/opt/python\n"),
        (b"-L/usr/local/lib -Wl,-rpath,/usr/local/lib", b"-L/opt/python/lib -Wl,-rpath,/opt/python/lib"),
        (b"/mnt/usr/local/lib", b"/mnt/usr/local/lib"),
        (b"/usr/local-old", b"/usr/local-old"),
        (b"'--prefix=/usr/local'", b"'--prefix=/opt/python'"),
        (b"/usr/src/python", b"/build"),
    ],
)
def test_text_of_usr_local(before: bytes, after: bytes) -> None:
    assert relocate_text(before, LOCAL) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"prefix='/usr'", b"prefix='/opt/python'"),
        (b"LIBDIR= '/usr/lib/x86_64-linux-gnu'", b"LIBDIR= '/opt/python/lib/x86_64-linux-gnu'"),
        (b"/usr/lib/python3.11/lib-dynload", b"/opt/python/lib/python3.11/lib-dynload"),
        (b"-I/usr/include/python3.11", b"-I/opt/python/include/python3.11"),
        (b"/usr/include/x86_64-linux-gnu/python3.11", b"/opt/python/include/x86_64-linux-gnu/python3.11"),
        (b"/usr/bin/install -c", b"/usr/bin/install -c"),
        (b"-I/usr/include/tcl8.6 ", b"-I/usr/include/tcl8.6 "),
        (b"/usr/lib/python3.111", b"/usr/lib/python3.111"),
        (b"/usr/lib/python3/dist-packages", b"/usr/lib/python3/dist-packages"),
        (b"#!/usr/bin/env python3\n", b"#!/usr/bin/env python3\n"),
    ],
)
def test_text_of_usr_changes_only_pythons_own_folders(before: bytes, after: bytes) -> None:
    assert relocate_text(before, SYSTEM) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"'--prefix=/install'", b"'--prefix=/opt/python'"),
        (b"/install/lib/python3.11", b"/opt/python/lib/python3.11"),
        (b"/usr/bin/install -c", b"/usr/bin/install -c"),
        (b"./install/x", b"./install/x"),
    ],
)
def test_text_of_a_standalone_build(before: bytes, after: bytes) -> None:
    assert relocate_text(before, PBS) == after


def test_a_runpath_is_stretched_with_slashes_at_its_length() -> None:
    before = ELF + b"\0/home/u/.pyenv/versions/3.11.7/lib\0libc.so.6\0"
    after = ELF + b"\0/opt/python" + b"/" * 19 + b"/lib\0libc.so.6\0"
    assert relocate_binary(before, PYENV) == after
    assert len(after) == len(before)


def test_strings_that_share_the_tail_of_a_path_keep_their_bytes() -> None:
    # ld merges "3.11.7", which sys.version prints, and "lib" into the ends of longer strings.
    before = ELF + b"\0/home/u/.pyenv/versions/3.11.7\0/home/u/.pyenv/versions/3.11.7/lib\0"
    after = relocate_binary(before, PYENV)
    version, lib = before.index(b"3.11.7\0"), before.index(b"lib\0")
    assert after[version : version + 7] == b"3.11.7\0"
    assert after[lib : lib + 4] == b"lib\0"
    assert b"/home/u" not in after


def test_debug_information_forgets_the_build_folder() -> None:
    before = ELF + b"\0/tmp/python-build.20231204.222/Python-3.11.7\0./Modules/main.c\0"
    after = relocate_binary(before, PYENV)
    assert after == ELF + b"\0/build" + b"/" * (len("/tmp/python-build.20231204.222") - 6) + (
        b"/Python-3.11.7\0./Modules/main.c\0"
    )


def test_a_prefix_too_short_for_the_new_one_is_blotted_out() -> None:
    short = Relocation(prefixes=("/home/u",), version="3.11")
    assert relocate_binary(ELF + b"\0/home/u/lib\0", short) == ELF + b"\0/______/lib\0"
    assert relocate_binary(ELF + b"\0/home/u\0", short) == ELF + b"\0/____/u\0"


def test_a_home_directory_in_a_binary_is_blotted_out_with_what_follows_left() -> None:
    assert relocate_binary(ELF + b"\0/home/u/x.c\0", PYENV) == ELF + b"\0/______/x.c\0"


def test_a_binary_is_held_twice_while_it_is_relocated_and_not_more_often() -> None:
    # The data itself is not counted: it was there before.
    path = b"\0/home/u/.pyenv/versions/3.11.7/lib\0/tmp/python-build.20231204.222/Python-3.11.7/x.c\0/home/u/y\0"
    data = ELF + (bytes(1 << 20) + path) * 8
    tracemalloc.start()
    try:
        done = relocate_binary(data, PYENV)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert laptop_paths(done, PYENV) == ()
    assert peak < 1.2 * len(data)


def test_public_prefixes_are_not_touched_in_binaries() -> None:
    data = ELF + b"\0/usr/local\0/usr/local/lib\0"
    assert relocate("bin/python3.11", data, LOCAL) == data
    assert laptop_paths(data, LOCAL) == ()


def test_files_with_nul_bytes_keep_their_length() -> None:
    data = b"\x80\x04pickle /home/u/.pyenv/versions/3.11.7/x\0"
    assert len(relocate("lib/python3.11/lib2to3/Grammar.pickle", data, PYENV)) == len(data)


def test_a_prefix_that_is_the_target_already_changes_nothing() -> None:
    already = Relocation(prefixes=("/opt/python",), version="3.11")
    for data in (b"prefix=/opt/python\n", ELF + b"/opt/python/lib\0"):
        assert relocate("bin/x", data, already) == data


names = st.text("abcxyz019._-", min_size=1, max_size=12).filter(lambda name: name.strip("."))
paths = st.lists(names, min_size=2, max_size=5).map(lambda parts: "/" + "/".join(parts))


@st.composite
def relocations(draw: st.DrawFn) -> Relocation:
    home = "/home/" + draw(names)
    prefix = draw(st.sampled_from([home, ""])) + draw(paths)
    builds = draw(st.lists(paths, max_size=2))
    return Relocation(prefixes=(prefix,), builds=tuple(builds), home=home, version="3.11")


@st.composite
def laden(draw: st.DrawFn) -> tuple[Relocation, bytes]:
    """A relocation, and bytes that hold its paths between other bytes."""
    relocation = draw(relocations())
    known = st.sampled_from([*relocation.prefixes, *relocation.builds, relocation.home]).map(str.encode)
    pieces = st.one_of(known, st.binary(max_size=8), st.sampled_from([b"\0", b"/lib", b"/", b":", b"-L", b'"', b" "]))
    return relocation, ELF + b"".join(draw(st.lists(pieces, max_size=30))) + b"\0"


@given(laden())
def test_binaries_keep_their_length_and_no_private_path_stays(case: tuple[Relocation, bytes]) -> None:
    relocation, data = case
    done = relocate("bin/python3.11", data, relocation)
    assert len(done) == len(data)
    assert laptop_paths(done, relocation) == ()
    assert relocate("bin/python3.11", bytes(done), relocation) == done


@given(laden())
def test_bytes_outside_the_paths_stay(case: tuple[Relocation, bytes]) -> None:
    relocation, data = case
    done = relocate_binary(data, relocation)
    private = sorted({*relocation.prefixes, *relocation.builds, relocation.home}, key=len, reverse=True)
    touched = {i for old in private for found in _find(old.encode(), data) for i in range(found, found + len(old))}
    assert all(one == other for i, (one, other) in enumerate(zip(data, done, strict=True)) if i not in touched)


@given(laden())
def test_generated_texts_lose_every_private_path(case: tuple[Relocation, bytes]) -> None:
    relocation, data = case
    text = re.sub(rb"[^\x20-\x7e]", b" ", data)
    done = relocate_text(text, relocation)
    assert laptop_paths(done, relocation) == ()


def _find(needle: bytes, data: bytes) -> list[int]:
    return [match.start() for match in re.finditer(b"(?=" + re.escape(needle) + b")", data)]


def test_a_prefix_that_is_the_home_directory_is_relocated_even_where_it_stands_alone() -> None:
    relocation = Relocation(prefixes=("/home/u",), home="/home/u", version="3.11")
    assert relocate_text(b"prefix=/home/u\nlibdir=/home/u/lib\n", relocation) == (
        b"prefix=/opt/python\nlibdir=/opt/python/lib\n"
    )


def test_a_short_path_of_underscores_is_blotted_out_too() -> None:
    relocation = Relocation(prefixes=("/_/0",), home="/home/0", version="3.11")
    assert relocate("bin/python3.11", ELF + b"/_/0\0", relocation) == ELF + b"/x/0\0"


def test_a_prefix_that_is_not_utf_8_is_found_by_its_bytes() -> None:
    relocation = Relocation(prefixes=("/home/u/caf\udce9/py",), version="3.11")
    assert relocate_text(b"prefix=/home/u/caf\xe9/py\n", relocation) == b"prefix=/opt/python\n"
    assert relocate_binary(b"\0/home/u/caf\xe9/py/lib\0", relocation) == b"\0/opt/python/////lib\0"
