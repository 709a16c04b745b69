"""Giving disk space back: objects go by their last use, the longest unused first.

Last use is the file's mtime, which readers stamp (atime is off on many systems). The collector has the store
alone (`envcap.store.locks`), and still leaves alone what was used within the last hour.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envcap.store import Store
from envcap.store.blobs import ALGORITHM
from envcap.store.care import remove_dangling
from envcap.store.faults import faults_explained
from envcap.store.listing import StoredFile, list_stored
from envcap.store.locks import lock_alone
from envcap.store.scratch import sweep_scratch

GRACE: Final = 3600.0
"""Seconds for which what was used is kept, whatever is asked for."""
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GcReport:
    """What a collection removed and kept.

    Attributes:
        removed: Objects removed.
        freed_bytes: Bytes given back, with those of set-aside objects.
        kept: Objects kept.
        kept_bytes: Their bytes.
        actions: Remembered results removed: unused for as long, or of removed objects.
        quarantined: Set-aside objects removed.
        temporary: Files of dead writers removed.
    """

    removed: int
    freed_bytes: int
    kept: int
    kept_bytes: int
    actions: int
    quarantined: int
    temporary: int


def collect_garbage(
    store: Store, *, now: float, keep_newer_than_days: float | None = None, max_bytes: int | None = None
) -> GcReport:
    """Remove objects by last use, and the results that speak of them.

    Args:
        store: What to collect.
        now: Seconds since the epoch.
        keep_newer_than_days: Objects unused for longer go; None: no limit.
        max_bytes: The longest unused go until the rest is no larger; None: no limit.

    Raises:
        StoreError: The store is in use, or can't be read or written.
    """
    graced = now - GRACE
    horizon = float("-inf") if keep_newer_than_days is None else now - keep_newer_than_days * _DAY
    with lock_alone(store.root):
        temporary = sweep_scratch(store.root / "tmp", now=now)
        objects = [stored for stored in list_stored(store.root / "blobs" / ALGORITHM) if stored.digest]
        removed, freed = _remove(_choose(objects, horizon=horizon, graced=graced, max_bytes=max_bytes))
        results = list_stored(store.root / "actions")
        stale, _ = _remove(_choose(results, horizon=horizon, graced=graced, max_bytes=None))
        dangling = remove_dangling(store)
        aside = [stored for stored in list_stored(store.root / "quarantine") if stored.used < graced]
        quarantined, freed_aside = _remove(aside)
    return GcReport(
        removed=removed,
        freed_bytes=freed + freed_aside,
        kept=len(objects) - removed,
        kept_bytes=sum(stored.size for stored in objects) - freed,
        actions=stale + dangling,
        quarantined=quarantined,
        temporary=temporary,
    )


def _choose(
    stored: Iterable[StoredFile], *, horizon: float, graced: float, max_bytes: int | None
) -> Iterator[StoredFile]:
    """Choose what goes, the longest unused first; equal times by path, so that the choice is the same again."""
    by_use = sorted(stored, key=lambda one: (one.used, one.path))
    left = sum(one.size for one in by_use)
    for one in by_use:
        too_much = max_bytes is not None and left > max_bytes
        if one.used < graced and (one.used < horizon or too_much):
            left -= one.size
            yield one


def _remove(doomed: Iterable[StoredFile]) -> tuple[int, int]:
    """Remove files; tells how many and their bytes. What is no file is left for `check_store` to report."""
    count = freed = 0
    for stored in doomed:
        with faults_explained("remove", stored.path):
            if stat.S_ISDIR(stored.path.lstat().st_mode):
                continue
            stored.path.unlink()
        count += 1
        freed += stored.size
    return count, freed
