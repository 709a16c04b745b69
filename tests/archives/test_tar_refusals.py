"""Tars that are refused, each with its reason: one hostile archive per rule (notes/security.md, T6 to T13)."""

import pytest

from tests.archives.tar_builder import BLOCK, END, extension, file, header, pax, pax_record
from tests.archives.test_tar import refusal

HOSTILE = {
    "parent": (file(b"../x"), "a `..` component"),
    "inner parent": (file(b"./a/../../x"), "a `..` component"),
    "absolute": (file(b"/etc/passwd"), "an absolute path"),
    "absolute after dot": (file(b".//etc/passwd"), "an absolute path"),
    "twice dot": (file(b"././a"), "a `.` component"),
    "dot file": (file(b"."), "a `.` component"),
    "whiteout": (file(b"d/.wh..wh..opq"), "a `.wh.` component"),
    "newline": (file(b"a\nb"), "a control character"),
    "not utf-8": (file(b"\xff\xfe"), "is not UTF-8"),
    "file with slash": (file(b"a/"), "an empty component"),
    "empty name": (file(b""), "an empty name"),
    "nul in long name": (extension(b"L", b"a\0b\0") + file(), "a control character"),
    "pax name outside": (pax(path="../x") + file(), "a `..` component"),
    "character device": (header(kind=b"3"), "is a character device"),
    "block device": (header(kind=b"4"), "is a block device"),
    "fifo": (header(kind=b"6"), "is a FIFO"),
    "contiguous": (header(kind=b"7"), "is a contiguous file"),
    "sparse": (header(kind=b"S"), "is sparse"),
    "solaris acl": (header(kind=b"A"), "is of unknown type 'A'"),
    "volume label": (header(kind=b"V"), "is of unknown type 'V'"),
    "hard link outside": (header(kind=b"1", link=b"../etc/shadow"), "which is no earlier file"),
    "hard link absolute": (header(kind=b"1", link=b"/etc/shadow"), "which is no earlier file"),
    "hard link forward": (header(b"a", kind=b"1", link=b"b") + file(b"b"), "which is no earlier file"),
    "hard link to link": (
        header(b"a", kind=b"2", link=b"/etc/shadow") + header(b"b", kind=b"1", link=b"a"),
        "which is no earlier file",
    ),
    "hard link to itself": (file(b"a") + header(b"a", kind=b"1", link=b"a"), "which is no earlier file"),
    "symlink over root": (header(b"a/l", kind=b"2", link=b"../../x"), "climbs over the root"),
    "absolute symlink over root": (header(b"a/l", kind=b"2", link=b"/../x"), "climbs over the root"),
    "symlink down and up": (header(b"l", kind=b"2", link=b"a/../../x"), "climbs over the root"),
    "symlink to nothing": (header(kind=b"2"), "(expected a path)"),
    "symlink with newline": (header(kind=b"2", link=b"a\nb"), "a control character"),
    "file below symlink": (header(b"a", kind=b"2", link=b"/etc") + file(b"a/x"), "lies below 'a'"),
    "file below file": (file(b"a") + file(b"a/x"), "lies below 'a'"),
    "duplicate bytes": (file(b"a", b"1") + file(b"a", b"2"), "two members are named 'a'"),
    "duplicate spelt otherwise": (file(b"a", b"1") + file(b"./a", b"2"), "two members are named 'a'"),
    "duplicate kind": (header(b"a", kind=b"5") + header(b"a", kind=b"2", link=b"x"), "two members are named 'a'"),
    "duplicate mode": (header(b"a", mode=1) + header(b"a", mode=2), "two members are named 'a'"),
    "pax size smaller": (pax(size="0") + file(), "PAX size 0 contradicts the header's 5"),
    "pax size of a field of zero": (pax(size="512") + header() + file(b"evil"), "PAX size 512 contradicts"),
    "pax size sign": (pax(size="-5") + file(), "is not a number"),
    "pax size underscore": (pax(size="1_0") + file(), "is not a number"),
    "pax sparse": (pax(GNU__sparse__major="1") + file(), "unknown PAX record 'GNU.sparse.major'"),
    "pax realsize": (pax(SCHILY__realsize="1") + file(), "unknown PAX record 'SCHILY.realsize'"),
    "pax charset": (pax(hdrcharset="BINARY") + file(), "unknown PAX record 'hdrcharset'"),
    "pax uid": (pax(uid=str(2**31)) + file(), "uid 2147483648 (expected at most"),
    "pax record repeated": (extension(b"x", pax_record("path", "a") * 2) + file(), "repeated or unknown PAX"),
    "pax length too long": (extension(b"x", b"99 path=a\n") + file(), "malformed PAX header"),
    "pax length too short": (extension(b"x", b"5 path=a\n") + file(), "malformed PAX header"),
    "pax length zero": (extension(b"x", b"0 path=a\n") + file(), "malformed PAX header"),
    "pax no length": (extension(b"x", b"path=a\n") + file(), "malformed PAX header"),
    "pax key not utf-8": (extension(b"x", b"6 \xff\xff=\n") + file(), "PAX record that is not UTF-8"),
    "pax value not utf-8": (extension(b"x", b"10 path=\xff\n") + file(), "PAX record that is not UTF-8"),
    "pax empty path": (pax(path="") + file(), "an empty name"),
    "global path": (pax(b"g", path="evil") + file(), "unknown PAX record 'path'"),
    "global size": (pax(b"g", size="0") + file(), "unknown PAX record 'size'"),
    "two pax headers": (pax(path="a") + pax(path="b") + file(), "two headers of type 'x'"),
    "long name and pax": (extension(b"L", b"a\0") + pax(path="b") + file(), "both a GNU long name and a PAX one"),
    "pax without member": (pax(path="a"), "without a member"),
    "pax of gigabytes": (header(kind=b"x", size=1 << 32), "PAX header or long name of 4294967296 bytes"),
    "negative size": (header(size=b"\xff" * 12), "size b'\\xff"),
    "negative uid": (header(uid=b"\xff" * 8), "uid b'\\xff"),
    "empty size": (header(size=b" " * 12), "size b'      "),
    "signed size": (header(size=b"-0000000001"), "size b'-0"),
    "huge uid": (header(uid=b"\x80" + b"\xff" * 7), "(expected at most 2147483647)"),
    "huge gid": (header(gid=b"\x80\0\0\0\x80\0\0\0"), "gid 2147483648"),
    "strange mode": (header(mode=0o1000000), "mode 0o1000000"),
    "huge size": (header(size=b"\x80" + b"\0" * 3 + b"\x7f" * 8), "expands to"),
    "checksum": (header(checksum=b"000001\0 "), "wrong checksum"),
    "no checksum": (header(checksum=b" " * 8), "checksum b'  "),
    "old tar": (header(magic=b"\0" * 8), "(expected ustar or GNU tar)"),
    "text after the name": (header(b"a\0b"), "data after the end of the name"),
    "text after the link": (header(kind=b"2", link=b"a\0b"), "data after the end of the link name"),
    "directory with bytes": (header(b"d", kind=b"5", size=5) + bytes(BLOCK), "directory 'd' with 5 bytes"),
    "symlink with bytes": (header(b"l", kind=b"2", link=b"x", size=5) + bytes(BLOCK), "symlink 'l' with 5 bytes"),
    "file with a target": (header(b"f", link=b"x"), "file 'f' with a link target"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tar_is_refused_with_its_reason(case: str) -> None:
    data, reason = HOSTILE[case]
    assert reason in refusal(data + END)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated: the tar ends at byte 0"),
        (file()[:100], "truncated: the tar ends at byte 100"),
        (file()[:515], "truncated: the tar ends at byte 515"),
        (file(), "truncated: the tar ends at byte 1024"),
        (file() + bytes(BLOCK), "truncated: the tar ends at byte 1536"),
        (file() + bytes(BLOCK) + file(b"b") + END, "a lone zero block"),
        (file() + END + b"\1", "trailing data after the end of the tar"),
        (file() + END + file(b"b") + END, "trailing data after the end of the tar"),
    ],
)
def test_truncated_or_trailed_tar_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)
