"""Files appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from envcap.staging import new_file, synced_file


def test_a_file_has_no_name_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with new_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b", whole")
    assert path.read_bytes() == b"half, whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_file_that_fails_leaves_the_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"earlier")

    with pytest.raises(ZeroDivisionError), new_file(path) as file:
        file.writelines(b"later" * (1 // left) for left in (1, 0))
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_is_for_everybody_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with new_file(tmp_path / "new"), synced_file(tmp_path / "synced"), new_file(tmp_path / "own", mode=0o600):
            pass
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": 0o644, "synced": 0o644, "own": 0o600}


def test_a_symlink_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"mine")
    link.symlink_to(target)
    with new_file(link) as file:
        file.write(b"new")
    assert (target.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"mine", b"new", False)


@pytest.mark.parametrize("make", [new_file, synced_file])
def test_what_was_written_can_be_read_back(tmp_path: Path, make: type) -> None:
    with make(tmp_path / "a") as file:
        file.write(b"content")
        file.seek(0)
        assert file.read() == b"content"
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_synced_file_takes_nobodys_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"earlier")
    with pytest.raises(FileExistsError), synced_file(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_bytes() == b"earlier"
