"""Hashing an environment's files."""

import hashlib
import os
from pathlib import Path

import pytest

from envcap.digest import CHUNK_SIZE
from envcap.scan.hashing import HashedFile, hash_files


@pytest.mark.parametrize("size", [0, 1, 4096, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE + 17])
def test_hash_is_sha256_of_the_whole_content(tmp_path: Path, size: int) -> None:
    data = os.urandom(16) * (size // 16 + 1)
    (tmp_path / "file").write_bytes(data[:size])

    hashed, findings = hash_files(str(tmp_path), [("file", size)])

    assert hashed == {"file": HashedFile(hashlib.sha256(data[:size]).hexdigest(), size, is_elf=False)}
    assert findings == ()


@pytest.mark.parametrize("stated", [0, 10, CHUNK_SIZE + 1])
@pytest.mark.parametrize("size", [5, 2 * CHUNK_SIZE])
def test_file_that_changed_since_the_walk_is_hashed_as_it_is(tmp_path: Path, stated: int, size: int) -> None:
    data = b"x" * size
    (tmp_path / "file").write_bytes(data)

    hashed, _ = hash_files(str(tmp_path), [("file", stated)])

    assert hashed["file"] == HashedFile(hashlib.sha256(data).hexdigest(), size, is_elf=False)


@pytest.mark.parametrize("size", [100, CHUNK_SIZE + 1])
def test_elf_is_told_by_its_magic(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"\x7fELF".ljust(size, b"\0"))

    hashed, _ = hash_files(str(tmp_path), [("file", size)])

    assert hashed["file"].is_elf


def test_file_that_is_gone_or_became_a_symlink_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")

    hashed, findings = hash_files(str(tmp_path), [("gone", 1), ("link", 1), ("real", 1)])

    assert list(hashed) == ["real"]
    assert [(one.code, one.path) for one in findings] == [("file-unreadable", "gone"), ("file-unreadable", "link")]


def test_file_that_became_a_fifo_does_not_hold_the_scan_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    hashed, findings = hash_files(str(tmp_path), [("pipe", 10)])

    assert hashed == {}
    assert [(one.code, one.path) for one in findings] == [("file-unreadable", "pipe")]


def test_progress_counts_up_to_all_files(tmp_path: Path) -> None:
    files = [(f"{number:04}", 1) for number in range(600)]
    for path, _ in files:
        (tmp_path / path).write_text("x")
    told: list[int] = []

    hashed, _ = hash_files(str(tmp_path), files, progress=told.append)

    assert told == [256, 512, 600]
    assert list(hashed) == [path for path, _ in files]
