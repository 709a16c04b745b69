"""A lock's folder: whole or not at all, nobody else's files touched, nothing written through a link."""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME, BlobBytes, LockFolder, kept_hashes, open_lock, rewrite_lock, write_lock_folder
from envcap.errors import LockfileError
from envcap.lockfile.document import MAX_TEXT
from envcap.lockfile.model import CapturedFile, Lockfile
from tests.lockfile.small import SMALL, SMALL_TEXT

ONE, TWO = b"one\n", b"two\n"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes, *, named: bytes | None = None) -> tuple[str, BlobBytes]:
    return sha(data if named is None else named), lambda file: file.write(data)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def write(folder: Path, blobs: Iterable[tuple[str, BlobBytes]] = (), lockfile: Lockfile = SMALL) -> None:
    write_lock_folder(folder, lockfile, blobs)


def test_a_lock_and_its_blobs_are_written_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "locks" / "small"
    write(folder, [blob(ONE), blob(TWO), blob(ONE)])
    assert names(tmp_path) == [
        *sorted(f"locks/small/blobs/sha256/{sha(data)}" for data in (ONE, TWO)),
        f"locks/small/{LOCK_NAME}",
    ]
    for path in (folder, folder / LOCK_NAME):
        found = open_lock(path)
        assert found.lockfile == SMALL
        assert (found.blobs / sha(ONE)).read_bytes() == ONE
    assert (folder / LOCK_NAME).read_text() == SMALL_TEXT
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


def failing(error: BaseException) -> BlobBytes:
    def fail(_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), LockfileError("x")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException, *, existing: bool) -> None:
    folder = tmp_path / "small"
    if existing:
        write(folder, [blob(ONE)])
        (folder / "notes.txt").write_text("mine")
    before = names(tmp_path)
    with pytest.raises(LockfileError if isinstance(error, OSError) else type(error)):
        write(folder, [blob(TWO), (sha(b"three"), failing(error))], replace(SMALL, name="other"))
    assert names(tmp_path) == before
    if existing:
        assert open_lock(folder).lockfile == SMALL
    else:
        assert list(tmp_path.iterdir()) == []


def test_a_blob_whose_bytes_are_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LockfileError, match="changed while it was read"):
        write(tmp_path / "small", [blob(TWO, named=ONE)])
    assert list(tmp_path.iterdir()) == []


def test_replacing_keeps_the_users_files_and_drops_blobs_that_nobody_names(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    write(folder, [blob(ONE), blob(TWO)])
    (folder / "pylock.toml").write_text("mine")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.md").write_text("mine")
    (folder / "blobs" / "README").write_text("mine")
    inode = (folder / "pylock.toml").stat().st_ino
    write(folder, [blob(TWO)], replace(SMALL, name="new"))
    assert names(folder) == [
        "blobs/README",
        f"blobs/sha256/{sha(TWO)}",
        LOCK_NAME,
        "notes/a.md",
        "pylock.toml",
    ]
    assert (folder / "pylock.toml").stat().st_ino == inode
    assert open_lock(folder).lockfile.name == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_a_lock_that_needs_no_blobs_any_more_has_no_empty_folders(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    write(folder, [blob(ONE)])
    write(folder)
    assert [path.name for path in folder.iterdir()] == [LOCK_NAME]


def test_writing_the_same_again_changes_no_byte(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    write(folder, [blob(ONE)])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write(folder, [blob(ONE)])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("content", ["thesis.tex", "empty"])
def test_a_folder_that_is_no_locks_is_left_alone(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if content != "empty":
        (folder / content).write_text("mine")
    before = names(tmp_path)
    with pytest.raises(LockfileError, match=r"holds no envcap\.lock"):
        write(folder, [blob(ONE)])
    assert names(tmp_path) == before


def linked_folder(place: Path, theirs: Path) -> None:
    place.symlink_to(theirs)


def dangling_folder(place: Path, theirs: Path) -> None:
    place.symlink_to(theirs / "nowhere")


def linked_lock(place: Path, theirs: Path) -> None:
    place.mkdir()
    (place / LOCK_NAME).symlink_to(theirs / LOCK_NAME)


def linked_blobs(place: Path, theirs: Path) -> None:
    write(place)
    (place / "blobs").symlink_to(theirs)


def linked_hashes(place: Path, theirs: Path) -> None:
    write(place)
    (place / "blobs").mkdir()
    (place / "blobs" / "sha256").symlink_to(theirs)


@pytest.mark.parametrize("prepare", [linked_folder, dangling_folder, linked_lock, linked_blobs, linked_hashes])
def test_nothing_is_written_through_a_symlink(tmp_path: Path, prepare: Callable[[Path, Path], None]) -> None:
    theirs = tmp_path / "theirs"
    write(theirs)
    prepare(tmp_path / "small", theirs)
    before = names(tmp_path)
    with pytest.raises(LockfileError, match="is a symlink"):
        write(tmp_path / "small", [blob(ONE)], replace(SMALL, name="evil"))
    assert names(tmp_path) == before
    assert (theirs / LOCK_NAME).read_text() == SMALL_TEXT


def test_the_folder_of_all_locks_may_be_a_symlink_by_the_users_wish(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "locks").symlink_to("disk")
    write(tmp_path / "locks" / "small")
    assert (tmp_path / "disk" / "small" / LOCK_NAME).is_file()


@pytest.mark.parametrize("what", ["file", "fifo", "lock is a folder", "lock is a fifo", "parent is a file"])
def test_a_place_that_is_something_else_is_one_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "small"
    match what:
        case "file":
            folder.write_text("mine")
        case "fifo":
            os.mkfifo(folder)
        case "lock is a folder":
            (folder / LOCK_NAME).mkdir(parents=True)
        case "lock is a fifo":
            folder.mkdir()
            os.mkfifo(folder / LOCK_NAME)
        case _:
            folder.write_text("mine")
            folder = folder / "below"
    before = names(tmp_path)
    with pytest.raises(LockfileError):
        write(folder, [blob(ONE)])
    assert names(tmp_path) == before


def test_opening_what_is_no_lock_is_one_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    (tmp_path / "folder").mkdir()
    (tmp_path / "lock is a folder" / LOCK_NAME).mkdir(parents=True)
    places = list(tmp_path.iterdir())
    for path in [*places, tmp_path / "missing", tmp_path / ("x" * 300), Path("/dev/zero"), Path("/dev/null")]:
        with pytest.raises(LockfileError) as caught:
            open_lock(path)
        assert path.name in caught.value.message


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.lock"
    with path.open("wb") as file:
        file.truncate(MAX_TEXT + 1)
    with pytest.raises(LockfileError, match="too long for a lockfile"):
        open_lock(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LockfileError, match="too long for a lockfile"):
        open_lock(path)


def test_the_place_is_said_where_a_lock_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    path.write_text(SMALL_TEXT.replace('version = "2.0.0"', 'version = "2.0.1"'))
    with pytest.raises(LockfileError) as caught:
        open_lock(tmp_path)
    assert str(path) in caught.value.message
    assert "digest" in caught.value.message


def test_rewriting_replaces_the_lock_alone(tmp_path: Path) -> None:
    write(tmp_path / "small", [blob(ONE)])
    folder = open_lock(tmp_path / "small")
    rewrite_lock(folder, replace(SMALL, expected=()))
    assert open_lock(tmp_path / "small").lockfile.expected == ()
    assert names(tmp_path) == [f"small/blobs/sha256/{sha(ONE)}", f"small/{LOCK_NAME}"]


def test_rewriting_where_it_is_impossible_changes_nothing(tmp_path: Path) -> None:
    folder = LockFolder(path=tmp_path / "gone" / LOCK_NAME, lockfile=SMALL)
    with pytest.raises(LockfileError, match="can't be written"):
        rewrite_lock(folder, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_kept_hashes_are_those_of_captured_artifacts_patches_and_unowned_files() -> None:
    lockfile = replace(SMALL, captured=(*SMALL.captured, CapturedFile(path="link", target="x")))
    assert kept_hashes(lockfile) == {"a" * 64: 30_000_000, "c" * 64: 10, "f" * 64: 3}
