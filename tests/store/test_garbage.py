"""`envcap.store.garbage`: the longest unused goes first, and nothing goes that is in use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.store import Store, open_store
from envcap.store.actions import action_key
from envcap.store.garbage import GRACE, collect_garbage
from envcap.store.listing import StoredFile, list_stored

NOW = 2_000_000_000.0
DAY = 86400.0
CHILD = Path(__file__).parent / "child.py"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def keep(store: Store, number: int, *, days_ago: float, size: int = 100) -> Digest:
    digest = store.blobs.add_bytes(bytes([number]) * size)
    used = NOW - days_ago * DAY
    os.utime(store.blobs.path(digest), (used, used))
    return digest


def objects(store: Store) -> tuple[StoredFile, ...]:
    return list_stored(store.root / "blobs" / "sha256")


def test_without_a_limit_nothing_goes(store: Store) -> None:
    keep(store, 1, days_ago=5000)
    report = collect_garbage(store, now=NOW)
    assert (report.removed, report.kept, report.kept_bytes) == (0, 1, 100)


def test_what_was_unused_for_longer_than_the_days_goes(store: Store) -> None:
    old, young = keep(store, 1, days_ago=31), keep(store, 2, days_ago=29)
    report = collect_garbage(store, now=NOW, keep_newer_than_days=30)

    assert not store.blobs.has(old)
    assert store.blobs.has(young)
    assert (report.removed, report.freed_bytes, report.kept, report.kept_bytes) == (1, 100, 1, 100)


def test_the_longest_unused_go_until_the_rest_fits(store: Store) -> None:
    digests = [keep(store, number, days_ago=10 - number) for number in range(10)]
    report = collect_garbage(store, now=NOW, max_bytes=450)

    assert [store.blobs.has(digest) for digest in digests] == [False] * 6 + [True] * 4
    assert (report.freed_bytes, report.kept_bytes) == (600, 400)


@settings(max_examples=30, deadline=None)
@given(
    ages=st.lists(st.floats(0, 400 * DAY), max_size=12),
    days=st.none() | st.floats(0, 400),
    limit=st.none() | st.integers(0, 1500),
)
def test_the_kept_are_always_younger_than_the_removed_and_grace_holds(
    tmp_path_factory: pytest.TempPathFactory, ages: list[float], days: float | None, limit: int | None
) -> None:
    store = open_store(tmp_path_factory.mktemp("gc") / "store")
    for number, age in enumerate(ages):
        keep(store, number, days_ago=age / DAY)
    before = {stored.digest: stored for stored in objects(store)}
    report = collect_garbage(store, now=NOW, keep_newer_than_days=days, max_bytes=limit)
    after = {stored.digest: stored for stored in objects(store)}

    removed = [stored.used for digest, stored in before.items() if digest not in after]
    kept = [stored.used for stored in after.values()]
    assert len(removed) == report.removed
    assert report.kept_bytes == sum(stored.size for stored in after.values())
    assert all(used < NOW - GRACE for used in removed)
    assert not removed or not kept or max(removed) <= min(kept)
    old_and_kept = [used for used in kept if used < NOW - GRACE]
    assert limit is None or report.kept_bytes <= limit or not old_and_kept
    assert days is None or all(used >= NOW - days * DAY for used in old_and_kept)


def test_a_verified_read_counts_as_use(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    read, unread = keep(store, 1, days_ago=20000), keep(store, 2, days_ago=20000)
    open_store(tmp_path / "store").blobs.verified(read)
    collect_garbage(store, now=NOW, keep_newer_than_days=10000)

    assert store.blobs.has(read)
    assert not store.blobs.has(unread)


def test_results_go_when_unused_or_when_their_objects_go(store: Store) -> None:
    old, young = keep(store, 1, days_ago=40), keep(store, 2, days_ago=1)
    keys = [action_key("layer", {"n": number}) for number in range(3)]
    for key, blobs, days_ago in zip(keys, ([young], [young], [old]), (1, 40, 1), strict=True):
        store.actions.put(key, {}, blobs=blobs)
        os.utime(store.actions.path(key), (0, NOW - days_ago * DAY))
    report = collect_garbage(store, now=NOW, keep_newer_than_days=30)

    assert [store.actions.get(key) is not None for key in keys] == [True, False, False]
    assert report.actions == 2


def test_set_aside_objects_and_litter_go(store: Store) -> None:
    aside = store.root / "quarantine" / "old"
    aside.write_bytes(b"damaged")
    os.utime(aside, (0, 0))
    (store.root / "quarantine" / "folder").mkdir()
    (store.root / "tmp" / "1-dead").write_bytes(b"half")
    report = collect_garbage(store, now=NOW)

    assert (report.quarantined, report.freed_bytes, report.temporary) == (1, 7, 1)
    assert not aside.exists()


def test_what_is_no_object_is_left_for_the_check_to_report(store: Store) -> None:
    shard = store.root / "blobs" / "sha256" / "ab"
    shard.mkdir()
    (shard / "thesis.tex").write_bytes(b"lost here")
    os.utime(shard / "thesis.tex", (0, 0))
    collect_garbage(store, now=NOW, max_bytes=0)

    assert (shard / "thesis.tex").exists()


def test_a_store_in_use_is_not_collected(store: Store) -> None:
    digest = keep(store, 1, days_ago=1)
    command = [sys.executable, str(CHILD), str(store.root), "hold"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(Path.cwd())}
    ) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"holding\n"
        with pytest.raises(StoreError, match="is in use by another envcap"):
            collect_garbage(store, now=NOW, max_bytes=0)
        assert store.blobs.has(digest)
        builder.kill()  # the kernel drops the lock of the dead

    assert collect_garbage(store, now=NOW, max_bytes=0).removed == 1


def test_this_process_can_not_collect_what_it_uses_itself(store: Store) -> None:
    with store.in_use(), store.in_use(), pytest.raises(StoreError, match="in use"):
        collect_garbage(store, now=NOW, max_bytes=0)
