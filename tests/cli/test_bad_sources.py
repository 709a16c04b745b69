"""What is pinned is gone, wrong, or too large for the disk: one clear line, and nothing half-made."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.refusals import check_refusal
from tests.flow import WHEELS, Flow
from tests.sources.index_server import Fault, Index, serve


@pytest.fixture
def index(flow: Flow) -> Iterator[tuple[Flow, Index]]:
    """A world whose wheels come from a server, already locked, its store gone."""
    index = Index()
    for wheel in WHEELS:
        index.add(wheel.name, wheel.file, wheel.build())
    with serve(index):
        remote = replace(
            flow, settings={"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.simple, "NO_PROXY": "*"}
        )
        taken = remote.snapshot()
        assert taken.status == 0, taken.err
        shutil.rmtree(remote.store)
        yield remote, index


def test_wheels_of_an_index_are_fetched_and_give_the_same_image(index: tuple[Flow, Index]) -> None:
    flow, _ = index
    assert not (flow.lock / "blobs").exists()
    assert 'source = "pypi"' in (flow.lock / "envcap.lock").read_text()
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    assert answer.status == 0, answer.err
    assert "127.0.0.1" not in (flow.lock / "envcap.lock").read_text()


def test_an_artifact_that_is_gone_names_who_was_asked(index: tuple[Flow, Index]) -> None:
    flow, server = index
    del server.files["beta"]
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"Can't find beta-2.1-py3-none-any.whl .*The store: does not have it; .*pypi")
    assert "hint: name an index that has it with `--index`" in answer.err
    assert not (flow.root / "image.tar").exists()


def test_another_hash_on_the_page_is_told(index: tuple[Flow, Index]) -> None:
    flow, server = index
    server.add("beta", WHEELS[1].file, b"PK another wheel")
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"beta-2.1.*pypi: has a file of that name with another hash")


def test_wrong_bytes_are_never_built_in(index: tuple[Flow, Index]) -> None:
    flow, server = index
    good = server.files["beta"][WHEELS[1].file]
    server.always[f"/files/{WHEELS[1].file}"] = Fault(body=good[:-1] + b"\xff")
    answer = flow.run("rebuild", flow.lock, "--output", "image.tar")
    check_refusal(answer, 1, r"beta-2.1.*sent bytes with another hash")
    assert not (flow.root / "image.tar").exists()


def test_offline_with_an_empty_store_says_what_to_do(index: tuple[Flow, Index]) -> None:
    flow, server = index
    asked = len(server.requests)
    answer = flow.run("rebuild", flow.lock, "--offline")
    check_refusal(answer, 1, r"not asked \(offline\)")
    assert "hint: run once without `--offline`" in answer.err
    assert len(server.requests) == asked


def test_a_server_that_is_down_is_one_line(index: tuple[Flow, Index]) -> None:
    flow, _ = index
    down = replace(flow, settings={**flow.settings, "PIP_INDEX_URL": "http://127.0.0.1:1/simple"})
    check_refusal(down.run("rebuild", flow.lock), 1, r"Can't find .*pypi: ")


def test_a_deb_that_is_gone_is_one_line(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    shutil.rmtree(flow.mirror / "pool")
    check_refusal(flow.run("rebuild", flow.lock, "--output", "image.tar"), 1, r"_1\.0-1_|is not there|No source")


def test_a_damaged_blob_beside_the_lock_is_one_line(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    blob = next((flow.lock / "blobs" / "sha256").iterdir())
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    check_refusal(flow.run("rebuild", flow.lock, "--output", "image.tar"), 1, r"the blobs beside the lock: sent bytes")
    assert not (flow.root / "image.tar").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("option", ["--output", "--output tar", "--rootfs", "--store"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half(locked: Flow, disk: Path, option: str) -> None:
    place = disk / ("a.tar" if option.endswith("tar") else "a")
    answer = locked.run("rebuild", locked.lock, option.split(maxsplit=1)[0], place)
    check_refusal(answer, 1, r"No space left on device")
    assert "hint: " in answer.err
    if option == "--store":
        assert locked.run("store", "fsck", "--store", place).status == 0
    else:
        assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_a_snapshot_onto_a_full_disk_leaves_no_lock(locked: Flow, disk: Path) -> None:
    check_refusal(locked.run("snapshot", locked.prefix, "--output", disk), 1, r"No space left on device")
    assert list(disk.iterdir()) == []
