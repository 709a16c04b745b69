"""Files that appear whole or not at all, and the sweeping of those whose writer died.

The order is the one that survives a power cut: write to `tmp/`, fsync the file, rename it to its place, fsync
the folder. A failed fsync means lost data and is never retried (the kernel drops the dirty pages).

A temporary file is locked (flock) by its writer from birth, so whether the writer lives is asked of the kernel:
right across containers and PID namespaces, and free of clocks. A process id in the name could be neither.
"""

import os
import secrets
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, Self

from envcap.digest import CHUNK_SIZE
from envcap.staging import sync_folder
from envcap.store.faults import faults_explained
from envcap.store.locks import try_lock

FOLDER_MODE: Final = 0o700
OBJECT_MODE: Final = 0o444
ABANDONED_AFTER: Final = 3600.0
"""Seconds after which a temporary file counts as abandoned on a file system that has no locks."""


class ScratchFile:
    """A file in `tmp/` that is either published under its name or removed; a context manager.

    Attributes:
        path: Where it is until it is published.
        size: Bytes written so far.
    """

    def __init__(self, folder: Path, *, need: int | None = None) -> None:
        """Create the file.

        Args:
            folder: The store's `tmp/`.
            need: Its final size in bytes, where known; told when the disk is full.

        Raises:
            StoreError: It can't be created.
        """
        self.size = 0
        self._need = need
        with faults_explained("write a file in", folder, need=need):
            self.path, descriptor = _create_locked(folder)
        self._file = os.fdopen(descriptor, "wb", buffering=CHUNK_SIZE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes.

        Raises:
            StoreError: The disk is full or fails.
        """
        self.size += len(data)
        with self._faults_explained(self.path):
            self._file.write(data)

    def publish(self, target: Path, *, sharded: bool = True) -> os.stat_result:
        """Give the file its name, durably, replacing what has it.

        Args:
            target: Its name, on the same file system.
            sharded: Its folder is one of many in a folder of the store, and is made where missing.

        Returns:
            The state of the published file.

        Raises:
            StoreError: The disk is full or fails. The target is then the old one or the new one, always whole.
        """
        with self._faults_explained(target):
            self._file.flush()
            os.fchmod(self._file.fileno(), OBJECT_MODE)
            os.fsync(self._file.fileno())
            if sharded:
                make_folder(target.parent)
            self.path.rename(target)
            sync_folder(target.parent)
            if sharded:  # even if it was there: its maker may not have synced its name yet
                sync_folder(target.parent.parent)
            return os.fstat(self._file.fileno())

    def discard(self) -> None:
        """Remove the file unless it was published; safe to call more than once."""
        if self._file.closed:
            return
        # Unlinked before it is closed, since closing lets go of the lock. Once renamed, nothing has this name.
        with suppress(OSError):
            self.path.unlink()
        with suppress(OSError):  # what is left in the buffer may not fit on a full disk
            self._file.close()

    def _faults_explained(self, path: Path) -> AbstractContextManager[None]:
        return faults_explained("write", path, need=max(self.size, self._need or 0))


def make_folder(path: Path) -> None:
    """Make a private folder unless it is there; its parent must exist. Raises `OSError`."""
    with suppress(FileExistsError):
        path.mkdir(FOLDER_MODE)


def sweep_scratch(folder: Path, *, now: float) -> int:
    """Remove the temporary files whose writers are gone; those of living writers stay.

    Args:
        folder: The store's `tmp/`.
        now: Seconds since the epoch; only used where the file system has no locks.

    Returns:
        How many were removed.

    Raises:
        StoreError: The folder can't be listed.
    """
    with faults_explained("list", folder):
        paths = sorted(folder.iterdir())
    return sum(_sweep(path, now) for path in paths)


def _sweep(path: Path, now: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # published or removed meanwhile, or no file of ours
        return False
    try:
        # While we hold the lock no writer can own this name: see `_create_locked`.
        abandoned = try_lock(descriptor)
        if abandoned is None:
            abandoned = now - os.fstat(descriptor).st_mtime > ABANDONED_AFTER
        if abandoned:
            path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return abandoned


def _create_locked(folder: Path) -> tuple[Path, int]:
    """Create a file that its writer holds locked; a sweeper that came in between is answered by a new name."""
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            swept = try_lock(descriptor) is False or os.fstat(descriptor).st_nlink == 0
        except OSError:
            os.close(descriptor)
            raise
        if not swept:
            return path, descriptor
        os.close(descriptor)
