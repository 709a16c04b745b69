"""Checking the whole store: every object is hashed again, and what is wrong is set aside and told.

A check goes on after every fault and reports them all (nix's repair stops at the first EIO and leaves the
rest unknown: `notes/security.md` §6).
"""

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.store import Store
from envcap.store.blobs import ALGORITHM
from envcap.store.listing import StoredFile, list_stored
from envcap.store.objects import move_aside, open_object
from envcap.store.scratch import sweep_scratch

_THREADS: Final = 2
"""One reads while the other hashes; more only seek."""
_BROKEN: Final = frozenset({errno.EIO, errno.ELOOP, errno.EINVAL, errno.ENXIO})
"""Errors that condemn the object itself; others (permission, open files) say nothing about its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong in the store.

    Attributes:
        path: Where, relative to the store.
        problem: What, and what was done about it; one line.
    """

    path: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckReport:
    """What a check of the store saw and did.

    Attributes:
        objects: Objects that were hashed.
        checked_bytes: Their bytes.
        actions: Remembered results that were read.
        dangling: Results removed because an object of theirs is gone.
        temporary: Files of dead writers that were removed; no fault, that is what a kill leaves.
        findings: What was wrong, by path.
    """

    objects: int
    checked_bytes: int
    actions: int
    dangling: int
    temporary: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    problem: str
    movable: bool = True


def check_store(store: Store, *, now: float, progress: Callable[[int, int], None]) -> FsckReport:
    """Hash every object, read every result, remove what dead writers left. Safe while others use the store.

    Args:
        store: What to check.
        now: Seconds since the epoch.
        progress: Called from this thread with the bytes done and the bytes in all.

    Raises:
        StoreError: The store's folders can't be listed.
    """
    with store.in_use():
        temporary = sweep_scratch(store.root / "tmp", now=now)
        objects = list_stored(store.root / "blobs" / ALGORITHM)
        findings = list(_check_objects(store.root, objects, progress))
        results = list_stored(store.root / "actions")
        findings += _check_results(store, results)
        dangling = remove_dangling(store)
    return FsckReport(
        objects=len(objects),
        checked_bytes=sum(stored.size for stored in objects),
        actions=len(results),
        dangling=dangling,
        temporary=temporary,
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def remove_dangling(store: Store) -> int:
    """Remove the results that speak of objects which are gone; returns their number.

    Raises:
        StoreError: The store can't be read or written.
    """
    removed = 0
    for stored in list_stored(store.root / "actions"):
        if stored.digest is not None and _is_dangling(store, stored.digest):
            store.actions.remove(stored.digest)
            removed += 1
    return removed


def _is_dangling(store: Store, key: Digest) -> bool:
    try:
        record = store.actions.record(key)
    except StoreError:  # unreadable, which says nothing about its blobs; a check reports it
        return False
    return record is not None and not all(store.blobs.has(blob) for blob in record.blobs)


def _check_objects(
    root: Path, objects: tuple[StoredFile, ...], progress: Callable[[int, int], None]
) -> Iterator[Finding]:
    total = sum(stored.size for stored in objects)
    done = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for stored, verdict in zip(objects, pool.map(_judge_object, objects), strict=True):
            done += stored.size
            progress(done, total)
            if verdict is not None:
                yield _settle(root, stored, verdict)


def _judge_object(stored: StoredFile) -> _Verdict | None:
    if stored.digest is None:
        return _Verdict(problem="not an object of the store")
    try:
        with open_object(stored.path) as file:
            found = Digest.of_file(file)
    except FileNotFoundError:  # set aside by a reader meanwhile
        return None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return _Verdict(problem=f"can't be read: {reason}", movable=error.errno in _BROKEN)
    return None if found == stored.digest else _Verdict(problem=f"its bytes hash to {found}")


def _check_results(store: Store, results: tuple[StoredFile, ...]) -> Iterator[Finding]:
    for stored in results:
        if stored.digest is None:
            yield _settle(store.root, stored, _Verdict(problem="not a result of the store"))
            continue
        try:
            damaged = store.actions.record(stored.digest) is None
        except StoreError as error:
            yield _settle(store.root, stored, _Verdict(problem=error.message))
            continue
        if damaged:
            yield Finding(path=_relative(store.root, stored), problem="damaged result; removed")


def _settle(root: Path, stored: StoredFile, verdict: _Verdict) -> Finding:
    """Set what is wrong aside where that is right and possible, and tell."""
    done = "left in place"
    if verdict.movable:
        try:
            moved = move_aside(stored.path, root / "quarantine", inode=stored.inode)
        except OSError as error:
            done = f"can't be set aside: {os.strerror(error.errno or 0)}"
        else:
            done = "set aside" if moved else "replaced meanwhile"
    return Finding(path=_relative(root, stored), problem=f"{verdict.problem}; {done}")


def _relative(root: Path, stored: StoredFile) -> str:
    return str(stored.path.relative_to(root))
