"""Who may use the store while it is being collected: one advisory lock (flock) on one file.

Builders share it for as long as they run, and the collector needs it alone. Why not a grace period only: a
rebuild may look up a blob in its first minute and copy it out hours later, and no period is long enough for
that. Why not the lock only: some file systems have none, and a library user may forget it. So the collector
does both, and leaves alone what was used within the last hour (`envcap.store.garbage`). The kernel drops the
lock of a process that dies, so no lock is ever stale.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from envcap.errors import StoreError
from envcap.store.faults import explain_fault, faults_explained, show_path

LOCK_NAME: Final = "lock"
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def make_lock(root: Path) -> None:
    """Make the lock file, which tells at once whether the store can be written.

    Raises:
        StoreError: It can't.
    """
    os.close(_open_lock(root))


@contextmanager
def lock_shared(root: Path) -> Iterator[None]:
    """Keep the collector away for the length of a block; waits while it runs.

    Raises:
        StoreError: The lock file can't be opened.
    """
    descriptor = _open_lock(root)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise explain_fault(error, "lock", root / LOCK_NAME) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def lock_alone(root: Path) -> Iterator[None]:
    """Have the store alone for the length of a block; never waits.

    Raises:
        StoreError: The store is in use, or the lock file can't be opened.
    """
    descriptor = _open_lock(root)
    try:
        with faults_explained("lock", root / LOCK_NAME):
            locked = try_lock(descriptor)
        if locked is False:
            raise StoreError(
                f"The store {show_path(root)} is in use by another envcap",
                hint="run this again when no snapshot or rebuild is running",
            )
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for its holder alone: True if it is ours, False if another has it, None without locks.

    Raises:
        OSError: The lock can't be asked for.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _open_lock(root: Path) -> int:
    path = root / LOCK_NAME
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise explain_fault(error, "write", path) from error
