"""Tars that are read, and tars that are refused, each with its reason."""

import io
import tarfile
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.limits import ArchiveLimits
from envcap.archives.tar import TarMember, TarRules, read_tar
from envcap.digest import CHUNK_SIZE
from envcap.entry import EMPTY, EntryKind
from envcap.errors import ArchiveError
from tests.archives.tar_builder import BLOCK, END, extension, file, header, pax


@pytest.fixture
def spool() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as temporary:
        yield temporary


def read(data: bytes, spool: BinaryIO, rules: TarRules = TarRules.DEBIAN) -> list[TarMember]:
    return read_tar(io.BytesIO(data), name="x.deb", spool=spool, rules=rules)


def refusal(data: bytes, rules: TarRules = TarRules.DEBIAN) -> str:
    with tempfile.TemporaryFile() as spool, pytest.raises(ArchiveError) as caught:
        read(data, spool, rules)
    assert caught.value.message.startswith("x.deb")
    return caught.value.message


def content(member: TarMember) -> bytes:
    return b"".join(member.content.chunks())


def test_members_of_each_kind_are_read(spool: BinaryIO) -> None:
    data = (
        header(b"./", kind=b"5", mode=0o755)
        + header(b"./usr/", kind=b"5", mode=0o755, uid=1, gid=2)
        + file(b"./usr/run", b"#!", mode=b"0004755\0")
        + header(b"./usr/same", kind=b"1", link=b"./usr/run")
        + header(b"./usr/soft", kind=b"2", link=b"../etc/run", mode=0o777)
        + END
    )
    directory, plain, hard, soft = read(data, spool)
    assert (directory.path, directory.kind, directory.uid, directory.gid) == ("usr", EntryKind.DIRECTORY, 1, 2)
    assert (plain.path, plain.kind, plain.mode, plain.size) == ("usr/run", EntryKind.FILE, 0o4755, 2)
    assert content(plain) == b"#!"
    assert (hard.path, hard.kind, hard.target, hard.content) == ("usr/same", EntryKind.HARDLINK, "usr/run", EMPTY)
    assert (soft.path, soft.kind, soft.target) == ("usr/soft", EntryKind.SYMLINK, "../etc/run")


def test_large_content_comes_in_chunks_any_number_of_times(spool: BinaryIO) -> None:
    data = bytes(range(256)) * 10_000
    (member,) = read(file(b"a", data) + END, spool)
    assert content(member) == content(member) == data
    assert max(map(len, member.content.chunks())) <= CHUNK_SIZE


def test_two_tars_share_a_spool(spool: BinaryIO) -> None:
    (one,) = read(file(b"a", b"one") + END, spool)
    (two,) = read(file(b"a", b"two") + END, spool)
    assert (content(one), content(two)) == (b"one", b"two")


def test_cut_spool_is_an_error(spool: BinaryIO) -> None:
    (member,) = read(file() + END, spool)
    spool.truncate(3)
    with pytest.raises(ArchiveError, match="The spool ends at byte 3"):
        content(member)


def test_posix_prefix_long_names_and_pax_names_are_resolved(spool: BinaryIO) -> None:
    long = "d/" * 60 + "n" * 100
    data = (
        file(b"base", magic=b"ustar\x0000", prefix=b"some/dir")
        + extension(b"L", f"./{long}1".encode() + b"\0")
        + file(b"cut")
        + extension(b"K", f"{long}2".encode() + b"\0")
        + extension(b"L", b"soft\0")
        + header(b"cut", kind=b"2", link=b"cut")
        + pax(path=f"{long}é", mtime="1.5", SCHILY__xattr__user__x="1", uid="7", gid="8", size="5")
        + file(b"cut")
        + pax(linkpath=f"{long}4")
        + header(b"soft2", kind=b"2", link=b"cut")
        + END
    )
    members = read(data, spool)
    assert [member.path for member in members] == ["some/dir/base", f"{long}1", "soft", f"{long}é", "soft2"]
    assert [member.target for member in members] == ["", "", f"{long}2", "", f"{long}4"]
    assert (members[3].uid, members[3].gid) == (7, 8)


def test_global_header_with_a_comment_is_accepted(spool: BinaryIO) -> None:
    assert [m.path for m in read(pax(b"g", comment="a commit") + file(b"a") + END, spool)] == ["a"]


def test_padding_after_the_end_may_have_any_length(spool: BinaryIO) -> None:
    assert len(read(file() + END + bytes(9000), spool)) == 1


def test_empty_tar_has_no_members(spool: BinaryIO) -> None:
    assert read(END, spool) == []


def test_exact_repetition_is_dropped(spool: BinaryIO) -> None:
    data = header(b"d", kind=b"5") + file(b"d/a") + header(b"d/", kind=b"5") + file(b"d/a")
    assert [member.path for member in read(data + END, spool)] == ["d", "d/a"]


def test_positive_base256_numbers_are_read(spool: BinaryIO) -> None:
    (member,) = read(header(b"d", kind=b"5", uid=b"\x80" + (1000).to_bytes(7, "big")) + END, spool)
    assert member.uid == 1000


@pytest.mark.parametrize("link", [b"/etc/x", b"a/../../b", b"..", b"../../usr/bin", b"/", b"."])
def test_symlink_within_the_root_is_accepted_for_debian(spool: BinaryIO, link: bytes) -> None:
    (member,) = read(header(b"usr/lib/l", kind=b"2", link=link) + END, spool)
    assert member.target == link.decode()


def test_debian_rules_accept_what_debian_packages_hold(spool: BinaryIO) -> None:
    data = file(b"./system-systemd\\x2dcryptsetup.slice") + file(b"xt_MARK.h", b"1") + file(b"xt_mark.h", b"2") + END
    assert len(read(data, spool)) == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (file(b"a\\b"), "has a backslash"),
        (file(b"xt_MARK.h", b"1") + file(b"xt_mark.h", b"2"), "only in case or Unicode form"),
        (header(b"l", kind=b"2", link=b"/etc/x"), "is absolute: '/etc/x'"),
        (header(b"l", kind=b"2", link=b"a\\b"), "(expected a path)"),
    ],
)
def test_portable_rules_refuse_it(data: bytes, reason: str) -> None:
    assert reason in refusal(data + END, TarRules.PORTABLE)


@pytest.mark.parametrize(
    ("limits", "compressed", "reason"),
    [
        (ArchiveLimits(members=1), None, "2 members (expected at most 1)"),
        (ArchiveLimits(total=3000), None, "expands to 3072 bytes (expected at most 3000)"),
        (ArchiveLimits(ratio=10, ratio_floor=1000), 200, "200 bytes expand to 2048, more than 10 times"),
    ],
)
def test_caps_hold(limits: ArchiveLimits, compressed: int | None, reason: str, spool: BinaryIO) -> None:
    data = io.BytesIO(file(b"a") + file(b"b") + bytes(9000))
    with pytest.raises(ArchiveError) as caught:
        read_tar(data, name="x.deb", spool=spool, limits=limits, compressed_size=compressed)
    assert reason in caught.value.message


def test_announced_bomb_is_refused_before_a_byte_is_spooled(spool: BinaryIO) -> None:
    data = io.BytesIO(header(size=1 << 32) + bytes(1 << 20))
    with pytest.raises(ArchiveError, match="more than 200 times"):
        read_tar(data, name="x.deb", spool=spool, compressed_size=1000)
    assert spool.tell() == 0
    assert data.tell() == BLOCK


_names = st.text("abcé.-_ \\", min_size=1, max_size=70).filter(lambda name: name.strip("."))
_trees = st.lists(
    st.tuples(_names, st.sampled_from("0125"), st.binary(max_size=1500), st.integers(0, 0o7777), st.integers(0, 99999)),
    max_size=8,
    unique_by=lambda row: row[0],
)


@settings(deadline=None)
@given(_trees, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_tarfile_writes_is_read_back_equal(rows: list[tuple[str, str, bytes, int, int]], form: int) -> None:
    buffer = io.BytesIO()
    expected = []
    first = ""
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, data, mode, owner in rows:
            info = tarfile.TarInfo(f"./top/{name * 3}")
            info.type = kind.encode() if kind != "1" or first else b"0"
            info.mode, info.uid, info.gid, info.mtime = mode, owner, owner + 1, 1.5
            info.linkname = {b"1": f"./{first}", b"2": f"../{name}/" * 9}.get(info.type, "")
            info.size = len(data) if info.type == b"0" else 0
            archive.addfile(info, io.BytesIO(data))
            path = f"top/{name * 3}"
            first = first or (path if info.type == b"0" else "")
            target = info.linkname.removeprefix("./") if info.type == b"1" else info.linkname
            expected.append((path, mode, owner, owner + 1, target, data if info.type == b"0" else b""))
    with tempfile.TemporaryFile() as spool:
        members = read(buffer.getvalue(), spool)
        found = [(m.path, m.mode, m.uid, m.gid, m.target, content(m)) for m in members]
    assert found == expected
