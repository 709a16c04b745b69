"""Where a lock is not there, those that lie near are named."""

from pathlib import Path

import pytest

from envcap.cli.locks import open_lock
from envcap.cli.near import near_locks, open_local_lock
from envcap.errors import LockfileError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ml", "vision"):
        (tmp_path / "lockfiles" / name).mkdir(parents=True)
        (tmp_path / "lockfiles" / name / "envcap.lock").write_text("x = 1\n")
    (tmp_path / "lockfiles/empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("lockfiles", "lockfiles/ml or lockfiles/vision"),
        ("lockfiles/typo", "lockfiles/ml or lockfiles/vision"),
        ("lockfiles/ml2/envcap.lock", ""),
        ("ml", "lockfiles/ml"),
        ("other", "lockfiles/ml or lockfiles/vision"),
        ("lockfiles/empty", ""),
        ("nowhere/ml", ""),
    ],
)
def test_the_locks_near_are_named(folder: Path, given: str, near: str) -> None:
    assert (folder / "lockfiles").is_dir()
    assert near_locks(Path(given)) == near


def test_a_missing_lock_is_answered_with_the_one_of_that_name(folder: Path) -> None:
    assert folder.is_dir()
    with pytest.raises(LockfileError, match="ml can't be read: No such file or directory") as caught:
        open_lock(Path("ml"))
    assert caught.value.hint == (
        "did you mean lockfiles/ml? Else give a lockfile, or the folder that `envcap snapshot` wrote, "
        "or a reference with a tag: `registry.example.org/lab/ml:2026-11`"
    )


def test_a_folder_without_a_lock_is_answered_with_those_below_it(folder: Path) -> None:
    with pytest.raises(LockfileError) as caught:
        open_lock(folder / "lockfiles")
    assert caught.value.hint.startswith(f"did you mean {folder}/lockfiles/ml or {folder}/lockfiles/vision? Else ")


def test_many_locks_are_not_all_named(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"l{number:02}").mkdir()
        (tmp_path / f"l{number:02}" / "envcap.lock").touch()
    assert near_locks(tmp_path) == " or ".join(f"{tmp_path}/l{number:02}" for number in range(6))


@pytest.mark.parametrize("text", ["numpy==1.0\n", "[project]\nname = 'x'\n"])
def test_a_file_that_is_no_lock_is_answered_with_import(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(LockfileError) as caught:
        open_local_lock(tmp_path / "file")
    assert "`envcap import` makes one of another tool's lock" in caught.value.hint


def test_a_wheel_is_answered_so_too(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(LockfileError, match="is not a lockfile") as caught:
        open_local_lock(tmp_path / "x.whl")
    assert "`envcap import`" in caught.value.hint
