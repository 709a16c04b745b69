"""Zips that are refused, each with its reason: one hostile archive per rule (notes/security.md, T5 to T13)."""

import zlib

import pytest

from envcap.archives.zip import open_zip
from envcap.errors import ArchiveError
from tests.archives.fakes import MemoryReader
from tests.archives.zip_builder import FakeMember, build_zip, deflated, extra_field

RAW = deflated(b"hello")
B = FakeMember(name=b"b")


def read_all(data: bytes) -> None:
    archive = open_zip(MemoryReader(data), name="x.whl")
    for member in archive.members:
        for _ in archive.content(member).chunks():
            pass


def refusal(data: bytes) -> str:
    """Open a zip and read all of it; give the reason of the refusal."""
    with pytest.raises(ArchiveError) as caught:
        read_all(data)
    assert caught.value.message.startswith("x.whl")
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"../x", "a `..` component"),
        (b"/etc/passwd", "an absolute path"),
        (b"a\\b", "a backslash"),
        (b"C:x", "a drive letter"),
        (b"a\nb", "a control character"),
        (b"a\0b", "a control character"),
        (b"pkg/.wh..wh..opq", "a `.wh.` component"),
        (b"", "an empty name"),
        (b"/", "an empty name"),
        (b"a//", "an empty component"),
    ],
)
def test_hostile_name(name: bytes, reason: str) -> None:
    assert reason in refusal(build_zip(FakeMember(name=name, data=b"", mode=0)))


@pytest.mark.parametrize(("name", "flags"), [(b"\xff", 0x800), ("é".encode(), 0), (b"\xed\xa0\x80", 0x800)])
def test_name_that_is_not_utf8_or_not_marked_so(name: bytes, flags: int) -> None:
    assert "is not UTF-8, or not marked as such" in refusal(build_zip(FakeMember(name=name, flags=flags)))


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777, 0o040755])
def test_symlink_device_fifo_socket_or_misnamed_directory(kind: int) -> None:
    assert f"has file type {kind & 0o170000:#o} (expected a regular file)" in refusal(build_zip(FakeMember(mode=kind)))


def test_file_named_as_directory() -> None:
    assert "expected a directory" in refusal(build_zip(FakeMember(name=b"d/", data=b"", mode=0o100644)))


def test_directory_with_content() -> None:
    assert "is a directory with 5 bytes" in refusal(build_zip(FakeMember(name=b"d/", mode=0)))


@pytest.mark.parametrize(
    ("flags", "reason"), [(1, "is encrypted"), (0x20, "unknown flags 0x20"), (0x2000, "unknown flags")]
)
def test_encrypted_or_unknown_flags(flags: int, reason: str) -> None:
    assert reason in refusal(build_zip(FakeMember(flags=flags)))


def test_member_that_needs_a_newer_zip() -> None:
    assert "needs zip version 64 (expected at most 63)" in refusal(build_zip(FakeMember(central={"version": 64})))


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_method_other_than_stored_and_deflate(method: int) -> None:
    assert f"has compression method {method}" in refusal(build_zip(FakeMember(method=method)))


def test_duplicate_name_with_other_bytes() -> None:
    assert "two members are named 'a.txt'" in refusal(build_zip(FakeMember(), FakeMember(data=b"other")))


def test_duplicate_name_with_other_bytes_and_forged_crc() -> None:
    forged: dict[str, int | bytes] = {"crc": zlib.crc32(b"hello")}
    twin = FakeMember(data=b"hullo", method=0, local=forged, central=forged)
    assert "two members are named 'a.txt'" in refusal(build_zip(FakeMember(method=0), twin))


def test_duplicate_name_with_other_mode() -> None:
    assert "two members are named" in refusal(build_zip(FakeMember(), FakeMember(mode=0o100755)))


@pytest.mark.parametrize(
    ("one", "other"), [("A", "a"), ("é", "e\N{COMBINING ACUTE ACCENT}"), ("ß", "ss")], ids=["case", "nfd", "fold"]
)
def test_twins_with_other_bytes(one: str, other: str) -> None:
    members = (FakeMember(name=n.encode(), data=n.encode(), flags=0x800) for n in (one, other))
    assert "only in case or Unicode form" in refusal(build_zip(*members))


def test_file_below_a_file() -> None:
    assert "lies below 'a.txt'" in refusal(build_zip(FakeMember(), FakeMember(name=b"a.txt/b")))


@pytest.mark.parametrize("shift", [True, False])
def test_prefixed_data(shift: bool) -> None:  # noqa: FBT001
    reason = refusal(build_zip(FakeMember(), prefix=b"#!/bin/sh\n", shift=shift))
    assert ("data before the first member" if shift else "prefixed, hidden or missing data") in reason


def test_trailing_data() -> None:
    assert "no zip end record" in refusal(build_zip(FakeMember()) + b"\0")


def test_archive_comment() -> None:
    assert "no zip end record" in refusal(build_zip(FakeMember(), comment=b"hi"))


def test_second_end_record_in_the_comment() -> None:
    """The outer end record has a comment that is itself an end record of another archive."""
    other = build_zip(FakeMember(name=b"evil"))
    assert "prefixed, hidden or missing data" in refusal(build_zip(FakeMember(), comment=other))


def test_comment_announced_but_missing() -> None:
    assert "announces a comment of 7 bytes" in refusal(build_zip(FakeMember(), end={"comment_length": 7}))


def test_member_comment() -> None:
    assert "has a comment or another disk" in refusal(build_zip(FakeMember(central={"comment": b"hi"})))


@pytest.mark.parametrize(
    "end", [{"disk": 1}, {"first_disk": 1}, {"count_here": 0}], ids=["disk", "first disk", "count"]
)
def test_multi_disk_zip(end: dict[str, int]) -> None:
    assert "multi-disk" in refusal(build_zip(FakeMember(), end=end))


def test_member_on_another_disk() -> None:
    assert "has a comment or another disk" in refusal(build_zip(FakeMember(central={"disk": 1})))


def test_directory_with_fewer_members_than_said() -> None:
    data = build_zip(FakeMember(), end={"count": 2, "count_here": 2})
    assert "central directory has 1 members (expected 2)" in refusal(data)


def test_directory_with_more_members_than_said() -> None:
    data = build_zip(FakeMember(), B, end={"count": 1, "count_here": 1})
    assert "more bytes in the central directory" in refusal(data)


def test_data_between_directory_and_end_record() -> None:
    assert "prefixed, hidden or missing data" in refusal(build_zip(FakeMember(), after_directory=b"x"))


def test_data_hidden_before_the_directory() -> None:
    assert "is followed by 5 bytes that belong to no member" in refusal(
        build_zip(FakeMember(), before_directory=b"12345")
    )


def test_data_hidden_between_members() -> None:
    hidden = build_zip(FakeMember(name=b"hidden"))[:-70]
    assert "bytes that belong to no member" in refusal(build_zip(FakeMember(after=hidden), B))


def test_two_directory_entries_for_one_member() -> None:
    assert "two members overlap" in refusal(build_zip(FakeMember(), FakeMember(name=b"b", central={"offset": 0})))


def test_member_that_overlaps_the_next() -> None:
    """The quoted-overlap bomb (CVE-2024-0450): one member's data holds the next member's header."""
    inner = FakeMember(name=b"b")
    plain = build_zip(inner)
    size = len(plain) - 22
    outer = FakeMember(name=b"a", method=0, data=b"", local={"size": size, "compressed_size": size})
    outer_central: dict[str, int | bytes] = {"size": size, "compressed_size": size}
    outer = FakeMember(name=b"a", method=0, data=b"", local=outer.local, central=outer_central)
    assert "member 'a' overlaps what follows" in refusal(build_zip(outer, inner))


def test_local_header_whose_extra_field_pushes_data_into_the_next_member() -> None:
    data = extra_field(0x9999, b"12345")
    member = FakeMember(method=0, data=data, local={"extra_length": len(data)})
    assert "overlaps what follows" in refusal(build_zip(member, B))


def test_stored_member_of_two_sizes() -> None:
    lie: dict[str, int | bytes] = {"size": 6}
    assert "is stored, but 5 bytes stand for 6" in refusal(build_zip(FakeMember(method=0, local=lie, central=lie)))


@pytest.mark.parametrize("method", [0, 8])
def test_wrong_crc(method: int) -> None:
    lie: dict[str, int | bytes] = {"crc": 7}
    assert "has CRC 3610a686 (expected 00000007)" in refusal(
        build_zip(FakeMember(method=method, local=lie, central=lie))
    )


@pytest.mark.parametrize(
    ("raw", "size", "reason"),
    [
        (RAW, 4, "inflates to more than its 4 bytes"),
        (RAW, 6, "inflates to 1 bytes less than announced"),
        (RAW, 0, "inflates to more than its 0 bytes"),
        (RAW[:-1], 5, "is truncated: its DEFLATE stream doesn't end"),
        (b"", 5, "is truncated"),
        (RAW + b"x", 5, "has data after the end of its DEFLATE stream"),
        (RAW + b"x" * (2 << 20), 5, "has data after the end of its DEFLATE stream"),
        (b"\xff" * 9, 5, "is not a DEFLATE stream"),
    ],
)
def test_deflate_stream_that_is_not_the_member(raw: bytes, size: int, reason: str) -> None:
    lie: dict[str, int | bytes] = {"size": size}
    assert reason in refusal(build_zip(FakeMember(raw=raw, local=lie, central=lie)))


def test_bomb_that_lies_about_its_size_is_stopped_at_the_size_it_told() -> None:
    lie: dict[str, int | bytes] = {"size": 100}
    data = build_zip(FakeMember(raw=deflated(b"\0" * (50 << 20)), local=lie, central=lie))
    assert "inflates to more than its 100 bytes" in refusal(data)


def test_bomb_that_tells_its_size_is_refused_unread() -> None:
    reader = MemoryReader(build_zip(FakeMember(data=b"\0" * (30 << 20))))
    with pytest.raises(ArchiveError, match="more than 200 times"):
        open_zip(reader, name="x.whl")
    assert len(reader.reads) == 1


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6" + bytes(17), b"\0" * 100, b"not a zip" * 99])
def test_what_is_no_zip(data: bytes) -> None:
    assert "no zip end record" in refusal(data)


def test_file_that_shrinks_while_it_is_read() -> None:
    reader = MemoryReader(build_zip(FakeMember()))
    archive = open_zip(reader, name="x.whl")
    reader.data = reader.data[:20]
    with pytest.raises(ArchiveError, match="truncated"):
        archive.read_member(archive.members[0], 100)
