"""A disk that is really full, or really read-only: a tmpfs of 20 MB."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcap.errors import StoreError
from envcap.store import open_store
from envcap.store.care import check_store

MEGABYTE = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_names_the_path_the_need_and_the_way_out_and_breaks_nothing(disk: Path) -> None:
    store = open_store(disk / "store")
    kept = [store.blobs.add_bytes(bytes([number]) * MEGABYTE) for number in range(15)]
    with pytest.raises(StoreError) as caught:
        store.blobs.add_bytes(bytes(9 * MEGABYTE))

    message = caught.value.message
    assert message.startswith(f"Can't write {disk}/store/tmp/")
    assert "No space left on device (9.0 MB needed, " in message
    assert message.isprintable()
    assert "envcap store gc" in caught.value.hint
    assert list((disk / "store" / "tmp").iterdir()) == []
    report = check_store(store, now=0, progress=lambda done, total: None)
    assert (report.clean, report.objects) == (True, 15)
    assert all(store.blobs.verified(digest) for digest in kept)

    store.blobs.path(kept[0]).unlink()
    store.blobs.path(kept[1]).unlink()
    store.blobs.add_bytes(b"fits again" * 150_000)


def test_a_small_object_that_is_only_flushed_at_its_commit_leaves_no_litter_either(disk: Path) -> None:
    store = open_store(disk / "store")
    with pytest.raises(OSError, match="No space"):
        (disk / "ballast").write_bytes(bytes(30 * MEGABYTE))
    with pytest.raises(StoreError, match=r"No space left on device \(0.1 MB needed, "):
        store.blobs.add_bytes(b"x" * 100_000)

    assert list((disk / "store" / "tmp").iterdir()) == []


def test_a_read_only_disk_is_told_when_the_store_is_opened(disk: Path) -> None:
    digest = open_store(disk / "store").blobs.add_bytes(b"kept")
    store = open_store(disk / "store")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    with pytest.raises(StoreError, match="Read-only file system") as caught:
        open_store(disk / "store")
    assert "choose another folder" in caught.value.hint
    with pytest.raises(StoreError, match="Read-only file system"):
        open_store(disk / "new")
    assert store.blobs.verified(digest).read_bytes() == b"kept"
