"""Bringing a store into the state that a measurement begins with, through envcap's own reading of it.

What is remembered is told apart by the shape of its value: `blob` is a parsed index or the needs of a Debian package
(`envcap.world.StoredCache`), `diff_id` is a layer (`envcap.build.image`).
"""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from envcap.digest import Digest
from envcap.store import Store, open_store
from envcap.store.actions import ActionRecord


def seed_store(warm: Path, target: Path, debs: Collection[str]) -> None:
    """Make a store that holds only the OS packages' files and indexes of a warm one: no proof, no layer, no wheel.

    Args:
        warm: A store that served the same snapshot.
        target: The new store.
        debs: The sha256 of each OS package.
    """
    store, seed = open_store(warm), open_store(target)
    for digest in map(Digest, debs):
        if store.blobs.has(digest):
            seed.blobs.add_file(store.blobs.path(digest), expected=digest)
    for key, record in _records(store):
        if set(record.value) == {"blob"} and all(map(store.blobs.has, record.blobs)):
            for digest in record.blobs:
                seed.blobs.add_file(store.blobs.path(digest), expected=digest)
            seed.actions.put(key, record.value, blobs=record.blobs)


def copy_store(source: Path, target: Path) -> None:
    """Copy a store by hard links: objects are never written to again, only replaced."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)


def forget_layers(path: Path, layers: Collection[str], *, keep: Collection[str] = ()) -> None:
    """Take every layer out of a store, from its memory and from its bytes; artifacts stay.

    Args:
        path: The store.
        layers: Digests of layers that it does not remember by themselves, as that of the environment.
        keep: Digests of layers that stay.
    """
    store = open_store(path)
    gone = set(layers)
    for key, record in _records(store):
        digest = str(record.value.get("digest", ""))
        if "diff_id" in record.value and digest not in keep:
            store.actions.remove(key)
            gone.add(digest)
    for digest in sorted(gone - set(keep) - {""}):
        store.blobs.path(Digest.parse(digest)).unlink(missing_ok=True)


def _records(store: Store) -> Iterator[tuple[Digest, ActionRecord]]:
    for path in sorted((store.root / "actions").glob("??/*")):
        key = Digest(path.name)
        record = store.actions.record(key)
        if record is not None:
            yield key, record
