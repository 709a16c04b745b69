"""Random access to files, and streams over parts of them."""

import io
import os
from pathlib import Path

import pytest

from envcap.archives.access import FileReader, RegionStream, read_exactly
from envcap.errors import ArchiveError
from tests.archives.fakes import MemoryReader


def test_file_reader_reads_anywhere_without_a_position(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with FileReader(path) as reader:
        assert reader.size == 10
        assert reader.read_at(4, 3) == b"456"
        assert reader.read_at(0, 2) == b"01"
        assert reader.read_at(8, 10) == b"89"
        assert reader.read_at(20, 1) == b""


def test_borrowed_descriptor_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("rb") as file:
        with FileReader(file.fileno()) as reader:
            assert reader.read_at(1, 1) == b"b"
        assert file.read() == b"abc"


def test_missing_file_is_an_archive_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file"):
        FileReader(tmp_path / "none")


def test_fifo_is_refused_at_once_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ArchiveError, match="not a regular file"):
        FileReader(tmp_path / "fifo")


def test_closed_reader_gives_an_archive_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    reader = FileReader(path)
    reader.close()
    reader.close()
    with pytest.raises(ArchiveError, match="Can't read archive at byte 0"):
        reader.read_at(0, 1)


def test_short_read_is_a_truncated_archive() -> None:
    with pytest.raises(ArchiveError, match="x: truncated: 4 bytes expected at byte 1, 2 found"):
        read_exactly(MemoryReader(b"abc"), 1, 4, archive="x")


def test_a_region_is_sought_in_and_never_left() -> None:
    stream = RegionStream(MemoryReader(b"0123456789"), 2, 5)
    assert (stream.seekable(), stream.seek(3), stream.read()) == (True, 3, b"56")
    assert (stream.seek(-2, io.SEEK_END), stream.read(1)) == (3, b"5")
    assert (stream.seek(-4, io.SEEK_CUR), stream.read()) == (0, b"23456")
    assert (stream.seek(99), stream.read()) == (5, b"")
    with pytest.raises(ValueError, match="negative seek position -1"):
        stream.seek(-1)


def test_region_stream_ends_where_the_region_ends() -> None:
    stream = io.BufferedReader(RegionStream(MemoryReader(b"0123456789"), 2, 5))
    assert stream.read(3) == b"234"
    assert stream.read() == b"56"
    assert stream.read() == b""
