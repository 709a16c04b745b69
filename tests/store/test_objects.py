"""`envcap.store.objects`: opened without surprises, set aside without loss."""

import errno
import os
from pathlib import Path

import pytest

from envcap.store.objects import move_aside, open_object


@pytest.fixture
def quarantine(tmp_path: Path) -> Path:
    folder = tmp_path / "quarantine"
    folder.mkdir()
    return folder


def test_what_was_found_damaged_is_moved_aside(tmp_path: Path, quarantine: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"damaged")
    moved = move_aside(path, quarantine, inode=path.lstat().st_ino)

    assert moved is not None
    assert moved.parent == quarantine
    assert moved.read_bytes() == b"damaged"
    assert not path.exists()


def test_what_another_healed_meanwhile_stays(tmp_path: Path, quarantine: Path) -> None:
    path, healed = tmp_path / "object", tmp_path / "healed"
    path.write_bytes(b"damaged")
    damaged = path.lstat().st_ino
    healed.write_bytes(b"whole")
    healed.rename(path)

    assert move_aside(path, quarantine, inode=damaged) is None
    assert path.read_bytes() == b"whole"
    assert list(quarantine.iterdir()) == []


def test_what_is_gone_already_is_no_error(tmp_path: Path, quarantine: Path) -> None:
    assert move_aside(tmp_path / "object", quarantine, inode=1) is None


def test_refused_files_leave_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        open_object(tmp_path / "folder")

    assert len(list(Path("/proc/self/fd").iterdir())) == before
