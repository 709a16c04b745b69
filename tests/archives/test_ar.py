"""Debian packages: where their sections lie, and which packages are refused."""

import io
import lzma
import tarfile
import tempfile

import pytest

from envcap.archives.ar import open_section, read_deb
from envcap.archives.tar import read_tar
from envcap.errors import ArchiveError
from tests.archives.fakes import MemoryReader


def ar_header(name: bytes, size: bytes, *, magic: bytes = b"`\n") -> bytes:
    return name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"100644".ljust(8) + size.ljust(10) + magic


def ar(*members: tuple[bytes, bytes], padding: bytes = b"\n") -> bytes:
    body = b"!<arch>\n"
    for name, data in members:
        body += ar_header(name, b"%d" % len(data)) + data + (padding if len(data) % 2 else b"")
    return body


def tar_of(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


VERSION = (b"debian-binary", b"2.0\n")
CONTROL = (b"control.tar.xz", lzma.compress(tar_of("./control", b"Package: x\n")))
DATA = (b"data.tar", tar_of("./usr/bin/x", b"#!"))


def refusal(data: bytes) -> str:
    with pytest.raises(ArchiveError) as caught:
        read_deb(MemoryReader(data), name="x.deb")
    assert caught.value.message.startswith("x.deb: ")
    return caught.value.message


def test_sections_are_found_and_read() -> None:
    reader = MemoryReader(ar(VERSION, CONTROL, DATA))
    deb = read_deb(reader, name="x.deb")
    assert (deb.control.member, deb.control.suffix) == ("control.tar.xz", ".xz")
    assert (deb.data.member, deb.data.suffix, deb.data.size) == ("data.tar", "", len(DATA[1]))
    with tempfile.TemporaryFile() as spool:
        for section, path, expected in ((deb.control, "control", b"Package: x\n"), (deb.data, "usr/bin/x", b"#!")):
            with open_section(reader, section, name="x.deb") as stream:
                (member,) = read_tar(stream, name="x.deb", spool=spool, compressed_size=section.size)
            assert member.path == path
            assert b"".join(member.content.chunks()) == expected


def test_only_headers_are_read_to_find_the_sections() -> None:
    reader = MemoryReader(ar(VERSION, CONTROL, (b"data.tar", bytes(100_000))))
    read_deb(reader, name="x.deb")
    assert sum(length for _, length in reader.reads) < 300


def test_slash_after_a_name_and_underscored_members_are_accepted() -> None:
    members = (
        (b"debian-binary/", b"2.0\n"),
        (b"_a", b"1"),
        (b"control.tar/", b""),
        (b"_b", b"22"),
        (b"data.tar.zst/", b""),
    )
    deb = read_deb(MemoryReader(ar(*members)), name="x.deb")
    assert (deb.control.member, deb.data.member, deb.data.suffix) == ("control.tar", "data.tar.zst", ".zst")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an ar archive"),
        (b"!<arch>", "not an ar archive"),
        (b"!<thin>\n", "not an ar archive"),
        (ar(), "truncated"),
        (ar(CONTROL, VERSION, DATA), "first member is 'control.tar.xz'"),
        (ar((b"debian-binary", b"3.0\n"), CONTROL, DATA), "format b'3.0\\n'"),
        (ar((b"debian-binary", b"2.0\n\n"), CONTROL, DATA), "first member is"),
        (ar(VERSION), "members []"),
        (ar(VERSION, CONTROL), "(expected control.tar and, last, data.tar)"),
        (ar(VERSION, DATA, CONTROL), "member 'data.tar' (expected control.tar)"),
        (ar(VERSION, CONTROL, DATA, DATA), "(expected control.tar and, last, data.tar)"),
        (ar(VERSION, CONTROL, CONTROL), "(expected data.tar)"),
        (ar(VERSION, CONTROL, DATA, (b"_gpgorigin", b"")), "(expected control.tar and, last, data.tar)"),
        (ar(VERSION, CONTROL, (b"data.tarball", b"")), "member 'data.tarball' (expected data.tar)"),
        (ar(VERSION, CONTROL, DATA) + b"\n", "truncated: 60 bytes expected"),
        (ar(VERSION, CONTROL, DATA) + bytes(60), "malformed ar header or trailing data"),
        (ar(VERSION, CONTROL, (b"data.tar", b"1"))[:-1], "padding b''"),
        (ar(VERSION, (b"_a", b"1"), CONTROL, DATA, padding=b"\0"), "padding b'\\x00'"),
        (ar(VERSION, CONTROL, DATA)[:-1], "truncated: 'data.tar' ends at"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"0x4") + b"2.0\n", "malformed ar header"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"-4") + b"2.0\n", "malformed ar header"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"004") + b"2.0\n", "malformed ar header"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"4 4") + b"2.0\n", "malformed ar header"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"9999999999"), "truncated"),
        (b"!<arch>\n" + ar_header(b"debian-binary", b"4", magic=b"\n`") + b"2.0\n", "malformed ar header"),
        (b"!<arch>\n" + ar_header(b"../evil", b"4") + b"2.0\n", "malformed ar header"),
        (ar(VERSION, *[(b"_a", b"")] * 20, CONTROL, DATA), "more than 16 ar members"),
    ],
)
def test_package_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_unknown_compression_is_refused_when_opened() -> None:
    reader = MemoryReader(ar(VERSION, CONTROL, (b"data.tar.lzma", b"")))
    deb = read_deb(reader, name="x.deb")
    with pytest.raises(ArchiveError, match=r"unknown compression '\.lzma'"):
        open_section(reader, deb.data, name="x.deb")


def test_section_can_not_be_read_past_its_end() -> None:
    reader = MemoryReader(ar(VERSION, (b"control.tar", DATA[1][:1024]), DATA))
    deb = read_deb(reader, name="x.deb")
    with open_section(reader, deb.control, name="x.deb") as stream:
        assert len(stream.read()) == 1024
