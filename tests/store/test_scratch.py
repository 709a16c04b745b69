"""`envcap.store.scratch`: whole or not at all, and no litter."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from envcap.errors import StoreError
from envcap.store import open_store
from envcap.store.scratch import ABANDONED_AFTER, ScratchFile, sweep_scratch

CHILD = Path(__file__).parent / "child.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return open_store(tmp_path / "store").root / "tmp"


def test_a_published_file_is_where_it_should_be_and_nowhere_else(folder: Path) -> None:
    target = folder.parent / "actions" / "ab" / "name"
    with ScratchFile(folder) as scratch:
        scratch.write(b"text")
        assert scratch.size == 4
        state = scratch.publish(target)

    assert target.read_bytes() == b"text"
    assert target.stat() == state
    assert list(folder.iterdir()) == []


def test_a_target_that_can_not_be_replaced_leaves_no_litter(folder: Path) -> None:
    target = folder.parent / "actions" / "ab"
    target.mkdir()
    with pytest.raises(StoreError, match=f"Can't write {target}"), ScratchFile(folder) as scratch:
        scratch.publish(target)

    assert list(folder.iterdir()) == []


def test_a_folder_that_vanished_is_told(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(StoreError, match=str(folder)):
        ScratchFile(folder)
    with pytest.raises(StoreError, match=str(folder)):
        sweep_scratch(folder, now=0)


def test_discarding_twice_is_fine(folder: Path) -> None:
    scratch = ScratchFile(folder)
    scratch.discard()
    scratch.discard()
    assert list(folder.iterdir()) == []


def test_the_sweep_spares_living_writers_whatever_their_age(folder: Path) -> None:
    with ScratchFile(folder) as scratch:
        os.utime(scratch.path, (0, 0))
        assert sweep_scratch(folder, now=4e9) == 0
        assert scratch.path.exists()


def test_the_sweep_takes_the_file_of_a_killed_writer_at_once(folder: Path) -> None:
    command = [sys.executable, str(CHILD), str(folder.parent), "hang"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(Path.cwd())}
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        assert sweep_scratch(folder, now=4e9) == 0
        assert len(list(folder.iterdir())) == 1

        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert len(list(folder.iterdir())) == 1
    assert sweep_scratch(folder, now=0) == 1
    assert list(folder.iterdir()) == []


def test_the_sweep_neither_follows_nor_removes_what_is_not_a_file_of_ours(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "folder").mkdir()

    assert sweep_scratch(folder, now=4e9) == 0
    assert (tmp_path / "outside").read_bytes() == b"precious"


def test_without_locks_only_age_condemns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with ScratchFile(folder) as scratch:
        scratch.write(b"text")
        born = scratch.path.stat().st_mtime
        assert sweep_scratch(folder, now=born + ABANDONED_AFTER - 1) == 0
        assert sweep_scratch(folder, now=born + ABANDONED_AFTER + 1) == 1
        with pytest.raises(StoreError, match="No such file"):
            scratch.publish(folder.parent / "actions" / "ab" / "name")


def test_a_writer_whose_newborn_file_was_swept_takes_another_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    swept: list[int] = []

    def sweep_first(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        swept.append(sweep_scratch(folder, now=0))  # between the writer's open and its lock
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with ScratchFile(folder) as scratch:
        assert swept == [1]
        assert list(folder.iterdir()) == [scratch.path]
