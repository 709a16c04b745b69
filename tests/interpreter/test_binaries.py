from pathlib import Path

import pytest

from envcap.entry import EntryKind
from envcap.interpreter.binaries import (
    ExecutableNeeds,
    has_foreign_loader,
    interpreter_binaries,
    library_links,
    read_needs,
)
from tests.interpreter.fakes import build_elf, build_python


def test_needs_are_what_the_dynamic_section_says() -> None:
    data = build_elf(needed=["libpython3.11.so.1.0", "libc.so.6"], runpath="/a/lib:$ORIGIN/../lib", loader="/lib/ld.so")
    assert read_needs(data) == ExecutableNeeds(
        libraries=("libpython3.11.so.1.0", "libc.so.6"), folders=("/a/lib", "$ORIGIN/../lib"), loader="/lib/ld.so"
    )


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", build_elf()[:100], build_elf(needed=["x"])[:200]])
def test_what_is_no_whole_elf_file_needs_nothing(data: bytes) -> None:
    assert read_needs(data) == ExecutableNeeds()


@pytest.mark.parametrize(
    ("loader", "foreign"),
    [
        ("/lib64/ld-linux-x86-64.so.2", False),
        ("/lib/ld-linux-aarch64.so.1", False),
        ("", False),
        ("/home/linuxbrew/.linuxbrew/lib/ld.so", True),
        ("/nix/store/abc-glibc/lib/ld-linux-x86-64.so.2", True),
    ],
)
def test_only_a_loader_of_the_system_is_at_home_in_an_image(loader: str, foreign: bool) -> None:  # noqa: FBT001
    assert has_foreign_loader(ExecutableNeeds(loader=loader)) is foreign


PATHS = ("bin/python3.11", "lib/libpython3.11.so.1.0", "lib/python3.11/os.py")


@pytest.mark.parametrize(
    "folders",
    [(), ("/usr/local/lib",), ("",), ("$ORIGIN/../lib64",)],
)
def test_a_library_that_the_executable_would_not_find_gets_a_link(folders: tuple[str, ...]) -> None:
    needs = ExecutableNeeds(libraries=("libpython3.11.so.1.0", "libc.so.6"), folders=folders)
    (entry,) = library_links(needs, PATHS)
    assert entry.kind is EntryKind.SYMLINK
    assert entry.path == "usr/local/lib/libpython3.11.so.1.0"
    assert entry.target == "../../../opt/python/lib/libpython3.11.so.1.0"


@pytest.mark.parametrize("folders", [("$ORIGIN/../lib",), ("/opt/python/////lib",), ("/x", "/opt/python/lib/")])
def test_a_library_that_the_executable_finds_needs_no_link(folders: tuple[str, ...]) -> None:
    needs = ExecutableNeeds(libraries=("libpython3.11.so.1.0",), folders=folders)
    assert not list(library_links(needs, PATHS))


def test_a_static_interpreter_needs_no_link() -> None:
    assert not list(library_links(ExecutableNeeds(libraries=("libc.so.6",)), PATHS))


def test_the_binaries_are_executable_library_and_extensions_each_once(tmp_path: Path) -> None:
    elf = build_elf()
    facts = build_python(
        tmp_path,
        files={
            "lib/libpython3.11.so.1.0": elf,
            "lib/python3.11/lib-dynload/text.so": b"INPUT(libx.so)",
            "lib/libother.so": elf,
        },
        config={"LIBDIR": str(tmp_path / "lib")},
    )
    (tmp_path / "lib/libpython3.11.so").symlink_to("libpython3.11.so.1.0")
    assert interpreter_binaries(facts) == (
        tmp_path / "bin/python3.11",
        tmp_path / "lib/libpython3.11.so.1.0",
        tmp_path / "lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
    )


def test_a_standalone_build_brings_its_own_tcl(tmp_path: Path) -> None:
    facts = build_python(tmp_path, files={"lib/libtcl8.6.so": build_elf()}, config={"PYTHON_BUILD_STANDALONE": "1"})
    assert tmp_path / "lib/libtcl8.6.so" in interpreter_binaries(facts)
