"""A package is read whole, moved to merged /usr, and refused if it is hostile."""

import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import pytest

from envcap.build.debian.package import DebContents
from envcap.build.debian.unpack import deb_entries, merged_path
from envcap.entry import EntryKind
from envcap.errors import ArchiveError
from tests.build.debian.deb_builder import BytesReader, Node, file, folder, hardlink, link, make_deb


@pytest.fixture
def spool() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


def read(deb: bytes, spool: BinaryIO) -> DebContents:
    return deb_entries(BytesReader(deb), name="a.deb", spool=spool)


def test_control_data_is_read(spool: BinaryIO) -> None:
    deb = make_deb(
        {"Package": "tool", "Version": "1:2.0-1+b1", "Essential": "yes"},
        {"etc/tool.conf": file("x")},
        scripts={"preinst": "#!/bin/sh\n", "postinst": "#!/bin/sh\necho hi\n"},
        md5sums="9dd4e461268c8034f5c8564e155c67a6  etc/tool.conf\n",
        conffiles="/etc/tool.conf\n",
    )
    contents = read(deb, spool)
    assert (contents.package, contents.version, contents.architecture) == ("tool", "1:2.0-1+b1", "amd64")
    assert contents.is_essential
    assert contents.conffiles == ("/etc/tool.conf",)
    assert contents.md5sums == b"9dd4e461268c8034f5c8564e155c67a6  etc/tool.conf\n"
    assert contents.scripts == {"preinst": "#!/bin/sh\n", "postinst": "#!/bin/sh\necho hi\n"}
    assert contents.control.startswith(b"Version: 1:2.0-1+b1\nArchitecture: amd64\n")


def test_files_keep_mode_owner_bytes_and_documentation(spool: BinaryIO) -> None:
    su = replace(file(b"ELF", 0o4755), gid=42)
    deb = make_deb(
        {"Package": "su"},
        {"usr/bin/su": su, "usr/share/doc/su/copyright": file("MIT"), "var/mail": folder(0o2775, gid=8)},
    )
    found = {entry.path: entry for entry in read(deb, spool).entries}
    assert (found["usr/bin/su"].mode, found["usr/bin/su"].uid, found["usr/bin/su"].gid) == (0o4755, 0, 42)
    assert b"".join(found["usr/bin/su"].content.chunks()) == b"ELF"
    assert "usr/share/doc/su/copyright" in found
    assert (found["var/mail"].mode, found["var/mail"].gid) == (0o2775, 8)
    assert {entry.owner for entry in found.values()} == {"su"}


@pytest.mark.parametrize(
    ("path", "merged"),
    [
        ("bin/sh", "usr/bin/sh"),
        ("sbin/ldconfig", "usr/sbin/ldconfig"),
        ("lib/x/libc.so.6", "usr/lib/x/libc.so.6"),
        ("lib64/ld.so", "usr/lib64/ld.so"),
        ("lib32/a", "usr/lib32/a"),
        ("libx32/a", "usr/libx32/a"),
        ("library/a", "library/a"),
        ("binary", "binary"),
        ("usr/bin/sh", "usr/bin/sh"),
        ("etc/lib/a", "etc/lib/a"),
    ],
)
def test_paths_move_to_merged_usr(path: str, merged: str, spool: BinaryIO) -> None:
    deb = make_deb({"Package": "pkg"}, {path: file("x")})
    assert merged_path(path) == merged
    files = [entry.path for entry in read(deb, spool).entries if entry.kind is EntryKind.FILE]
    assert files == [merged]


def test_aliased_directories_vanish_and_their_links_stay(spool: BinaryIO) -> None:
    deb = make_deb({"Package": "base-files"}, {"bin": folder(), "lib": link("usr/lib"), "usr/bin": folder()})
    found = {entry.path: entry for entry in read(deb, spool).entries}
    assert sorted(found) == ["lib", "usr", "usr/bin"]
    assert found["lib"].target == "usr/lib"


def test_hard_links_move_with_their_target(spool: BinaryIO) -> None:
    deb = make_deb({"Package": "perl"}, {"bin/perl": file("x"), "bin/perl5": hardlink("bin/perl")})
    found = {entry.path: entry for entry in read(deb, spool).entries}
    assert (found["usr/bin/perl5"].kind, found["usr/bin/perl5"].target) == (EntryKind.HARDLINK, "usr/bin/perl")


@pytest.mark.parametrize(
    ("place", "target"),
    [("bin/tool", "/usr/bin/tool"), ("bin/tool", "../usr/bin/tool"), ("usr/bin/tool", "/bin/tool")],
)
def test_a_link_that_would_point_to_itself_is_dropped(place: str, target: str, spool: BinaryIO) -> None:
    deb = make_deb({"Package": "tool"}, {target.lstrip("./"): file("x"), place: link(target)})
    found = [(entry.path, entry.kind) for entry in read(deb, spool).entries if entry.path == "usr/bin/tool"]
    assert found == [("usr/bin/tool", EntryKind.FILE)]


def test_two_files_that_meet_in_merged_usr_are_refused(spool: BinaryIO) -> None:
    deb = make_deb({"Package": "tool"}, {"bin/tool": file("x"), "usr/bin/tool": file("y")})
    with pytest.raises(ArchiveError, match="usr/bin/tool"):
        read(deb, spool)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"../etc/passwd": file("x")}, id="escape"),
        pytest.param({"usr/../../etc/passwd": file("x")}, id="escape inside"),
        pytest.param({"/etc/passwd": file("x")}, id="absolute"),
        pytest.param({"dev/null": Node(kind=tarfile.CHRTYPE)}, id="character device"),
        pytest.param({"dev/sda": Node(kind=tarfile.BLKTYPE)}, id="block device"),
        pytest.param({"run/pipe": Node(kind=tarfile.FIFOTYPE)}, id="fifo"),
        pytest.param({"etc/shadow2": hardlink("../etc/shadow")}, id="hard link leaves the root"),
        pytest.param({"etc/shadow2": hardlink("etc/shadow")}, id="hard link to nothing"),
        pytest.param({"etc/out": link("../../x")}, id="symlink leaves the root"),
        pytest.param({"a": link("b"), "a/x": file("x")}, id="file below its own link"),
        pytest.param({"etc/.wh.passwd": file("x")}, id="whiteout"),
    ],
)
def test_a_hostile_package_is_refused(files: dict[str, Node], spool: BinaryIO) -> None:
    with pytest.raises(ArchiveError):
        read(make_deb({"Package": "evil"}, files), spool)


@pytest.mark.parametrize(
    "control",
    [
        {"Package": "../../evil"},
        {"Package": "Evil"},
        {"Package": "evil", "Version": "1.0/.."},
        {"Package": "evil", "Version": "x"},
        {"Package": "evil", "Architecture": "../x"},
        {"Source": "nameless"},
    ],
)
def test_control_fields_that_end_up_in_paths_are_checked(control: dict[str, str], spool: BinaryIO) -> None:
    with pytest.raises(ArchiveError, match="unexpected"):
        read(make_deb(control, {}), spool)
