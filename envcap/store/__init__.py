"""The content store: a folder that keeps bytes under their hash, and remembers what was computed from them.

```
VERSION            the layout's version
lock               builders share it, the collector has it alone (`envcap.store.locks`)
blobs/sha256/ab/   objects, 0444, named by the sha256 of their bytes (`envcap.store.blobs`)
actions/ab/        results, named by the sha256 of what they were computed from (`envcap.store.actions`)
tmp/               files being written (`envcap.store.scratch`)
quarantine/        objects that failed their check, until the next collection
```

Promises (`notes/security.md` §6): a name in the store means that the bytes hash to it, checked on every read
that leaves it; after a kill at any point the next run just works; concurrent processes never see a part of an
object; a full or failing disk is one line of error and leaves nothing half-made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.staging import sync_folder
from envcap.store.actions import ActionCache
from envcap.store.blobs import ALGORITHM, BlobStore
from envcap.store.faults import explain_fault, faults_explained, show_path
from envcap.store.locks import LOCK_NAME, lock_shared, make_lock
from envcap.store.objects import open_object
from envcap.store.scratch import FOLDER_MODE, ScratchFile, make_folder

STORE_VERSION: Final = "1"
_VERSION_NAME: Final = "VERSION"
_FOLDERS: Final = ("tmp", "quarantine", "actions", "blobs", f"blobs/{ALGORITHM}")
_OWN_NAMES: Final = frozenset({"tmp", "quarantine", "actions", "blobs", LOCK_NAME, _VERSION_NAME})
_ELSEWHERE: Final = "choose another folder with --store or ENVCAP_STORE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open store; made by `open_store`.

    Attributes:
        root: Its folder.
        blobs: Its objects.
        actions: Its remembered results.
    """

    root: Path
    blobs: BlobStore
    actions: ActionCache

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the collector away while a command works with the store; waits while it runs.

        Raises:
            StoreError: The lock file can't be opened.
        """
        with lock_shared(self.root):
            yield

    def recall(self, key: Digest) -> dict[str, object] | None:
        """Recall a result all of whose blobs are there, and stamp them as used; else None. Hashes no blob.

        Raises:
            StoreError: The store can't be read.
        """
        record = self.actions.record(key)
        if record is None or not all(self.blobs.has(blob) for blob in record.blobs):
            return None
        for blob in record.blobs:
            self.blobs.mark_used(blob)
        self.actions.mark_used(key)
        return record.value


def default_store_path(environment: Mapping[str, str], cache: Path) -> Path:
    """Tell where the store is when the command line doesn't: `ENVCAP_STORE`, or in envcap's cache folder.

    Args:
        environment: The process's environment variables.
        cache: The platform's cache folder for envcap (`platformdirs.user_cache_path("envcap")`).
    """
    named = environment.get("ENVCAP_STORE", "")
    return Path(named) if named else cache / "store"


def open_store(path: Path) -> Store:
    """Open the store in a folder, making both where missing; what a killed run left half-made is completed.

    Raises:
        StoreError: It is not a folder, not a store, of another version, or can't be written.
    """
    path = path.absolute()
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StoreError(f"The store {show_path(path)} is not a folder", hint=_ELSEWHERE) from error
    except OSError as error:
        raise explain_fault(error, "create", path) from error
    found = _read_version(path)
    if found is None:
        _refuse_foreign(path)
    elif found != STORE_VERSION:
        raise StoreError(
            f"Unexpected version of the store {show_path(path)} (expected {STORE_VERSION}, found {found[:20]!r})",
            hint=f"use the envcap that made it, or {_ELSEWHERE}",
        )
    _refuse_writable_by_all(path)
    make_lock(path)
    _make_folders(path)
    if found is None:
        with ScratchFile(path / "tmp") as scratch:
            scratch.write(f"{STORE_VERSION}\n".encode())
            scratch.publish(path / _VERSION_NAME, sharded=False)
    return Store(root=path, blobs=BlobStore(path), actions=ActionCache(path))


def _read_version(path: Path) -> str | None:
    place = path / _VERSION_NAME
    try:
        with open_object(place) as file:
            return file.read(100).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain_fault(error, "read", place) from error


def _refuse_foreign(path: Path) -> None:
    """Keep out of folders that hold something else: a slip of `--store ~` must not litter a home."""
    with faults_explained("list", path):
        foreign = sorted({entry.name for entry in path.iterdir()} - _OWN_NAMES)
    if foreign:
        raise StoreError(
            f"The folder {show_path(path)} is not a store of envcap (found {foreign[0]!r} in it)",
            hint="choose an empty or a new folder with --store or ENVCAP_STORE",
        )


def _refuse_writable_by_all(path: Path) -> None:
    """Bytes are checked when they leave, but results are trusted: nobody else may plant one."""
    with faults_explained("read", path):
        mode = path.stat().st_mode
    if mode & 0o002:
        raise StoreError(
            f"Unexpected mode of the store {show_path(path)} (expected 0700, found {mode & 0o7777:04o}):"
            " every user could change it",
            hint=f"take the right away (chmod o-w), or {_ELSEWHERE}",
        )


def _make_folders(path: Path) -> None:
    with faults_explained("create folders in", path):
        missing = [path / name for name in _FOLDERS if not (path / name).is_dir()]
        for folder in missing:
            make_folder(folder)
        if missing:
            sync_folder(path)
            sync_folder(path / "blobs")
