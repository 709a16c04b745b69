"""What a .deb says about itself."""

from pathlib import Path

import pytest

from envcap.archives.access import FileReader
from envcap.errors import ArchiveError
from envcap.lock.debian_deb import DebFacts, read_deb_facts
from envcap.lock.debian_need import is_driver_library, policy_key
from envcap.sources.debian_index import library_key
from tests.lock.debian_archive import Deb, build_deb, build_elf


def facts_of(tmp_path: Path, deb: Deb) -> DebFacts:
    path = tmp_path / "x.deb"
    path.write_bytes(build_deb(deb))
    with FileReader(path) as reader:
        return read_deb_facts(reader, name=deb.name, architecture=deb.architecture)


def test_a_library_package_tells_what_it_brings_and_what_it_needs(tmp_path: Path) -> None:
    deb = Deb(
        name="libodd1",
        source="odd (1.0)",
        depends="libc6",
        pre_depends="base",
        libraries=("libodd.so.1", "libodd-x.so.1"),
        needed=("libc.so.6", "libodd.so.1"),
    )
    assert facts_of(tmp_path, deb) == DebFacts(
        needed=("libc.so.6",),
        provided=("libodd-x.so.1", "libodd.so.1"),
        source="odd",
        pre_depends="base",
        depends="libc6",
    )


def test_folders_tell_what_the_linker_finds_with_and_without_merged_usr(tmp_path: Path) -> None:
    files = {
        "lib/x86_64-linux-gnu/liba.so.1": b"",
        "usr/lib/libb.so.1": b"",
        "lib64/ld-linux-x86-64.so.2": b"",
        "usr/lib/x86_64-linux-gnu/app/libc.so.1": b"",
        "usr/lib/aarch64-linux-gnu/libd.so.1": b"",
        "usr/share/doc/odd/README": b"text",
    }
    facts = facts_of(tmp_path, Deb(name="odd", files=files))
    assert facts.provided == ("ld-linux-x86-64.so.2", "liba.so.1", "libb.so.1")
    assert facts.private == ("libc.so.1", "libd.so.1")


def test_files_for_another_machine_and_damaged_ones_ask_for_nothing(tmp_path: Path) -> None:
    files = {
        "usr/lib/firmware/a.so": build_elf("a.so", ["libforeign.so.1"], "arm64"),
        "usr/lib/firmware/b.so": b"\x7fELF" + b"\xff" * 100,
        "usr/bin/tool": build_elf("", ["libtool.so.1"], "amd64"),
    }
    assert facts_of(tmp_path, Deb(name="odd", files=files)).needed == ("libtool.so.1",)


def test_a_package_for_all_machines_asks_for_nothing(tmp_path: Path) -> None:
    files = {"usr/share/x.so": build_elf("x.so", ["libx.so.1"], "amd64")}
    assert facts_of(tmp_path, Deb(name="odd-data", architecture="all", files=files)).needed == ()


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"PK\x03\x04 not a package at all")
    with FileReader(path) as reader, pytest.raises(ArchiveError):
        read_deb_facts(reader, name="x", architecture="amd64")


@pytest.mark.parametrize(
    ("soname", "package"),
    [
        ("libGL.so.1", "libgl1"),
        ("libstdc++.so.6", "libstdc++6"),
        ("libglib-2.0.so.0", "libglib2.0-0"),
        ("libglib-2.0.so.0", "libglib2.0-0t64"),
        ("libX11.so.6", "libx11-6"),
        ("libpcre2-8.so.0", "libpcre2-8-0"),
        ("libsystemd-shared-252.so", "libsystemd-shared252"),
        ("libmbedcrypto.so.7", "libmbedcrypto7t64"),
    ],
)
def test_a_soname_has_the_key_of_the_package_that_policy_names_after_it(soname: str, package: str) -> None:
    assert policy_key(soname) == library_key(package)


@pytest.mark.parametrize("soname", ["plugin.so", "libplugin.so", "", "lib.so.1"])
def test_what_policy_names_no_package_after_has_no_key(soname: str) -> None:
    assert policy_key(soname) == ""


@pytest.mark.parametrize("soname", ["libcuda.so.1", "libnvidia-ml.so.1", "libGLX_nvidia.so.0", "libnvcuvid.so.1"])
def test_driver_libraries_are_known(soname: str) -> None:
    assert is_driver_library(soname)


@pytest.mark.parametrize("soname", ["libcudart.so.12", "libcublas.so.12", "libGL.so.1", "libnvrtc.so.12"])
def test_libraries_of_the_cuda_toolkit_are_not_the_drivers(soname: str) -> None:
    assert not is_driver_library(soname)
