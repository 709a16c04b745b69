"""Zips that are read: content, chunks, ZIP64, data descriptors, remote reading, threads."""

import io
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.access import FileReader
from envcap.archives.limits import ArchiveLimits
from envcap.archives.zip import DeflatedMember, StoredMember, ZipArchive, open_zip
from envcap.digest import CHUNK_SIZE
from envcap.errors import ArchiveError
from tests.archives.fakes import MemoryReader
from tests.archives.zip_builder import FakeMember, build_zip, deflated, descriptor, extra_field

if TYPE_CHECKING:
    from envcap.entry import Content


def opened(data: bytes) -> ZipArchive:
    return open_zip(MemoryReader(data), name="x.whl")


def contents(archive: ZipArchive) -> dict[str, bytes]:
    return {m.name: b"".join(archive.content(m).chunks()) for m in archive.members if not m.is_directory}


def stdlib_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


_paths = st.lists(st.text("abcé.-_ ", min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)


def _is_tree(files: dict[str, bytes]) -> bool:
    """No two names fold together, none is `.` or `..`, and no file is also a directory."""
    parts = [name.split("/") for name in files]
    folded = {name.casefold() for name in files}
    parents = {"/".join(names[:depth]) for names in parts for depth in range(1, len(names))}
    return (
        len(folded) == len(files) and not any({".", ".."} & set(names) for names in parts) and not parents & set(files)
    )


@settings(deadline=None)
@given(
    st.dictionaries(_paths, st.binary(max_size=300), max_size=6).filter(_is_tree),
    st.sampled_from([1, 3000]),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_what_zipfile_writes_is_read_back_equal(seeds: dict[str, bytes], times: int, method: int) -> None:
    files = {name: seed * times for name, seed in seeds.items()}
    assert contents(opened(stdlib_zip(files, method))) == files


def test_member_carries_mode_sizes_and_crc() -> None:
    archive = opened(build_zip(FakeMember(name=b"bin/run", data=b"x" * 1000, mode=0o104755)))
    (member,) = archive.members
    assert (member.name, member.mode, member.method, member.size) == ("bin/run", 0o755, 8, 1000)
    assert member.crc == zlib.crc32(b"x" * 1000)
    assert member.compressed_size == len(deflated(b"x" * 1000))
    assert member.header_offset == 0


def test_directory_is_told_from_file() -> None:
    directory = FakeMember(name=b"d/", data=b"", method=0, mode=0o40755)
    archive = opened(build_zip(directory, FakeMember(name=b"d/a")))
    assert [(m.name, m.is_directory) for m in archive.members] == [("d", True), ("d/a", False)]


def test_empty_zip_has_no_members() -> None:
    assert opened(build_zip()).members == ()


def test_contents_satisfy_the_protocols_of_entries() -> None:
    archive = opened(build_zip(FakeMember(), FakeMember(name=b"b", method=0)))
    first, second = (archive.content(member) for member in archive.members)
    assert isinstance(first, DeflatedMember)
    assert isinstance(second, StoredMember)
    stored: Content = second
    assert b"".join(first.deflated_chunks()) == deflated(b"hello")
    assert (first.crc, first.size) == (zlib.crc32(b"hello"), 5)
    assert b"".join(stored.chunks()) == b"hello"


LARGE = bytes(range(256)) * 20_000 + b"\0" * (40 * CHUNK_SIZE // 16)


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("level", [0, 6])
def test_spliced_chunks_give_raw_and_inflated_in_one_pass(data: bytes, level: int) -> None:
    raw = deflated(data, level)
    archive = opened(build_zip(FakeMember(data=data, raw=raw)))
    content = archive.content(archive.members[0])
    assert isinstance(content, DeflatedMember)
    pairs = list(content.spliced_chunks())
    assert b"".join(left for left, _ in pairs) == raw
    assert b"".join(right for _, right in pairs) == data
    assert all(len(left) <= CHUNK_SIZE and len(right) <= CHUNK_SIZE for left, right in pairs)
    assert b"".join(content.chunks()) == data
    assert b"".join(content.deflated_chunks()) == raw


def test_highly_compressed_member_comes_in_bounded_chunks() -> None:
    data = b"\0" * (9 << 20)
    archive = opened(build_zip(FakeMember(data=data)))
    sizes = [len(chunk) for chunk in archive.content(archive.members[0]).chunks()]
    assert max(sizes) <= CHUNK_SIZE
    assert sum(sizes) == len(data)


def test_large_stored_member_is_read_in_chunks() -> None:
    archive = opened(build_zip(FakeMember(data=LARGE, method=0)))
    chunks = list(archive.content(archive.members[0]).chunks())
    assert b"".join(chunks) == LARGE
    assert max(map(len, chunks)) <= CHUNK_SIZE


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("long", [True, False])
@pytest.mark.parametrize("zeroed", [True, False])
def test_data_descriptor_is_accepted_when_it_agrees(marked: bool, long: bool, zeroed: bool) -> None:  # noqa: FBT001
    local: dict[str, int | bytes] = {"crc": 0, "size": 0, "compressed_size": 0} if zeroed else {}
    member = FakeMember(flags=8, local=local, after=descriptor(b"hello", marked=marked, long=long))
    assert contents(opened(build_zip(member, FakeMember(name=b"b")))) == {"a.txt": b"hello", "b": b"hello"}


def test_zipfile_streaming_to_a_pipe_is_read() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            assert isinstance(data, bytes)
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("é", b"hello")
    assert contents(opened(pipe.data)) == {"é": b"hello"}


def test_zip64_end_records_and_sizes_are_read() -> None:
    sizes = extra_field(1, struct.pack("<QQ", 5, len(deflated(b"hello"))))
    long: dict[str, int | bytes] = {"size": 0xFFFFFFFF, "compressed_size": 0xFFFFFFFF, "extra": sizes}
    central = long | {"offset": 0xFFFFFFFF, "extra": extra_field(1, sizes[4:] + struct.pack("<Q", 0))}
    data = build_zip(FakeMember(local=long, central=central), FakeMember(name=b"b"), zip64={})
    assert contents(opened(data)) == {"a.txt": b"hello", "b": b"hello"}


def test_zip64_written_by_zipfile_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"hello")
    assert contents(opened(buffer.getvalue())) == {"a": b"hello"}


def test_surplus_zip64_field_that_repeats_the_header_is_accepted() -> None:
    """protobuf's wheels, made by Bazel, have one in every local header."""
    extra = extra_field(1, struct.pack("<QQ", 5, len(deflated(b"hello"))))
    assert contents(opened(build_zip(FakeMember(local={"extra": extra})))) == {"a.txt": b"hello"}


def test_unknown_extra_field_and_agreeing_unicode_path_are_accepted() -> None:
    path = extra_field(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"a.txt")) + b"a.txt")
    extra = extra_field(0x5455, b"\1\0\0\0\0") + path
    assert contents(opened(build_zip(FakeMember(extra=extra)))) == {"a.txt": b"hello"}


def test_repeated_member_with_equal_bytes_is_dropped() -> None:
    archive = opened(build_zip(FakeMember(), FakeMember(name=b"b"), FakeMember()))
    assert [member.name for member in archive.members] == ["a.txt", "b"]


def test_twins_with_equal_bytes_are_kept() -> None:
    archive = opened(
        build_zip(
            FakeMember(name=b"README", data=LARGE, method=0),
            FakeMember(name=b"readme", data=LARGE, method=0, local={"extra": extra_field(9, b"12345")}),
        )
    )
    assert [member.name for member in archive.members] == ["README", "readme"]


def test_members_stay_in_the_order_of_the_directory_whatever_their_offsets() -> None:
    first, second = FakeMember(name=b"b"), FakeMember(name=b"a")
    data = build_zip(first, second)
    start = data.index(b"PK\1\2")
    entry = (len(data) - 22 - start) // 2
    swapped = data[:start] + data[start + entry : start + 2 * entry] + data[start : start + entry] + data[-22:]
    assert [member.name for member in opened(swapped).members] == ["a", "b"]


def test_directory_alone_is_read_from_a_server_in_one_read() -> None:
    reader = MemoryReader(build_zip(*(FakeMember(name=b"m%d" % i, data=b"x" * 99, method=0) for i in range(900))))
    archive = open_zip(reader, name="x.whl")
    assert len(archive.members) == 900
    assert reader.reads == [(reader.size - 65536, 65536)]


def test_large_directory_is_read_from_a_server_in_two_reads() -> None:
    reader = MemoryReader(build_zip(*(FakeMember(name=b"name%06d" % i, data=b"") for i in range(3000))))
    archive = open_zip(reader, name="x.whl")
    assert len(reader.reads) == 2
    assert sum(length for _, length in reader.reads) < reader.size
    assert archive.members[-1].name == "name002999"


def test_small_member_costs_one_read() -> None:
    reader = MemoryReader(build_zip(FakeMember(), FakeMember(name=b"b")))
    archive = open_zip(reader, name="x.whl")
    reader.reads.clear()
    assert archive.read_member(archive.members[1], 100) == b"hello"
    assert len(reader.reads) == 1


def test_read_member_is_bounded() -> None:
    archive = opened(build_zip(FakeMember(data=b"x" * 101)))
    with pytest.raises(ArchiveError, match=r"x.whl: member 'a.txt' has 101 bytes \(expected at most 100\)"):
        archive.read_member(archive.members[0], 100)


def test_many_threads_read_one_archive(tmp_path: Path) -> None:
    files = {f"f{i}": bytes([i]) * (i * 1000) for i in range(50)}
    path = tmp_path / "x.whl"
    path.write_bytes(stdlib_zip(files))
    with FileReader(path) as reader, ThreadPoolExecutor(8) as pool:
        archive = open_zip(reader, name="x.whl")
        members = list(archive.members) * 4
        found = pool.map(lambda member: b"".join(archive.content(member).chunks()), members)
        assert list(found) == [files[member.name] for member in members]


def test_member_that_is_read_twice_gives_the_same_bytes() -> None:
    archive = opened(build_zip(FakeMember()))
    content = archive.content(archive.members[0])
    assert b"".join(content.chunks()) == b"".join(content.chunks()) == b"hello"


def test_zip_in_zip_is_only_content() -> None:
    inner = build_zip(FakeMember(name=b"inner"))
    archive = opened(build_zip(FakeMember(name=b"data.zip", data=inner, method=0)))
    assert contents(archive) == {"data.zip": inner}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(members=1), "2 members (expected at most 1)"),
        (ArchiveLimits(total=1999), "expands to 2000 bytes (expected at most 1999)"),
        (ArchiveLimits(ratio=2, ratio_floor=1999), "expand to 2000, more than 2 times"),
        (ArchiveLimits(directory=60), "central directory of "),
    ],
)
def test_caps_hold_before_anything_is_inflated(limits: ArchiveLimits, reason: str) -> None:
    data = build_zip(FakeMember(data=b"x" * 1000), FakeMember(name=b"b", data=b"x" * 1000))
    with pytest.raises(ArchiveError) as caught:
        open_zip(MemoryReader(data), name="x.whl", limits=limits)
    assert reason in caught.value.message
    assert len(open_zip(MemoryReader(data), name="x.whl").members) == 2
