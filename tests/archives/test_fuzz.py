"""Damaged archives of every kind: an `ArchiveError` or the bytes that the standard library reads too, and soon."""

import bz2
import gzip
import io
import lzma
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.ar import open_section, read_deb
from envcap.archives.decompress import decompress
from envcap.archives.tar import read_tar
from envcap.archives.zip import open_zip
from envcap.entry import EntryKind
from envcap.errors import ArchiveError
from tests.archives.fakes import MemoryReader
from tests.archives.tar_builder import END, extension, file, header, pax
from tests.archives.test_ar import CONTROL, VERSION, ar
from tests.archives.zip_builder import FakeMember, build_zip, descriptor

ZIP = build_zip(
    FakeMember(name=b"pkg/", data=b"", method=0, mode=0o40755),
    FakeMember(name=b"pkg/a.py", data=b"print('hello')\n" * 40),
    FakeMember(name=b"pkg/b.py", method=0),
    FakeMember(name=b"pkg/c.py", flags=8, after=descriptor(b"hello")),
    zip64={},
)
TAR = (
    header(b"./", kind=b"5")
    + header(b"./d/", kind=b"5")
    + file(b"./d/a", b"hello" * 200)
    + header(b"./d/b", kind=b"1", link=b"./d/a")
    + header(b"./d/c", kind=b"2", link=b"a")
    + extension(b"L", b"./d/long" + b"g" * 99 + b"\0")
    + file(b"./d/long")
    + pax(path="d/é", mtime="1.5")
    + file(b"./d/cut", b"", magic=b"ustar\x0000")
    + END
)
DEB = ar(VERSION, CONTROL, (b"data.tar.gz", gzip.compress(TAR, mtime=0)))
STREAMS: dict[str, bytes] = {
    ".xz": lzma.compress(TAR),
    ".gz": gzip.compress(TAR, mtime=0),
    ".bz2": bz2.compress(TAR),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress(TAR),
}


def read_zip(data: bytes) -> dict[str, bytes]:
    archive = open_zip(MemoryReader(data), name="x")
    return {m.name: b"".join(archive.content(m).chunks()) for m in archive.members if not m.is_directory}


def read_tar_bytes(data: bytes) -> dict[str, bytes]:
    with tempfile.TemporaryFile() as spool:
        members = read_tar(io.BytesIO(data), name="x", spool=spool)
        return {m.path: b"".join(m.content.chunks()) for m in members if m.kind is EntryKind.FILE}


def read_package(data: bytes) -> dict[str, bytes]:
    reader = MemoryReader(data)
    deb = read_deb(reader, name="x")
    with tempfile.TemporaryFile() as spool, open_section(reader, deb.data, name="x") as stream:
        members = read_tar(stream, name="x", spool=spool, compressed_size=deb.data.size)
        return {m.path: b"".join(m.content.chunks()) for m in members if m.kind is EntryKind.FILE}


def zipfile_reads(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def tarfile_reads(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            if content is not None:
                found[info.name.removeprefix("./")] = content.read()
    return found


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Turn a hang into a failure."""

    def fail(_signal: int, _frame: object) -> None:
        raise AssertionError(f"still reading after {seconds} s")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Flip, cut out, repeat or overwrite a few places, or truncate."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(result) - 1, 0)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from("fffcro")):
            case "f":
                result[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "c":
                del result[at : at + length]
            case "r":
                result[at:at] = result[at : at + length]
            case _:
                result[at : at + length] = draw(st.sampled_from([b"\0", b"\xff"])) * length
    if draw(st.booleans()):
        del result[draw(st.integers(0, len(result))) :]
    return bytes(result)


def outcome(read: Callable[[bytes], dict[str, bytes]], data: bytes) -> dict[str, bytes] | None:
    """What a reader makes of the data; `None` if it refuses. Anything but `ArchiveError` goes through."""
    with at_most(5):
        try:
            return read(data)
        except ArchiveError as error:
            message = error.message
    assert message.isprintable()
    return None


def test_undamaged_samples_are_read() -> None:
    assert read_zip(ZIP) == zipfile_reads(ZIP)
    assert len(read_zip(ZIP)) == 3
    assert read_tar_bytes(TAR) == tarfile_reads(TAR) == read_package(DEB)
    assert len(read_tar_bytes(TAR)) == 3


@settings(max_examples=400, deadline=None)
@given(damaged(ZIP))
def test_damaged_zip_is_refused_or_read_as_zipfile_reads_it(data: bytes) -> None:
    found = outcome(read_zip, data)
    assert found is None or found == zipfile_reads(data)


@settings(max_examples=400, deadline=None)
@given(damaged(TAR))
def test_damaged_tar_is_refused_or_read_as_tarfile_reads_it(data: bytes) -> None:
    found = outcome(read_tar_bytes, data)
    assert found is None or found == tarfile_reads(data)


@settings(max_examples=200, deadline=None)
@given(damaged(DEB))
def test_damaged_package_is_refused_or_unharmed(data: bytes) -> None:
    found = outcome(read_package, data)
    assert found is None or found == read_package(DEB)


@pytest.mark.parametrize("suffix", STREAMS)
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_stream_is_refused_or_unharmed(suffix: str, data: st.DataObject) -> None:
    def read(compressed: bytes) -> dict[str, bytes]:
        with decompress(io.BytesIO(compressed), suffix, name="x") as stream:
            return {"": stream.read()}

    found = outcome(read, data.draw(damaged(STREAMS[suffix])))
    assert found is None or TAR.startswith(found[""]) or found[""].startswith(TAR)


@given(st.binary(max_size=2000))
def test_noise_is_refused_by_every_reader(data: bytes) -> None:
    assert outcome(read_zip, data) is None
    assert outcome(read_package, data) is None
    assert outcome(read_tar_bytes, data) in (None, {})
