"""Pinned bytes: from whoever has them, believed by their hash alone, healed where the store was damaged."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import LockFolder, open_lock
from envcap.errors import EnvcapError, MissingArtifactError
from envcap.pinned import PinnedArtifacts, StandaloneLocator
from envcap.plan import plan_image
from envcap.rebuild import choose_platform
from envcap.sources.locate import FilePlace
from envcap.world import World
from tests.flow import WHEELS, Flow, make_flow
from tests.worlds import world_of


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    flow = make_flow(tmp_path_factory.mktemp("pinned") / "world")
    assert flow.snapshot().status == 0
    return flow


@pytest.fixture
def cold(locked: Flow, tmp_path: Path) -> Iterator[tuple[World, PinnedArtifacts, LockFolder]]:
    """The lock's own folder, copied, and an empty store."""
    shutil.copytree(locked.lock, tmp_path / "lock")
    flow = replace(locked, settings={"ENVCAP_STORE": str(tmp_path / "store")})
    folder = open_lock(tmp_path / "lock")
    with world_of(flow) as opened:
        world = replace(opened, machine=replace(opened.machine, jobs=1))
        yield world, PinnedArtifacts(world, sources=folder.lockfile.sources, blobs=folder.blobs), folder


Cold = tuple[World, PinnedArtifacts, LockFolder]


def test_an_artifact_comes_from_beside_the_lock_into_the_store(cold: Cold) -> None:
    world, pinned, folder = cold
    artifact = folder.lockfile.packages[1].artifacts[0]
    path = pinned.artifact(artifact)
    assert path.read_bytes() == WHEELS[1].build()
    assert world.store.root in path.parents


def test_a_damaged_object_is_fetched_anew(cold: Cold) -> None:
    _, pinned, folder = cold
    artifact, deb = folder.lockfile.packages[1].artifacts[0], folder.lockfile.system[0]
    for path in (pinned.artifact(artifact), pinned.deb(deb)):
        good = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(b"\0" + good[1:])
        pinned.artifact(artifact)
        pinned.deb(deb)
        assert path.read_bytes() == good


def test_a_blob_that_nobody_has_is_missing(cold: Cold) -> None:
    _, pinned, _ = cold
    with pytest.raises(MissingArtifactError, match="the blobs beside the lock"):
        pinned.blob("0" * 64)


def test_bytes_that_are_others_are_never_believed(cold: Cold) -> None:
    world, pinned, folder = cold
    artifact = folder.lockfile.packages[1].artifacts[0]
    (folder.blobs / artifact.sha256).write_bytes(b"x" * artifact.size)
    with pytest.raises(MissingArtifactError, match="sent bytes with another hash"):
        pinned.artifact(artifact)
    with pytest.raises(MissingArtifactError, match="another hash"):
        pinned.blob(artifact.sha256)
    assert [path for path in (world.store.root / "blobs").rglob("*") if path.is_file()] == []


def test_a_deb_of_another_hash_or_size_is_refused(cold: Cold) -> None:
    _, pinned, folder = cold
    deb = folder.lockfile.system[0]
    for lie in (replace(deb, sha256="0" * 64), replace(deb, size=deb.size + 1), replace(deb, file="pool/gone.deb")):
        with pytest.raises(EnvcapError):
            pinned.deb(lie)
    assert pinned.deb(deb).stat().st_size == deb.size


def test_everything_is_fetched_ahead_and_told(cold: Cold) -> None:
    world, pinned, folder = cold
    plan = plan_image(folder.lockfile, choose_platform(folder.lockfile, ""))
    told: list[tuple[str, int, int]] = []
    pinned.prefetch(plan.layers, lambda *row: told.append(row))
    names = {row.name for row in folder.lockfile.packages} | {row.name for row in folder.lockfile.system}
    assert {name for name, _, _ in told} >= names
    assert [done for _, done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, _, total in told} == {len(told)}
    stored = {path.name for path in (world.store.root / "blobs").rglob("*") if path.is_file()}
    assert stored >= {row.sha256 for row in folder.lockfile.system}


def test_one_missing_file_ends_the_fetching(cold: Cold) -> None:
    _, pinned, folder = cold
    (folder.blobs / folder.lockfile.packages[0].artifacts[0].sha256).unlink()
    plan = plan_image(folder.lockfile, choose_platform(folder.lockfile, ""))
    with pytest.raises(MissingArtifactError, match=r"Can't find alpha-1\.0"):
        pinned.prefetch(plan.layers, lambda _what, _done, _total: None)


def test_a_standalone_interpreter_is_looked_for_at_this_machines_mirror(locked: Flow) -> None:
    artifact = replace(
        open_lock(locked.lock).lockfile.packages[0].artifacts[0],
        file="cpython-3.12.11+20251007-x86_64-unknown-linux-gnu-install_only.tar.gz",
    )
    places = list(StandaloneLocator("https://user:secret@example.org/python").urls(artifact))
    assert len(places) == 1
    assert isinstance(places[0], FilePlace)
    assert places[0].url.startswith("https://user:secret@example.org/python/")
    assert "secret" not in places[0].shown
