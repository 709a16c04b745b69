"""`envcap.store.care`: a check sees every fault, goes on, and leaves a store that heals."""

import random
from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.store import Store, open_store
from envcap.store.actions import action_key
from envcap.store.care import FsckReport, check_store
from envcap.store.scratch import ScratchFile


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def check(store: Store) -> FsckReport:
    return check_store(store, now=0, progress=lambda done, total: None)


def fill(store: Store, count: int) -> list[Digest]:
    return [store.blobs.add_bytes(b"object %d " % number * 100) for number in range(count)]


def damage(store: Store, digest: Digest) -> None:
    path = store.blobs.path(digest)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"X")


def quarantined(store: Store) -> int:
    return len(list((store.root / "quarantine").iterdir()))


def test_a_new_store_is_clean(store: Store) -> None:
    report = check(store)
    assert report == FsckReport(objects=0, checked_bytes=0, actions=0, dangling=0, temporary=0, findings=())
    assert report.clean


def test_a_sound_store_is_clean_and_counted(store: Store) -> None:
    digests = fill(store, 10)
    store.actions.put(action_key("layer", {}), {"size": 1}, blobs=digests)
    report = check(store)

    assert report.clean
    assert (report.objects, report.actions, report.dangling) == (10, 1, 0)
    assert report.checked_bytes == sum(len(b"object %d " % number) * 100 for number in range(10))
    assert all(store.blobs.has(digest) for digest in digests)


def test_progress_rises_to_the_whole(store: Store) -> None:
    fill(store, 5)
    calls: list[tuple[int, int]] = []
    report = check_store(store, now=0, progress=lambda done, total: calls.append((done, total)))

    assert len(calls) == 5
    assert calls == sorted(calls)
    assert calls[-1] == (report.checked_bytes, report.checked_bytes)


def test_every_damaged_object_is_found_named_and_set_aside_and_nothing_else(store: Store) -> None:
    digests = fill(store, 40)
    bad = set(random.Random(1).sample(digests, 13))
    for digest in bad:
        damage(store, digest)
    report = check(store)

    assert {finding.path for finding in report.findings} == {
        f"blobs/sha256/{digest.hex[:2]}/{digest.hex}" for digest in bad
    }
    assert all("its bytes hash to sha256:" in finding.problem for finding in report.findings)
    assert not report.clean
    assert quarantined(store) == 13
    assert {digest for digest in digests if not store.blobs.has(digest)} == bad
    assert check(store).clean


def test_a_result_of_a_damaged_object_goes_with_it(store: Store) -> None:
    good, bad = fill(store, 2)
    kept, lost = action_key("layer", {"n": 1}), action_key("layer", {"n": 2})
    store.actions.put(kept, {}, blobs=[good])
    store.actions.put(lost, {}, blobs=[good, bad])
    damage(store, bad)
    report = check(store)

    assert (report.actions, report.dangling, len(report.findings)) == (2, 1, 1)
    assert store.actions.get(kept) == {}
    assert store.actions.get(lost) is None


def test_a_damaged_result_is_found_and_removed(store: Store) -> None:
    key = action_key("layer", {})
    store.actions.put(key, {"size": 1})
    path = store.actions.path(key)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"size":1', b'"size":2'))
    report = check(store)

    assert [finding.problem for finding in report.findings] == ["damaged result; removed"]
    assert not path.exists()
    assert check(store).clean


def test_whatever_is_no_object_is_set_aside_and_never_followed(store: Store, tmp_path: Path) -> None:
    (digest,) = fill(store, 1)
    outside = tmp_path / "outside"
    outside.write_bytes(store.blobs.path(digest).read_bytes())
    shard = store.blobs.path(digest).parent
    objects = store.root / "blobs" / "sha256"
    (shard / "notes.txt").write_bytes(b"not an object")
    (shard / ("0" * 64)).write_bytes(b"in the wrong folder")
    (objects / "stray").write_bytes(b"not in a folder")
    (objects / "link").symlink_to(tmp_path)
    store.blobs.path(digest).unlink()
    store.blobs.path(digest).symlink_to(outside)
    (shard / digest.hex[::-1]).mkdir()
    (store.root / "actions" / "odd").mkdir()
    (store.root / "actions" / "odd" / "odd").write_bytes(b"{}")
    report = check(store)

    assert len(report.findings) == 7
    assert all(finding.problem.endswith("; set aside") for finding in report.findings)
    assert quarantined(store) == 7
    assert outside.exists()
    assert check(store).clean


def test_what_killed_writers_left_is_removed_and_no_finding(store: Store) -> None:
    for number in range(3):
        (store.root / "tmp" / f"1-{number}").write_bytes(b"half")
    with ScratchFile(store.root / "tmp") as living:
        report = check(store)
        assert living.path.exists()

    assert report.temporary == 3
    assert report.clean


def test_the_check_runs_beside_builders(store: Store) -> None:
    fill(store, 3)
    with store.in_use():
        assert check(store).clean


def test_an_object_that_vanishes_during_the_check_is_no_finding(store: Store) -> None:
    digests = sorted(fill(store, 30))
    last = store.blobs.path(digests[-1])

    def vanish(done: int, total: int) -> None:
        last.unlink(missing_ok=True)

    assert check_store(store, now=0, progress=vanish).clean
