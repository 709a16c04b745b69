"""Header blocks, byte for byte, and the zeros around them."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.ustar import (
    BLOCK,
    DIRECTORY,
    MAX_OCTAL_ID,
    MAX_OCTAL_SIZE,
    RECORD,
    SYMLINK,
    extended_header,
    header_block,
    padding,
    trailer,
)


def test_header_is_these_bytes() -> None:
    block = header_block(b"etc/passwd", size=10, mode=0o644, epoch=1_700_000_000)
    expected = {
        0: b"etc/passwd" + bytes(90),
        100: b"0000644\x000000000\x000000000\x0000000000012\x0014524770400\x00",
        148: b"011237\x00 0",
        157: bytes(100),
        257: b"ustar\x0000" + bytes(64),
        329: b"0000000\x000000000\x00" + bytes(155) + bytes(12),
    }
    assert len(block) == BLOCK
    for offset, part in expected.items():
        assert block[offset : offset + len(part)] == part
    assert sum(map(len, expected.values())) == BLOCK


def test_every_field_has_its_place() -> None:
    block = header_block(
        b"n" * 100, kind=SYMLINK, mode=0o7777, owner=(1, MAX_OCTAL_ID), prefix=b"p" * 155, link=b"l" * 100
    )
    assert block[:124] == b"n" * 100 + b"0007777\x000000001\x007777777\x00"
    assert block[156:257] == b"2" + b"l" * 100
    assert block[345:500] == b"p" * 155


def test_the_largest_size_fits() -> None:
    assert header_block(b"a", size=MAX_OCTAL_SIZE)[124:136] == b"77777777777\0"


@given(
    name=st.text("abcé", min_size=1, max_size=30).map(str.encode),
    kind=st.sampled_from([b"0", SYMLINK, DIRECTORY]),
    mode=st.integers(0, 0o7777),
    owner=st.tuples(st.integers(0, MAX_OCTAL_ID), st.integers(0, MAX_OCTAL_ID)),
    epoch=st.integers(0, MAX_OCTAL_SIZE),
)
def test_tarfile_reads_the_header(name: bytes, kind: bytes, mode: int, owner: tuple[int, int], epoch: int) -> None:
    info = tarfile.TarInfo.frombuf(
        header_block(name, kind=kind, mode=mode, owner=owner, epoch=epoch), "utf-8", "strict"
    )
    assert (info.type, info.mode, info.uid, info.gid, info.mtime) == (kind, mode, *owner, epoch)
    assert info.name == name.decode()
    assert (info.uname, info.gname, info.devmajor, info.devminor) == ("", "", 0, 0)


def test_extended_header_is_these_bytes() -> None:
    header = extended_header([(b"linkpath", b"x"), (b"path", b"\xc3\xa9")])
    assert header[:11] == b"pax_header\0"
    assert header[124:136] == b"00000000031\0"
    assert header[156:157] == b"x"
    assert header[BLOCK:] == (b"14 linkpath=x\n11 path=\xc3\xa9\n").ljust(BLOCK, b"\0")


@pytest.mark.parametrize("length", [*range(85, 100), *range(985, 995)])
def test_the_length_of_a_record_counts_its_own_digits(length: int) -> None:
    body = extended_header([(b"path", b"v" * length)])[BLOCK:].rstrip(b"\0")
    assert int(body.split(b" ")[0]) == len(body)


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_content_is_padded_to_a_block(size: int, zeros: int) -> None:
    assert padding(size) == bytes(zeros)


@given(st.integers(0, 100).map(lambda blocks: blocks * BLOCK))
def test_trailer_is_two_zero_blocks_and_fills_a_record(size: int) -> None:
    end = trailer(size)
    assert not any(end)
    assert (size + len(end)) % RECORD == 0
    assert 2 * BLOCK <= len(end) < 2 * BLOCK + RECORD


def test_an_empty_archive_is_10240_zeros() -> None:
    assert trailer(0) == bytes(10240)
    with tarfile.open(fileobj=io.BytesIO(trailer(0))) as archive:
        assert archive.getmembers() == []
