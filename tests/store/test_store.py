"""`envcap.store`: opening and refusing to open."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from envcap.errors import StoreError
from envcap.store import default_store_path, open_store


def test_opening_makes_a_private_folder_with_a_version(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep" / "store")

    assert (store.root / "VERSION").read_text() == "1\n"
    folders = [path for path in [store.root, *store.root.rglob("*")] if path.is_dir()]
    assert len(folders) == 6
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    open_store(tmp_path / "store")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    open_store(tmp_path / "store")

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_relative_path_stays_the_same_store_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(Path("store"))
    monkeypatch.chdir("/")

    assert store.blobs.verified(store.blobs.add_bytes(b"kept")).is_relative_to(tmp_path)


def test_a_store_that_a_kill_left_without_a_version_is_completed(tmp_path: Path) -> None:
    open_store(tmp_path)
    (tmp_path / "VERSION").unlink()
    (tmp_path / "quarantine").rmdir()
    open_store(tmp_path)

    assert (tmp_path / "VERSION").read_text() == "1\n"


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is not a folder"):
        open_store(tmp_path / "file")
    with pytest.raises(StoreError, match=os.strerror(errno.ENOTDIR)):
        open_store(tmp_path / "file" / "store")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_bytes(b"years of work")
    with pytest.raises(StoreError, match=r"is not a store of envcap \(found 'thesis.tex' in it\)"):
        open_store(tmp_path)

    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


@pytest.mark.parametrize("version", ["2\n", "", "1.0", "\x1b[31m", "é" * 200])
def test_a_store_of_another_version_is_refused_on_one_line(tmp_path: Path, version: str) -> None:
    open_store(tmp_path)
    (tmp_path / "VERSION").unlink()
    (tmp_path / "VERSION").write_text(version)

    with pytest.raises(StoreError, match="Unexpected version") as caught:
        open_store(tmp_path)
    assert caught.value.message.isprintable()
    assert "use the envcap that made it" in caught.value.hint


def test_a_link_in_place_of_the_version_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path / "store")
    (tmp_path / "store" / "VERSION").rename(tmp_path / "VERSION")
    (tmp_path / "store" / "VERSION").symlink_to(tmp_path / "VERSION")

    with pytest.raises(StoreError, match="VERSION"):
        open_store(tmp_path / "store")


def test_a_store_that_every_user_can_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    with pytest.raises(StoreError, match="expected 0700, found 0777") as caught:
        open_store(tmp_path / "store")

    assert "chmod o-w" in caught.value.hint


def test_a_link_to_a_store_is_that_store(tmp_path: Path) -> None:
    digest = open_store(tmp_path / "store").blobs.add_bytes(b"kept")
    (tmp_path / "link").symlink_to("store")

    assert open_store(tmp_path / "link").blobs.has(digest)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o500)
    with pytest.raises(StoreError, match=os.strerror(errno.EACCES)) as caught:
        open_store(tmp_path / "store")
    assert "make the folder yours" in caught.value.hint


def test_the_process_running_out_of_files_is_told_with_a_next_step(tmp_path: Path) -> None:
    open_store(tmp_path)
    script = (
        "import os, resource, sys\n"
        "from pathlib import Path\n"
        "from envcap.errors import StoreError\n"
        "from envcap.store import open_store\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, 4096))\n"
        "try:\n"
        "    store.blobs.add_bytes(b'kept')\n"
        "except StoreError as error:\n"
        "    print(error.message, '|', error.hint)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True, cwd=Path.cwd()
    ).stdout
    assert os.strerror(errno.EMFILE) in told
    assert str(tmp_path) in told
    assert "ulimit -n" in told


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "/cache/envcap/store"),
        ({"ENVCAP_STORE": ""}, "/cache/envcap/store"),
        ({"ENVCAP_STORE": "/scratch/store"}, "/scratch/store"),
    ],
)
def test_the_store_is_in_the_cache_unless_the_environment_says_where(
    environment: dict[str, str], expected: str
) -> None:
    assert default_store_path(environment, Path("/cache/envcap")) == Path(expected)
