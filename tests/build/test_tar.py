"""Rule 2 of recipe 1: the header of every kind of entry, and when PAX is used."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.build.tar import tar_header
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError
from envcap.ustar import BLOCK, MAX_OCTAL_ID

FILE, DIRECTORY, SYMLINK, HARDLINK = EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK, EntryKind.HARDLINK


@dataclass(frozen=True, slots=True)
class Huge:
    """Content of a size that nobody reads here."""

    size: int

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("a header needs no bytes")


def fields(header: bytes) -> tuple[bytes, bytes, bytes]:
    """The prefix, name and link of the last block."""
    block = header[-BLOCK:]
    return block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0"), block[157:257].rstrip(b"\0")


def pax(header: bytes) -> bytes:
    """The records of an extended header, or nothing."""
    return header[BLOCK:-BLOCK].rstrip(b"\0")


def parsed(header: bytes) -> tarfile.TarInfo:
    """What `tarfile` makes of it."""
    with tarfile.open(fileobj=io.BytesIO(header + bytes(2 * BLOCK))) as archive:
        return archive.getmembers()[0]


@pytest.mark.parametrize(
    ("entry", "digest"),
    [
        (Entry("a", FILE, 0o644), "030f230709c6c1a77152590cfeebbb4a"),
        (Entry("opt/env/bin/x", FILE, 0o755, LiteralContent(b"12345")), "49eb83ec2421378c4bf0a32869b8444a"),
        (Entry("usr/bin/sudo", FILE, 0o4755, uid=0, gid=0), "1162298aeb0d8023e2f09c14712e6d37"),
        (Entry("var/mail", DIRECTORY, 0o2775, gid=8), "0f3ae54e59190dadece70dc2eb2bf45b"),
        (Entry("opt/env/lib64", SYMLINK, 0o777, target="lib"), "59bcb5ef8ddfd0baed11d01d687497ec"),
        (Entry("usr/bin/perl", HARDLINK, 0o755, target="usr/bin/perl5.36.0"), "cc2b693bcff89f24e9508d782fa52dc4"),
        (Entry("é", FILE, 0o644), "b6f9a8a5441523af6650b344254b020a"),
        (Entry("d" * 120, SYMLINK, 0o777, target="t" * 101), "699857e02ee47ed110c55a5b17c03c7b"),
    ],
)
def test_headers_are_these_bytes(entry: Entry, digest: str) -> None:
    assert sha256(tar_header(entry, epoch=1_700_000_000)).hexdigest()[:32] == digest


def test_a_short_header_has_one_block() -> None:
    header = tar_header(Entry("opt/a", FILE, 0o640, LiteralContent(b"xy"), uid=5, gid=6), epoch=7)
    assert len(header) == BLOCK
    assert header[:156].replace(b"\0", b" ").split()[:6] == [
        b"opt/a", b"0000640", b"0000005", b"0000006", b"00000000002", b"00000000007",
    ]  # fmt: skip


def test_100_bytes_of_name_fit_without_prefix() -> None:
    assert fields(tar_header(Entry("d/" + "x" * 98, FILE, 0o644), epoch=0)) == (b"", b"d/" + b"x" * 98, b"")


def test_101_bytes_are_split_at_the_last_slash_that_fits_the_prefix() -> None:
    path = "a/b/" + "x" * 97
    assert fields(tar_header(Entry(path, FILE, 0o644), epoch=0)) == (b"a/b", b"x" * 97, b"")


def test_101_bytes_without_a_slash_are_pax() -> None:
    header = tar_header(Entry("x" * 101, FILE, 0o644), epoch=0)
    assert pax(header) == b"111 path=" + b"x" * 101 + b"\n"
    assert fields(header) == (b"", b"x" * 100, b"")


@pytest.mark.parametrize(("prefix", "name", "fits"), [(155, 100, True), (156, 100, False), (155, 101, False)])
def test_a_prefix_has_155_bytes_and_a_name_100(prefix: int, name: int, fits: bool) -> None:  # noqa: FBT001 - a parameter of the test
    header = tar_header(Entry("p" * prefix + "/" + "n" * name, FILE, 0o644), epoch=0)
    assert (len(header) == BLOCK) is fits
    assert parsed(header).name == "p" * prefix + "/" + "n" * name


def test_a_slash_at_byte_155_ends_the_longest_prefix() -> None:
    path = "p" * 50 + "/" + "q" * 104 + "/" + "n" * 90
    assert fields(tar_header(Entry(path, FILE, 0o644), epoch=0))[0] == b"p" * 50 + b"/" + b"q" * 104


def test_a_directory_ends_with_a_slash_that_is_no_place_to_split() -> None:
    assert fields(tar_header(Entry("opt", DIRECTORY, 0o755), epoch=0))[1] == b"opt/"
    assert fields(tar_header(Entry("a/" + "d" * 97, DIRECTORY, 0o755), epoch=0))[:2] == (b"", b"a/" + b"d" * 97 + b"/")
    assert fields(tar_header(Entry("a/" + "d" * 98, DIRECTORY, 0o755), epoch=0))[:2] == (b"a", b"d" * 98 + b"/")
    assert pax(tar_header(Entry("a/" + "d" * 100, DIRECTORY, 0o755), epoch=0)).endswith(
        b"path=a/" + b"d" * 100 + b"/\n"
    )


def test_a_name_beyond_ascii_is_pax_and_legible_without_it() -> None:
    header = tar_header(Entry("é/x", FILE, 0o644), epoch=0)
    assert pax(header) == b"13 path=\xc3\xa9/x\n"
    assert fields(header)[1] == b"?/x"


@pytest.mark.parametrize(
    ("target", "records"),
    [
        ("t" * 100, b""),
        ("t" * 101, b"115 linkpath=" + b"t" * 101 + b"\n"),
        ("é", b"15 linkpath=\xc3\xa9\n"),
    ],
)
@pytest.mark.parametrize("kind", [SYMLINK, HARDLINK])
def test_a_long_target_is_pax(kind: EntryKind, target: str, records: bytes) -> None:
    header = tar_header(Entry("a", kind, 0o777, target=target), epoch=0)
    assert pax(header) == records
    assert parsed(header).linkname == target


@pytest.mark.parametrize(("size", "records"), [(8**11 - 1, b""), (8**11, b"19 size=8589934592\n")])
def test_a_size_of_8_gib_is_pax(size: int, records: bytes) -> None:
    header = tar_header(Entry("a", FILE, 0o644, Huge(size)), epoch=0)
    assert pax(header) == records
    assert header[-BLOCK:][124:136] == (b"00000000000\0" if records else b"77777777777\0")


def test_pax_records_have_a_fixed_order_and_the_epoch_of_their_file() -> None:
    link = tar_header(Entry("é", SYMLINK, 0o777, target="ü"), epoch=8)
    assert pax(link) == b"15 linkpath=\xc3\xbc\n11 path=\xc3\xa9\n"
    assert link[136:148] == link[-BLOCK:][136:148] == b"00000000010\0"
    huge = tar_header(Entry("é", FILE, 0o644, Huge(8**11)), epoch=0)
    assert pax(huge) == b"11 path=\xc3\xa9\n19 size=8589934592\n"


def test_only_files_have_a_size() -> None:
    header = tar_header(Entry("a", SYMLINK, 0o777, LiteralContent(b"xyz"), target="b"), epoch=0)
    assert header[124:136] == b"00000000000\0"


@pytest.mark.parametrize(("path", "target"), [("a\udcff", ""), ("a", "b\udcff")])
def test_a_name_that_is_not_utf_8_is_refused(path: str, target: str) -> None:
    with pytest.raises(BuildError, match=r"numpy: the name .* is not valid UTF-8"):
        tar_header(Entry(path, SYMLINK, 0o777, target=target, owner="numpy"), epoch=0)


@pytest.mark.parametrize("owner", [(MAX_OCTAL_ID + 1, 0), (0, MAX_OCTAL_ID + 1)])
def test_an_owner_beyond_the_field_is_refused(owner: tuple[int, int]) -> None:
    with pytest.raises(BuildError, match="too large for a tar header"):
        tar_header(Entry("a", FILE, 0o644, uid=owner[0], gid=owner[1]), epoch=0)
    assert len(tar_header(Entry("a", FILE, 0o644, uid=MAX_OCTAL_ID, gid=MAX_OCTAL_ID), epoch=0)) == BLOCK


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=120)


@given(
    path=st.lists(NAMES, min_size=1, max_size=5).map("/".join),
    kind=st.sampled_from([DIRECTORY, SYMLINK, HARDLINK, FILE]),
    target=NAMES,
    mode=st.integers(0, 0o7777),
    epoch=st.integers(0, 2**33 - 1),
)
def test_tarfile_reads_back_what_was_written(path: str, kind: EntryKind, target: str, mode: int, epoch: int) -> None:
    is_link = kind in (SYMLINK, HARDLINK)
    info = parsed(tar_header(Entry(path, kind, mode, target=target if is_link else ""), epoch=epoch))
    assert (info.name, info.mode, info.mtime) == (path, mode, epoch)
    assert info.linkname == (target if is_link else "")
    assert [info.isdir(), info.issym(), info.islnk(), info.isreg()].index(True) == [
        DIRECTORY, SYMLINK, HARDLINK, FILE,
    ].index(kind)  # fmt: skip
