"""Content of a live file is read when asked for, and never through something else in its place."""

import os
from pathlib import Path

import pytest

from envcap.digest import CHUNK_SIZE
from envcap.errors import BuildError
from envcap.files import FileContent


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_bytes_come_in_chunks(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * size)
    content = FileContent(path=file, size=size)
    chunks = list(content.chunks())
    assert b"".join(chunks) == b"x" * size
    assert max(map(len, chunks), default=0) <= CHUNK_SIZE
    assert list(content.chunks()) == chunks, "it can be read again"


def test_a_missing_file_is_an_error_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'gone' can't be read: No such file") as caught:
        list(FileContent(path=tmp_path / "gone", size=0).chunks())
    assert str(tmp_path) not in caught.value.message
    assert caught.value.hint


def test_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(BuildError, match="can't be read"):
        list(FileContent(path=tmp_path / "link", size=6).chunks())


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a regular file"):
        list(FileContent(path=tmp_path, size=0).chunks())


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BuildError, match="not a regular file"):
        list(FileContent(path=tmp_path / "fifo", size=0).chunks())


def test_a_failing_disk_is_an_error() -> None:
    # Linux: this process's memory at address 0 is a regular file that can't be read.
    with pytest.raises(BuildError, match=r"'mem' can't be read: Input/output error"):
        list(FileContent(path=Path("/proc/self/mem"), size=1).chunks())


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_an_abandoned_reading_closes_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    before = open_files()
    chunks = FileContent(path=tmp_path / "a", size=1).chunks()
    next(chunks)
    assert open_files() == before + 1
    del chunks
    assert open_files() == before
